package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/models"
)

const (
	// maxExplained bounds the events, pushes and changes of one version that are told, each.
	maxExplained = 100
	// explainTimeout bounds how long peers are waited for.
	explainTimeout = 3 * time.Second
)

// Explain tells the life of a version at this deployment.
func (d *Deployment) Explain(ctx context.Context, path, version string) (*peer.Life, error) {
	life := &peer.Life{Deployment: d.Name, State: peer.StateUnknown, Steps: []peer.Step{}}
	db := d.db(ctx)
	v, err := models.FindVersion(db, path, version)
	switch {
	case errors.Is(err, models.ErrNotFound):
		life.Reason, err = d.whyUnknown(db, path, version)
		return life, err
	case err != nil:
		return nil, err
	}
	life.State, life.Held = v.State(), v.Held && !v.Deleted
	events, err := models.EventsOf(db, path, version)
	if err != nil {
		return nil, err
	}
	if len(events) > 0 {
		life.Position = events[0].Position
	}
	for _, tell := range []func() error{
		func() error { return d.tellEvents(db, life, events) },
		func() error { return d.tellZip(db, life, v) },
		func() error { return tellChanges(db, life, path, version) },
	} {
		if err := tell(); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(life.Steps, func(a, b peer.Step) int { return a.At.Compare(b.At) })
	life.Reason = d.whyNotHeld(v, events)
	return life, nil
}

// step adds what happened at a time; nothing if that is not known.
func step(life *peer.Life, at *time.Time, what, format string, args ...any) {
	if at != nil {
		life.Steps = append(life.Steps, peer.Step{At: at.UTC(), What: what, Says: fmt.Sprintf(format, args...)})
	}
}

// tellEvents tells of the events of a version: where they came from, and for those that originated here, who was told of them.
func (d *Deployment) tellEvents(db *pop.Connection, life *peer.Life, events []protocol.Logged) error {
	for i := range events[:min(len(events), maxExplained)] {
		e := &events[i]
		at, err := models.LoggedAt(db, e.Position)
		if err != nil {
			return err
		}
		how, arrival := "it originated here", (*models.Arrival)(nil)
		if arrival, err = models.ArrivalOf(db, e.Position); err != nil && !errors.Is(err, models.ErrNotFound) {
			return err
		}
		switch {
		case arrival != nil:
			how = arrivedHow(arrival) + ", originated at " + e.Origin
		case e.Origin != d.Name:
			how = "originated at " + e.Origin
		}
		says := fmt.Sprintf("logged at position %d; %s", e.Position, how)
		if e.Reason != "" {
			says += "; reason: " + e.Reason
		}
		step(life, &at, string(e.Kind), "%s", says)
		if e.Origin != d.Name {
			continue
		}
		pushes, err := models.DeliveriesOf(db, e.Position, maxExplained)
		if err != nil {
			return err
		}
		for _, p := range pushes {
			tellPush(life, e, &p, at)
		}
	}
	return nil
}

func arrivedHow(a *models.Arrival) string {
	switch a.Way {
	case models.ByPush:
		return "pushed by " + a.Peer
	case models.ByPull:
		return "pulled from " + a.Peer
	}
	return "told by " + a.Peer + ", which was asked for it"
}

func tellPush(life *peer.Life, e *protocol.Logged, p *models.Delivery, logged time.Time) {
	attempts := counted(p.Attempts, "attempt")
	switch {
	case p.EndedAt == nil && p.Attempts == 0:
		step(life, &logged, "push", "the push of the %s to %s is queued", e.Kind, p.Peer)
	case p.EndedAt == nil:
		step(life, &logged, "push", "the push of the %s to %s is not through after %s: %s", e.Kind, p.Peer, attempts, cmp.Or(p.Error, "under way"))
	case p.Error == "":
		step(life, p.EndedAt, "push", "%s took the push of the %s, at attempt %d", p.Peer, e.Kind, p.Attempts)
	default:
		step(life, p.EndedAt, "push", "the push of the %s to %s was given up after %s, its next pull brings it: %s", e.Kind, p.Peer, attempts, p.Error)
	}
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// tellZip tells how the zip came, when the version was first served, and what last went wrong.
func (d *Deployment) tellZip(db *pop.Connection, life *peer.Life, v *models.Version) error {
	kept, err := models.LifeOf(db, v.Module, v.Version)
	if err != nil {
		return err
	}
	step(life, kept.AskedAt, "asked", "asked for, and not known: the fill began")
	step(life, kept.HeldAt, "held", "its zip of %d bytes was checked and stored; it came from %s", v.ZipSize, kept.HeldFrom)
	step(life, kept.ServedAt, "served", "a client was given one of its files for the first time")
	if v.FetchError != "" && !v.Held {
		step(life, v.FetchErrorAt, "failed", "its zip could not be fetched, at attempt %d: %s", v.FetchAttempts, inOneLine(v.FetchError))
	}
	return nil
}

// tellChanges tells who changed what.
func tellChanges(db *pop.Connection, life *peer.Life, path, version string) error {
	changes, err := models.AuditOf(db, path+"@"+version, maxExplained)
	for i := range changes {
		c := &changes[i]
		step(life, &c.Time, "administrator", "%s, asked for here by %s", c.Action, c.Actor)
	}
	return err
}

// whyUnknown says what is known of a version that no event speaks of.
func (d *Deployment) whyUnknown(db *pop.Connection, path, version string) (string, error) {
	f, err := models.FindFill(db, path, version)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return "No event of the log speaks of it.", nil
	case err != nil:
		return "", err
	case f.Process != "":
		return "It is being filled since " + clock(f.StartedAt) + ".", nil
	}
	return fmt.Sprintf("It could not be filled in %s, the next is due %s: %s", counted(f.Attempts, "attempt"), clock(f.DueAt), f.Error), nil
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// whyNotHeld says why a version is not served, or why its zip is not here; nothing if it is held.
func (d *Deployment) whyNotHeld(v *models.Version, events []protocol.Logged) string {
	switch {
	case v.Deleted:
		for i := range events {
			if e := &events[i]; e.Kind == protocol.KindDelete {
				return strings.TrimSuffix(fmt.Sprintf("It was deleted by %s and is barred for good: %s", e.Origin, e.Reason), ": ") + "."
			}
		}
		return "It was deleted and is barred for good."
	case v.Held:
		return ""
	case !v.Known():
		return "Only a deprecation of it is known, and nobody has added it."
	case v.FetchLeasedUntil != nil && time.Now().Before(*v.FetchLeasedUntil):
		return "Its zip is being fetched."
	case v.FetchError != "":
		next := "when a client asks for it"
		if !d.FetchLazy && v.FetchDueAt != nil {
			next = clock(*v.FetchDueAt)
		}
		return fmt.Sprintf("Its zip could not be fetched in %s, next try %s: %s", counted(v.FetchAttempts, "attempt"), next, inOneLine(v.FetchError))
	case d.FetchLazy:
		return "Its zip is fetched when a client asks for it: OLYMPUS_FETCH is lazy."
	}
	return "Its zip waits for its turn to be fetched."
}

// ExplainEverywhere tells the life of a version at this deployment, first, and at each active peer, by name. Where none knows it and
// askUpstream is set, upstream is asked whether it does; nothing of its answer is kept.
func (d *Deployment) ExplainEverywhere(ctx context.Context, path, version string, askUpstream bool) ([]peer.Life, error) {
	own, err := d.Explain(ctx, path, version)
	if err != nil {
		return nil, err
	}
	peers, err := models.ActivePeers(d.db(ctx))
	if err != nil {
		return nil, err
	}
	lives := make([]peer.Life, len(peers))
	bounded, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	var wg sync.WaitGroup
	for i := range peers {
		wg.Go(func() {
			life, err := d.Peers.Explain(bounded, target(&peers[i]), path, version)
			if errors.Is(err, peer.ErrNotFound) {
				err = errors.New("its release cannot explain versions")
			}
			if err != nil {
				life = &peer.Life{Deployment: peers[i].Name, Steps: []peer.Step{}, Error: err.Error()}
			}
			lives[i] = *life
		})
	}
	wg.Wait()
	if own.State == peer.StateUnknown {
		own.Reason += " " + d.whoKnows(ctx, path, version, peers, lives, askUpstream)
	}
	return append([]peer.Life{*own}, lives...), nil
}

// whoKnows says where a version is that is unknown here, and what brings it.
func (d *Deployment) whoKnows(ctx context.Context, path, version string, peers []models.Peer, lives []peer.Life, askUpstream bool) string {
	silent := 0
	for i := range lives {
		p, life := &peers[i], &lives[i]
		switch {
		case life.Error != "":
			silent++
		case life.Position > p.PullPosition:
			return fmt.Sprintf("%s has it at position %d, and its log has been taken up to position %d: the next pull brings it.",
				p.Name, life.Position, p.PullPosition)
		case life.Position > 0:
			return fmt.Sprintf("%s has it at position %d, which the pull pointer has passed: run olympus task log:replay %s %d.",
				p.Name, life.Position, p.Name, life.Position-1)
		}
	}
	text := "No peer that answers knows it."
	if silent > 0 {
		text = fmt.Sprintf("%s did not tell.", counted(silent, "peer"))
	}
	if !askUpstream {
		return text + " Upstream is asked when a client asks for it, or by olympus task explain."
	}
	md, err := d.Upstream.Metadata(ctx, path, version)
	if err != nil {
		return text + " Upstream: " + err.Error() + "."
	}
	_ = md.Close() // nothing was written to it
	return text + fmt.Sprintf(" Upstream has it: ask for it, or run olympus task modules:add %s@%s.", path, version)
}

// inOneLine tells the errors of several peers, each of which has a line, as one sentence does.
func inOneLine(failures string) string { return strings.ReplaceAll(failures, "\n", "; ") }
