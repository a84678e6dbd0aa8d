package grifts

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/models"
	"olympus/worker"
)

func peerTasks() []task {
	return []task{
		{namespace: "peers", name: "add", args: "URL [KEY]", least: 1, most: 2, run: addPeer,
			does: "push to and pull from another deployment; without KEY its key is shown, to be compared"},
		{namespace: "peers", name: "list", does: "print the peers and how far their logs have been taken", run: listPeers},
		{namespace: "peers", name: "pause", args: "NAME", least: 1, does: "stop speaking with a peer for a while", run: setState(models.PeerPaused)},
		{namespace: "peers", name: "resume", args: "NAME", least: 1, does: "go on with a paused peer", run: setState(models.PeerActive)},
		{namespace: "peers", name: "accept", args: "NAME", least: 1, run: acceptPeer,
			does: "end the quarantine of a peer and take its new history from the start"},
		{namespace: "peers", name: "rekey", args: "NAME KEY [OVERLAP]", least: 2, most: 3, run: changePeerKey,
			does: "take a new key of a peer; the old one counts for OVERLAP (168h) longer, with 0 no more"},
		{namespace: "peers", name: "remove", args: "NAME", least: 1, does: "stop speaking with a peer for good", run: setState(models.PeerRemoved)},
	}
}

// peerAdded is the answer of peers:add, peers:join and peers:approve.
type peerAdded struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
	Added       bool   `json:"added"`
	StateThere  string `json:"state_there,omitempty"` // of this deployment at the peer, as peers:join was told
	Warning     string `json:"warning,omitempty"`
}

func addPeer(c *call) error {
	return c.adding(func(_ *worker.Deployment, p *peerAdded) error {
		return c.print(p, "peer %s added: %s, key %s\n", p.Name, p.URL, p.Fingerprint)
	})
}

// adding adds the deployment that the arguments name as a peer, and then does the rest.
func (c *call) adding(rest func(*worker.Deployment, *peerAdded) error) error {
	url, err := peer.ParseURL(c.args[0])
	if err != nil {
		return c.task.misused("%v", err)
	}
	key := c.arg(1)
	if key != "" {
		if _, _, _, err := signature.ParseVerifierKey(key); err != nil {
			return c.task.misused("%v", err)
		}
	}
	return c.with(func(d *worker.Deployment) error {
		p, err := c.identify(d, url, key)
		if err != nil {
			return err
		}
		if key == "" {
			if err := c.confirm(p, "added", c.task.String()+" "+p.URL); err != nil {
				return err
			}
		}
		if err := d.AddPeer(c, actor, p.Name, p.URL, p.Key); err != nil {
			return err
		}
		p.Added = true
		if p.Warning != "" {
			if _, err := fmt.Fprintln(c.Stderr, "olympus: warning:", p.Warning); err != nil {
				return err
			}
		}
		return rest(d, p)
	})
}

// identify asks a deployment who it is, and compares that with what the operator says. With a key the deployment need not be up.
func (c *call) identify(d *worker.Deployment, url, key string) (*peerAdded, error) {
	found, err := d.Peers.Describe(c, url)
	switch {
	case err != nil && (key == "" || c.Err() != nil):
		return nil, fmt.Errorf("ask %s who it is: %w", url, err)
	case err != nil:
		name, _, _, keyErr := signature.ParseVerifierKey(key)
		return &peerAdded{
			Name: name, URL: url, Key: key, Fingerprint: signature.Fingerprint(key),
			Warning: fmt.Sprintf("%s could not be asked and is taken at your word: %v", name, err),
		}, keyErr
	case key != "" && key != found.Key:
		return nil, fmt.Errorf("%s is %s with the key %s (%s), not %s", url, found.Name, found.Key, signature.Fingerprint(found.Key), key)
	case found.URL != url:
		// What is signed for another URL than its own it would refuse. And its word for it is not enough to go there.
		return nil, fmt.Errorf("the deployment at %s says that its URL is %s: add it by that, or set its OLYMPUS_URL", url, found.URL)
	}
	return &peerAdded{Name: found.Name, URL: found.URL, Key: found.Key, Fingerprint: signature.Fingerprint(found.Key)}, nil
}

// confirm lets the operator compare the key of a deployment that nothing vouches for yet. done is what it becomes, again the task that is run
// with the key where there is nobody to ask.
func (c *call) confirm(p *peerAdded, done, again string) error {
	ask := c.Terminal && !c.json
	err := c.print(p, "name         %s\nurl          %s\nkey          %s\nfingerprint  %s\n", p.Name, p.URL, p.Key, p.Fingerprint)
	if err != nil {
		return err
	}
	if !ask {
		return fmt.Errorf("%s is not %s yet: compare its key, and run again with it: olympus task %s %s", p.Name, done, again, p.Key)
	}
	if _, err := fmt.Fprint(c.Stdout, "Does its operator read the same fingerprint? (yes/no) "); err != nil {
		return err
	}
	answer, _ := bufio.NewReader(c.Stdin).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "yes" && a != "y" {
		return fmt.Errorf("%s is not %s", p.Name, done)
	}
	return nil
}

func setState(state string) func(*call) error {
	return func(c *call) error {
		return c.with(func(d *worker.Deployment) error {
			name := c.args[0]
			err := d.SetPeerState(c, actor, name, state)
			if errors.Is(err, models.ErrNotFound) && state == models.PeerRemoved {
				// Gone already is what was asked for, unless it never was a peer.
				var p *models.Peer
				if p, err = models.FindPeer(d.DB.WithContext(c), name); err == nil && p.State != state {
					err = fmt.Errorf("peer %s is %s", name, p.State)
				}
			}
			if err != nil {
				return err
			}
			return c.print(map[string]string{"name": name, "state": state}, "peer %s is %s\n", name, state)
		})
	}
}

// keyOverlap is how long the key of a peer counts after it was changed.
const keyOverlap = 7 * 24 * time.Hour

func changePeerKey(c *call) error {
	name, key, overlap := c.args[0], c.args[1], keyOverlap
	if _, _, _, err := signature.ParseVerifierKey(key); err != nil {
		return c.task.misused("%v", err)
	}
	if len(c.args) > 2 {
		var err error
		if overlap, err = time.ParseDuration(c.args[2]); err != nil || overlap < 0 {
			return c.task.misused("OVERLAP %q: want a duration such as 24h, or 0", c.args[2])
		}
	}
	return c.with(func(d *worker.Deployment) error {
		if err := d.ChangePeerKey(c, actor, name, key, overlap); err != nil {
			return err
		}
		changed := map[string]string{"name": name, "key": key, "fingerprint": signature.Fingerprint(key), "overlap": overlap.String()}
		return c.print(changed, "peer %s: key %s from now on, the one before counts for %s\n", name, signature.Fingerprint(key), overlap)
	})
}

func acceptPeer(c *call) error {
	return c.with(func(d *worker.Deployment) error {
		name := c.args[0]
		err := d.AcceptPeer(c, actor, name)
		if errors.Is(err, models.ErrNotFound) {
			// Accepted already is what was asked for.
			var p *models.Peer
			if p, err = models.FindPeer(d.DB.WithContext(c), name); err == nil && p.State != models.PeerActive {
				err = fmt.Errorf("peer %s is %s, not quarantined", name, p.State)
			}
		}
		if err != nil {
			return err
		}
		return c.print(map[string]string{"name": name, "state": models.PeerActive}, "peer %s is active: its log will be taken from the start\n", name)
	})
}

// listedPeer is a peer as GET /peers shows it.
type listedPeer struct {
	Name               string     `json:"name"`
	URL                string     `json:"url"`
	Key                string     `json:"key"`
	AnnouncedKey       string     `json:"announced_key,omitempty"` // that it says comes next
	State              string     `json:"state"`
	PullPosition       int64      `json:"pull_position"`
	Head               int64      `json:"head"`
	Lag                int64      `json:"lag"`
	LastPullAt         *time.Time `json:"last_pull_at"`
	LastPushSentAt     *time.Time `json:"last_push_sent_at"`
	LastPushReceivedAt *time.Time `json:"last_push_received_at"`
	LastError          string     `json:"last_error"`
	LastErrorAt        *time.Time `json:"last_error_at"`
	QueuedPushes       int64      `json:"queued_pushes"`
	AskedAt            *time.Time `json:"asked_at,omitempty"` // of a pending one
	Evidence           []string   `json:"evidence,omitempty"` // of a quarantined one
}

func listPeers(c *call) error {
	return c.with(func(d *worker.Deployment) error {
		db := d.DB.WithContext(c)
		peers, err := models.Peers(db)
		if err != nil {
			return err
		}
		queued, err := models.QueuedPushes(db)
		if err != nil {
			return err
		}
		list := []listedPeer{}
		rows := [][]string{{"NAME", "STATE", "PULLED", "HEAD", "LAG", "QUEUED", "LAST PULL", "URL", "LAST ERROR"}}
		for _, p := range peers {
			list = append(list, listedPeer{
				Name: p.Name, URL: p.URL, Key: p.Key, AnnouncedKey: p.AnnouncedKey, State: p.State, PullPosition: p.PullPosition, Head: p.Head, Lag: p.Lag(),
				LastPullAt: p.LastPullAt, LastPushSentAt: p.LastPushSentAt, LastPushReceivedAt: p.LastPushReceivedAt,
				LastError: p.LastError, LastErrorAt: p.LastErrorAt, QueuedPushes: queued[p.Name], AskedAt: p.AskedAt, Evidence: p.Evidence(),
			})
			rows = append(rows, []string{
				p.Name, p.State, number(p.PullPosition), number(p.Head), number(p.Lag()), number(queued[p.Name]), when(p.LastPullAt), p.URL,
				oneLine(p.LastError),
			})
		}
		if err := c.table(list, rows); err != nil || c.json {
			return err
		}
		for i := range peers {
			if err := c.tellOfKeys(&peers[i]); err != nil {
				return err
			}
			for _, note := range peers[i].Evidence() {
				if _, err := fmt.Fprintf(c.Stdout, "\nsigned by %s:\n%s", peers[i].Name, note); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// tellOfKeys says which keys of a peer an operator has to compare.
func (c *call) tellOfKeys(p *models.Peer) (err error) {
	if p.State == models.PeerPending {
		_, err = fmt.Fprintf(c.Stdout, "\n%s asks to become a peer, with the fingerprint %s:\nolympus task peers:approve %s %s\n",
			p.Name, signature.Fingerprint(p.Key), p.Name, p.Key)
	}
	if p.AnnouncedKey != "" {
		_, err = fmt.Fprintf(c.Stdout, "\n%s announces a new key, with the fingerprint %s:\nolympus task peers:rekey %s %s\n",
			p.Name, signature.Fingerprint(p.AnnouncedKey), p.Name, p.AnnouncedKey)
	}
	return err
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

// when shows a time, in UTC.
func when(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// oneLine keeps what others wrote into an error from breaking out of its line.
func oneLine(s string) string { return cmp.Or(strings.Join(strings.Fields(s), " "), "-") }
