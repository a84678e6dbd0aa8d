package federation

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/models"
)

var partyNames = []string{"om.example.com", "oa.example.com", "og.example.com"}

const numberOfVersions = 6

func moduleOf(n int) string    { return fmt.Sprintf("example.com/m%d", n/2) }
func versionOf(n int) string   { return fmt.Sprintf("v1.0.%d", n%2) }
func versionName(n int) string { return moduleOf(n) + "@" + versionOf(n) }

// world is all deployments of a history, and the network between them.
type world struct {
	parties []*party

	mu     sync.Mutex
	step   int
	pushes []travelling
}

// travelling is a push on its way.
type travelling struct {
	step     int // in which it was sent
	from, to *party
	events   []protocol.Event
}

// worlds are lent to histories that are played at the same time: to make databases takes longer than to play.
type worlds struct {
	l    *life
	mu   sync.Mutex
	idle []*world
}

func newWorlds(t *testing.T) *worlds {
	all := &worlds{l: &life{TB: t}}
	t.Cleanup(all.l.end)
	return all
}

func (all *worlds) lend() *world {
	all.mu.Lock()
	defer all.mu.Unlock()
	if n := len(all.idle); n > 0 {
		w := all.idle[n-1]
		all.idle = all.idle[:n-1]
		return w
	}
	w := &world{}
	for _, name := range partyNames {
		w.parties = append(w.parties, newParty(all.l, w, name))
	}
	for _, p := range w.parties {
		for _, other := range w.parties {
			if p != other {
				require.NoError(all.l, models.SavePeer(p.db, other.name, other.url, other.verifier))
			}
		}
		require.NoError(all.l, p.copyAway("made"))
	}
	return w
}

func (all *worlds) giveBack(w *world) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.idle = append(all.idle, w)
}

// keep keeps a push on its way.
func (w *world) keep(to *party, body []byte) error {
	events, err := protocol.ParsePush(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, from := range w.parties {
		if from.name == events[0].Origin {
			from.sent++
			w.pushes = append(w.pushes, travelling{w.step, from, to, events})
		}
	}
	// Which of two peers was faster does not matter to a history that is played again.
	slices.SortStableFunc(w.pushes, func(a, b travelling) int {
		return cmp.Or(cmp.Compare(a.step, b.step), cmp.Compare(a.from.name, b.from.name), cmp.Compare(a.to.name, b.to.name))
	})
	return nil
}

// push picks one of the pushes on their way, and may take it off the way; nil when there is none.
func (w *world) push(n int, take bool) *travelling {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pushes) == 0 {
		return nil
	}
	n %= len(w.pushes)
	e := w.pushes[n]
	if take {
		w.pushes = append(w.pushes[:n], w.pushes[n+1:]...)
	}
	return &e
}

// deliver hands over a push, under a signature of its own.
func (e *travelling) deliver() error {
	body := protocol.AppendPush(nil, e.events)
	req, err := http.NewRequest(http.MethodPost, e.to.url+"/push", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Delivered", "now")
	if err := e.from.process.signer.Sign(req, body); err != nil {
		return err
	}
	status, answer, err := do(req)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("a push was answered %d %s", status, answer)
	}
	return err
}

// sentBy returns how many pushes a deployment has sent.
func (w *world) sentBy(p *party) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return p.sent
}

func (w *world) forgetSent(p *party) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p.sent = 0
}

// do sends a request and returns status and body of the answer.
func do(req *http.Request) (int, string, error) {
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}
