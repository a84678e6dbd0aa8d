package grifts

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"olympus/config"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
	"olympus/worker"
)

// rotation is one run of key:rotate.
type rotation struct {
	*call
	d        *worker.Deployment
	settings *config.Config
	next     config.NextKey
	signer   *signature.Signer // with the next key
}

// rotated is the answer of key:rotate.
type rotated struct {
	SigningKey  string        `json:"signing_key,omitempty"` // the new secret one: only where the operator has to put it in its place
	Key         string        `json:"key"`
	Fingerprint string        `json:"fingerprint"`
	File        string        `json:"file"` // that the new secret key is in
	Peers       []rotatedPeer `json:"peers"`
	Rotated     bool          `json:"rotated"` // the new key is in its place
	Do          string        `json:"do"`      // what comes next
}

// rotatedPeer is what has become of the new key at one peer.
type rotatedPeer struct {
	Name  string `json:"name"`
	State string `json:"state"` // announced, accepted, or that it could not be told
	Error string `json:"error,omitempty"`
}

const (
	keyAnnounced = "announced"
	keyAccepted  = "accepted"
	keyUntold    = "not told"
)

// rotateKey announces a new signing key to all peers, and puts it in its place once all have accepted it. It is run again until then, and
// may be at any time.
func rotateKey(c *call) error {
	settings, err := c.Config()
	if err != nil {
		return err
	}
	next, err := settings.NextSigningKey()
	if errors.Is(err, config.ErrKeyChanging) {
		return c.lastChange(settings)
	}
	if err != nil {
		return err
	}
	signer, err := signature.NewSigner(next.Key)
	if err != nil {
		return err
	}
	return c.with(func(d *worker.Deployment) error {
		if signer.KeyID() == d.Signer.KeyID() {
			return fmt.Errorf("the key in %s is the present one already: remove that file", next.Path)
		}
		return (&rotation{call: c, d: d, settings: settings, next: next, signer: signer}).run()
	})
}

// lastChange says that a change of the key has to be brought to its end before the next.
func (c *call) lastChange(settings *config.Config) error {
	signer, err := signature.NewSigner(settings.SigningKey)
	if err != nil {
		return err
	}
	old := "OLYMPUS_OLD_SIGNING_KEY"
	if settings.SigningKeyFile != "" {
		old = settings.SigningKeyFile + ".old, or what OLYMPUS_OLD_SIGNING_KEY names"
	}
	key := signer.VerifierKey()
	answer := rotated{Key: key, Fingerprint: signature.Fingerprint(key), File: settings.SigningKeyFile, Peers: []rotatedPeer{}, Rotated: true,
		Do: "restart the processes one by one; when clients have the new key, remove " + old + ", and restart once more"}
	return c.print(answer, "the key was changed to %s\n%s\n", answer.Fingerprint, answer.Do)
}

func (r *rotation) run() error {
	present, key := r.d.Signer.VerifierKey(), r.signer.VerifierKey()
	proof, err := r.signer.ProveNewKey(present)
	if err != nil {
		return err
	}
	peers, err := models.Peers(r.d.DB.WithContext(r))
	if err != nil {
		return err
	}
	answer := rotated{Key: key, Fingerprint: signature.Fingerprint(key), File: r.next.Path, Peers: []rotatedPeer{}}
	missing := 0 // active peers that have not accepted it
	var untold []error
	for i := range peers {
		p := &peers[i]
		if p.State == models.PeerPending {
			continue
		}
		told := r.tell(p, protocol.NewKey{Key: key, Proof: proof})
		answer.Peers = append(answer.Peers, told)
		if p.State == models.PeerActive && told.State != keyAccepted {
			missing++
			if told.State == keyUntold {
				untold = append(untold, fmt.Errorf("%s could not be told: %s", told.Name, told.Error))
			}
		}
	}
	if r.next.ByHand() {
		answer.SigningKey = r.next.Key
	}
	switch {
	case missing > 0:
		answer.Do = "have their operators compare the fingerprint and accept the key (peers:rekey, or on the page of the peer); then run this again"
	case r.next.ByHand():
		answer.Do = fmt.Sprintf("put the new key where the present one is, and the present one into OLYMPUS_OLD_SIGNING_KEY; restart the processes one by one; remove %s", r.next.Path)
	default:
		if err := r.next.UseNextKey(); err != nil {
			return err
		}
		file := r.settings.SigningKeyFile
		answer.File, answer.Rotated = file, true
		answer.Do = fmt.Sprintf("restart the processes one by one, on other machines with the same two files: %s, and beside it the key before, %s.old, which is removed when clients have the new key", file, file)
	}
	return errors.Join(append([]error{r.show(&answer)}, untold...)...)
}

// tell announces the new key to a peer.
func (r *rotation) tell(p *models.Peer, key protocol.NewKey) rotatedPeer {
	told := rotatedPeer{Name: p.Name, State: keyUntold}
	if p.State != models.PeerActive {
		told.Error = fmt.Sprintf("it is %s here: its operator runs: olympus task peers:rekey %s %s", p.State, r.d.Name, key.Key)
		return told
	}
	ctx, cancel := context.WithTimeout(r, joinPatience)
	defer cancel()
	target := peer.Target{Name: p.Name, URL: p.URL, Key: p.Key}
	state, err := r.d.Peers.AnnounceKey(ctx, target, key)
	switch {
	case err == nil && (state == keyAnnounced || state == keyAccepted):
		told.State = state
	case err == nil:
		told.Error = fmt.Sprintf("it answers %q", state)
	case r.knows(ctx, target):
		told.State = keyAccepted // without an overlap, or by a release that takes no announcements
	case errors.Is(err, peer.ErrNotFound):
		told.Error = fmt.Sprintf("its release takes no announcements: its operator runs: olympus task peers:rekey %s %s", r.d.Name, key.Key)
	default:
		told.Error = plain(err.Error())
	}
	return told
}

// knows reports whether a peer takes what is signed with the next key.
func (r *rotation) knows(ctx context.Context, t peer.Target) bool {
	client := peer.NewClient(r.signer, peer.Options{Loopback: peer.OnLoopback(ctx, r.settings.URL)})
	defer client.Close()
	greeting, err := client.Greet(ctx, t)
	return err == nil && greeting.You == r.d.Name
}

func (r *rotation) show(answer *rotated) error {
	var text strings.Builder
	if answer.SigningKey != "" {
		fmt.Fprintf(&text, "new signing key (secret)  %s\n", answer.SigningKey)
	}
	fmt.Fprintf(&text, "new key                   %s\nfingerprint               %s\nsecret key in             %s\n", answer.Key, answer.Fingerprint, answer.File)
	for _, p := range answer.Peers {
		fmt.Fprintf(&text, "%s: %s\n", p.Name, strings.TrimSuffix(p.State+"; "+p.Error, "; "))
	}
	return r.print(answer, "%s%s\n", text.String(), answer.Do)
}
