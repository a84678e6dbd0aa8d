package federation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"olympus/internal/protocol"
	"olympus/models"
	"olympus/worker"
)

// play plays a history. Its error is what was wrong, and after which step.
func (w *world) play(history []step) error {
	w.pushes = nil
	defer func() {
		for _, p := range w.parties {
			p.stop()
		}
	}()
	for i, p := range w.parties {
		if err := p.reset(1 + 2*i); err != nil {
			return err
		}
	}
	for i, s := range history {
		w.step = i
		moved, err := w.take(s)
		if err == nil {
			err = w.look(moved)
		}
		if err != nil {
			return fmt.Errorf("after step %d (%s): %w", i, s, err)
		}
	}
	if err := w.agree(); err != nil {
		return fmt.Errorf("in the end: %w", err)
	}
	return nil
}

// pair is a puller and the peer whose pull pointer may have moved; none by default.
type pair struct{ puller, peer *party }

// look looks at all deployments. Only the pull pointer of the given pair may have moved.
func (w *world) look(moved pair) error {
	for _, p := range w.parties {
		var peer *party
		if moved.puller == p {
			peer = moved.peer
		}
		if err := p.look(peer); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	for _, p := range w.parties {
		for _, peer := range w.parties {
			if p == peer {
				continue
			}
			if err := p.skips(peer); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	return nil
}

// take makes one step happen and returns whose pull pointer may have moved.
func (w *world) take(s step) (pair, error) {
	p, peer := w.parties[s.who], w.parties[s.other]
	module, version := moduleOf(s.of), versionOf(s.of)
	switch s.what {
	case "add":
		if err := p.adds(s); err != nil {
			return pair{}, err
		}
		return pair{}, p.settle()
	case "deprecate", "delete":
		change := p.process.Deprecate
		if s.what == "delete" {
			change = p.process.Delete
		}
		if _, err := change("test", module, version, "because"); err != nil {
			return pair{}, err
		}
		return pair{}, p.settle()
	case "serve":
		return pair{}, p.serves(s.of)
	case "deliver", "repeat", "drop":
		e := w.push(s.n, s.what != "repeat")
		if e == nil || s.what == "drop" {
			return pair{}, nil
		}
		if err := e.deliver(); err != nil {
			return pair{}, err
		}
		e.to.heard = append(e.to.heard, e.events...)
		return pair{}, e.to.settle()
	case "pull":
		return pair{p, peer}, p.pulls(peer)
	case "cut":
		return pair{p, peer}, p.pullsUntil(peer, 1+s.n%3)
	case "rewind":
		to := min(int64(s.n%4), p.pointers[peer.name])
		return pair{p, peer}, models.RewindPullPointer(p.db, peer.name, to)
	case "storm":
		return pair{p, peer}, w.storm(s)
	case "backup":
		return pair{}, p.saveBackup()
	case "restore":
		return pair{}, p.restore(s.store(), s.page())
	case "replay":
		r, err := p.process.Replay(context.Background())
		if err == nil && (r.Rebuilt != 0 || r.Removed != 0) {
			err = fmt.Errorf("replay found %d wrong and %d superfluous rows", r.Rebuilt, r.Removed)
		}
		return pair{}, err
	}
	return pair{}, fmt.Errorf("there is no step %q", s.what)
}

// adds appends an add of its own, as a fill does. Bytes a have the h1: hash of A, and are others.
func (p *party) adds(s step) error {
	at := time.Date(2026, 1, 1, 12, 0, s.n%4, 0, time.UTC)
	seed := string(s.bytes)
	if s.bytes == 'a' {
		seed = "A"
	}
	e := added(moduleOf(s.of), versionOf(s.of), p.name, seed, at)
	if s.bytes == 'a' {
		e.ZipSHA256 = added(moduleOf(s.of), versionOf(s.of), p.name, "a", at).ZipSHA256
	}
	return p.process.Append(true, []protocol.Event{e}, nil)
}

// serves asks for the .info of a version, and compares the answer with the log and with earlier answers.
func (p *party) serves(n int) error {
	before := follows(p.log())[[2]string{moduleOf(n), versionOf(n)}]
	req, err := http.NewRequest(http.MethodGet, p.url+"/"+moduleOf(n)+"/@v/"+versionOf(n)+".info", nil)
	if err != nil {
		return err
	}
	status, body, err := do(req)
	if err != nil {
		return err
	}
	events, err := models.EventsOf(p.db, moduleOf(n), versionOf(n))
	if err != nil {
		return err
	}
	switch status {
	case http.StatusForbidden:
		if !follows(events)[[2]string{moduleOf(n), versionOf(n)}].Deleted {
			return errors.New("answered 403 without a tombstone")
		}
		return nil
	case http.StatusNotFound:
		if before.Add != 0 || before.Deleted {
			return errors.New("answered 404 although the log speaks of it")
		}
		return nil
	case http.StatusOK:
	default:
		return fmt.Errorf("answered %d %s", status, body)
	}
	if before.Deleted {
		return errors.New("a tombstoned version is served")
	}
	if earlier, ok := p.served[n]; ok && earlier != body {
		return fmt.Errorf("served %s, and before that %s", body, earlier)
	}
	p.served[n] = body
	for i := range events {
		if events[i].Info == body {
			return nil
		}
	}
	return fmt.Errorf("served %s, which no add of the log has", body)
}

// pulls takes the log of a peer to its end.
func (p *party) pulls(peer *party) error {
	if _, err := p.process.Pull(context.Background(), peer.name, 0); err != nil {
		return err
	}
	return p.has(peer)
}

// has makes sure that after a pull nothing of the peer's log, as it was last seen, is missing.
func (p *party) has(peer *party) error {
	s, err := look(p.db)
	if err != nil {
		return err
	}
	if f := lacking(facts(s.events), peer.log()); f != nil {
		return fmt.Errorf("a pull from %s that succeeded has not brought %s", peer.name, f)
	}
	return nil
}

// pullsUntil takes the log of a peer and is stopped when it asks for a page, as by a process that ends.
func (p *party) pullsUntil(peer *party, last int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	count := func() {
		mu.Lock()
		defer mu.Unlock()
		if last--; last < 0 {
			cancel()
		}
	}
	peer.asked.Store(&count)
	defer peer.asked.Store(nil)
	if _, err := p.process.Pull(ctx, peer.name, 0); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// storm has much happen at once: two pulls of one log, which grows, pushes that come, an own add.
func (w *world) storm(s step) error {
	p, peer := w.parties[s.who], w.parties[s.other]
	var pulls, g errgroup.Group
	for range 2 {
		pulls.Go(func() error {
			_, err := p.process.Pull(context.Background(), peer.name, 0)
			return err
		})
	}
	over, cancel := context.WithCancel(context.Background())
	g.Go(func() error {
		defer cancel()
		return pulls.Wait()
	})
	g.Go(func() error { return p.watch(over, peer) })
	var arrived []*travelling
	for i := range 2 {
		if e := w.push(s.n+i, true); e != nil {
			g.Go(e.deliver)
			arrived = append(arrived, e)
		}
	}
	g.Go(func() error { return p.adds(s) })
	next := s
	next.of, next.n = (s.of+1)%numberOfVersions, s.n+1
	g.Go(func() error { return peer.adds(next) })
	if err := g.Wait(); err != nil {
		return err
	}
	for _, e := range arrived {
		e.to.heard = append(e.to.heard, e.events...)
	}
	for _, all := range w.parties {
		if err := all.settle(); err != nil {
			return err
		}
	}
	return p.has(peer)
}

// watch makes sure, until it is over, that the pull pointer for a peer moves forward, unless it begins again with a new epoch.
func (p *party) watch(over context.Context, peer *party) error {
	last := int64(0)
	for over.Err() == nil {
		now, err := models.FindPeer(p.db, peer.name)
		if err != nil {
			return err
		}
		if now.PullPosition < last && now.PullPosition > 0 {
			return fmt.Errorf("the pull pointer for %s went back from %d to %d", peer.name, last, now.PullPosition)
		}
		last = now.PullPosition
	}
	return nil
}

// agree has everybody pull from everybody until nothing comes any more, and compares.
func (w *world) agree() error {
	live := make(map[fact]bool)
	for _, p := range w.parties {
		for f := range facts(p.log()) {
			live[f] = true
		}
	}
	for round := 0; ; round++ {
		appended := 0
		for _, p := range w.parties {
			for _, peer := range w.parties {
				if p == peer {
					continue
				}
				got, err := p.process.Pull(context.Background(), peer.name, 0)
				if err != nil {
					return err
				}
				appended += got.Appended
				if err := w.look(pair{p, peer}); err != nil {
					return err
				}
			}
		}
		if appended == 0 {
			break
		}
		if round > 4 {
			return errors.New("it never comes to rest")
		}
	}
	for _, p := range w.parties {
		have := facts(p.log())
		for f := range live {
			if !have[f] {
				return fmt.Errorf("%s lacks %s, which was in a log", p.name, f)
			}
		}
		if len(have) != len(live) {
			return fmt.Errorf("%s has %d events, all together had %d", p.name, len(have), len(live))
		}
		for n := range numberOfVersions {
			if err := p.serves(n); err != nil {
				return fmt.Errorf("%s: %s: %w", p.name, versionName(n), err)
			}
		}
		var problems []string
		report := func(problem worker.Problem) { problems = append(problems, problem.String()) }
		if _, err := p.process.Verify(context.Background(), report); err != nil {
			return err
		}
		if len(problems) > 0 {
			return fmt.Errorf("%s: %s", p.name, problems[0])
		}
	}
	return nil
}
