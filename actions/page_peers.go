package actions

import (
	"html/template"
	"net/http"
	"time"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/pop/v6"

	"olympus/internal/signature"
	"olympus/models"
)

// peerJSON is a peer for machines.
type peerJSON struct {
	Name               string     `json:"name"`
	URL                string     `json:"url"`
	Key                string     `json:"key"`
	OldKey             string     `json:"old_key,omitempty"`       // counts too, for a while
	AnnouncedKey       string     `json:"announced_key,omitempty"` // that it says comes next
	State              string     `json:"state"`
	PullPosition       int64      `json:"pull_position"`
	Head               int64      `json:"head"` // of its log, as last seen
	Lag                int64      `json:"lag"`
	LagSeconds         int64      `json:"lag_seconds"` // how long lag has not been 0
	LastPullAt         *time.Time `json:"last_pull_at"`
	LastPushSentAt     *time.Time `json:"last_push_sent_at"`
	LastPushReceivedAt *time.Time `json:"last_push_received_at"`
	LastError          string     `json:"last_error"`
	LastErrorAt        *time.Time `json:"last_error_at"`
	QueuedPushes       int64      `json:"queued_pushes"`
	AskedAt            *time.Time `json:"asked_at,omitempty"` // of a pending one
}

// onePeerJSON is a peer by itself for machines, with what is known of its signed log.
type onePeerJSON struct {
	peerJSON
	Epoch        int64    `json:"epoch"`         // as last verified; 0: nothing has been
	VerifiedSize int64    `json:"verified_size"` // events that are proved to be in the tree that it has signed
	Evidence     []string `json:"evidence,omitempty"`
}

func newPeerJSON(peer *models.Peer, queued map[string]int64) peerJSON {
	return peerJSON{
		Name: peer.Name, URL: peer.URL, Key: peer.Key, OldKey: peer.OldKey, AnnouncedKey: peer.AnnouncedKey, State: peer.State,
		PullPosition: peer.PullPosition, Head: peer.Head, Lag: peer.Lag(), LagSeconds: int64(peer.LagTime(time.Now()).Seconds()),
		LastPullAt: utc(peer.LastPullAt), LastPushSentAt: utc(peer.LastPushSentAt), LastPushReceivedAt: utc(peer.LastPushReceivedAt),
		LastError: peer.LastError, LastErrorAt: utc(peer.LastErrorAt), QueuedPushes: queued[peer.Name], AskedAt: utc(peer.AskedAt),
	}
}

func newOnePeerJSON(peer *models.Peer, queued map[string]int64) onePeerJSON {
	return onePeerJSON{newPeerJSON(peer, queued), peer.Epoch, peer.VerifiedSize, peer.Evidence()}
}

// peerView is a peer for people.
type peerView struct {
	Name, URL, Href, Key, Fingerprint        string
	Word, Class                              string // the state, and how it is shown
	Paused, Quarantined, Pending             bool
	Asked                                    template.HTML // when, of a pending one
	AnnouncedKey, AnnouncedFingerprint       string        // empty for none
	Verified                                 string
	Evidence                                 []string
	Position, Head, Lag, LagClass            string
	Behind                                   bool
	LastPull, LastPushSent, LastPushReceived template.HTML
	Error                                    string
	ErrorAt                                  template.HTML
	Queued                                   string // empty for none
	Spark                                    *plot  // nil without samples
	QueuedCount                              string
}

func (p *pages) peerView(peer *models.Peer, queued map[string]int64) peerView {
	view := peerView{
		Name: peer.Name, URL: peer.URL, Href: p.link("peers", peer.Name), Key: peer.Key, Fingerprint: signature.Fingerprint(peer.Key),
		Word: peer.State, Class: peer.State, Paused: peer.State == models.PeerPaused,
		Quarantined: peer.State == models.PeerQuarantined, Verified: verifiedUpTo(peer), Evidence: peer.Evidence(),
		Pending: peer.State == models.PeerPending, Asked: ago(peer.AskedAt),
		AnnouncedKey: peer.AnnouncedKey, AnnouncedFingerprint: signature.Fingerprint(peer.AnnouncedKey),
		Position: counted(peer.PullPosition), Head: counted(peer.Head), Lag: counted(peer.Lag()), Behind: peer.Lag() > 0,
		LastPull: ago(peer.LastPullAt), LastPushSent: ago(peer.LastPushSentAt), LastPushReceived: ago(peer.LastPushReceivedAt),
		Error: oneLine(peer.LastError), ErrorAt: ago(peer.LastErrorAt), QueuedCount: counted(queued[peer.Name]),
	}
	switch {
	case view.Pending:
		view.Class = "note"
	case view.Quarantined:
		view.Class = "bad"
	case view.Error != "" && !view.Paused:
		view.Word, view.Class = "failing", "bad"
	}
	if view.Behind {
		view.LagClass = "warn"
	}
	if n := queued[peer.Name]; n > 0 {
		view.Queued = pushesOf(n)
	}
	return view
}

// verifiedUpTo says how much of a peer's log is proved.
func verifiedUpTo(peer *models.Peer) string {
	if peer.Epoch == 0 {
		return "nothing: it has not signed its log"
	}
	text := "up to position " + counted(peer.VerifiedSize)
	if peer.Epoch > 1 {
		text += " of epoch " + counted(peer.Epoch)
	}
	return text
}

// peerViews are the peers with what their lag was in the last day: lags are by peer.
func (p *pages) peerViews(peers []models.Peer, queued map[string]int64, lags []models.LagSample) []peerView {
	views := make([]peerView, len(peers))
	for i := range peers {
		views[i] = p.peerView(&peers[i], queued)
		views[i].Spark = newSpark(samplesOf(lags, peers[i].Name))
	}
	return views
}

type peersView struct {
	Peers       []peerView
	Fingerprint string
}

// showPeers shows all peers.
func (p *pages) showPeers(c buffalo.Context) error {
	db := p.Deployment.DB.WithContext(c)
	peers, err := models.Peers(db)
	if err != nil {
		return err
	}
	queued, err := models.QueuedPushes(db)
	if err != nil {
		return err
	}
	lags, err := models.LagOfDay(db, "", sparkStep)
	if err != nil {
		return err
	}
	if wantsJSON(c.Request()) {
		list := make([]peerJSON, len(peers))
		for i := range peers {
			list[i] = newPeerJSON(&peers[i], queued)
		}
		return p.json(c, http.StatusOK, list)
	}
	upToDate(c, topicPeers)
	return p.html(c, http.StatusOK, "peers", "Peers", peersView{
		Peers: p.peerViews(peers, queued, lags), Fingerprint: signature.Fingerprint(p.Deployment.Signer.VerifierKey()),
	})
}

// peerLinks are the addresses of the pages of all peers, by name. A removed peer has none.
func (p *pages) peerLinks(db *pop.Connection) (map[string]string, error) {
	peers, err := models.Peers(db)
	links := make(map[string]string, len(peers))
	for i := range peers {
		links[peers[i].Name] = p.link("peers", peers[i].Name)
	}
	return links, err
}
