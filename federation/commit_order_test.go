package federation

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/models"
)

// Commits of different length, from two processes at once: whoever has seen a position has seen all below, at any moment and however he
// reads. A reader that found a gap would move its pull pointer over an event that is not there yet, and miss it for ever.
func TestReadersNeverSeeAGap(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	twin := om.another(nil)
	for _, statement := range []string{
		`CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN PERFORM pg_sleep(CASE WHEN NEW.position % 5 = 0 THEN 0.04 ELSE 0 END); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
			FOR EACH ROW EXECUTE FUNCTION linger()`,
	} {
		require.NoError(t, om.DB.RawQuery(statement).Exec())
	}

	const writers, each = 6, 12
	const total = int64(2 * writers * each)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	// A reader takes what comes after its position, checks it, and goes on from there until it has all.
	follow := func(how string, read func(after int64) ([]protocol.Logged, error)) func() {
		return func() {
			for after := int64(0); after < total; {
				events, err := read(after)
				if err != nil {
					t.Errorf("%s: %v", how, err)
					return
				}
				for i := range events {
					if events[i].Position != after+1 {
						t.Errorf("%s: position %d after %d", how, events[i].Position, after)
						return
					}
					after = events[i].Position
				}
				if ctx.Err() != nil {
					t.Errorf("%s: has seen %d events of %d", how, after, total)
					return
				}
			}
		}
	}
	var all sync.WaitGroup
	for _, d := range []*deployment{om, twin} {
		all.Go(follow("models", func(after int64) ([]protocol.Logged, error) { return models.Events(d.DB, after, 7, 1<<20) }))
		for _, wait := range []int{0, 5} {
			all.Go(follow("http", func(after int64) ([]protocol.Logged, error) {
				got := d.ask("GET", fmt.Sprintf("/eventlog?after=%d&wait=%d", after, wait))
				page, err := protocol.ReadPage(strings.NewReader(got.body), after, 1000)
				if err != nil {
					return nil, fmt.Errorf("status %d: %w", got.status, err)
				}
				if page.Head < page.Next || page.Head > total {
					return nil, fmt.Errorf("head %d at position %d", page.Head, page.Next)
				}
				return page.Events, nil
			}))
		}
		for writer := range writers {
			all.Go(func() {
				for i := range each {
					module := fmt.Sprintf("example.com/%s/w%d/m%d", d.Process, writer, i)
					module = strings.ToLower(module)
					if err := d.Append(true, []protocol.Event{said(protocol.KindDelete, module, "v1.0.0", d.Name)}, nil); err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
		}
	}
	all.Wait()
	require.Len(t, om.log(), int(total))
	require.Equal(t, int(total), om.count("(SELECT logged_at, lag(logged_at) OVER (ORDER BY position) AS before FROM events) e WHERE before IS NULL OR before < logged_at"))
}
