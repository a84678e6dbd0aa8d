package actions

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"olympus/internal/download"
	"olympus/internal/postgres"
	"olympus/models"
	"olympus/worker"
)

const (
	// maxAnswers and maxAnswerBytes bound the cache of answers: their number, and the bytes of their bodies together.
	maxAnswers     = 100_000
	maxAnswerBytes = 64 << 20
	// maxCachedBody is the largest body that is kept; larger ones are rare and read again each time.
	maxCachedBody = 256 << 10
	// maxTouched is how many events the cache follows one by one; further behind, it starts again from nothing.
	maxTouched = 2000
)

// answer is what a path of the download protocol is answered with while no event touches its version.
type answer struct {
	module, version string
	ext             download.Ext
	header          answerHeader
	body            []byte
	sha256          string // of the blob that is the body, for a zip
	size            int64  // of the body or blob, in bytes
	until           time.Time
}

// answerHeader are the values of the header fields, ready to be shared between responses.
type answerHeader struct{ contentType, cacheControl, etag, length []string }

// answers is a cache of answers that follows the event log: whoever appends an event, in whichever process, what it touches is dropped
// before the next request is looked up. While the log cannot be followed nothing is served from here.
type answers struct {
	follower *models.Follower
	patience time.Duration      // for the database
	reads    singleflight.Group // of what events touch, by the marks from and to which they lead
	mu       sync.Mutex
	at       mark
	bytes    int64
	byPath   *lru.Cache[string, *answer]
}

// mark is up to where the cache has followed the log: the head, and the follower's generation.
type mark struct{ head, generation int64 }

// nowhere is the mark of a cache that cannot follow the log.
var nowhere = mark{head: -1}

func newAnswers(f *models.Follower, patience time.Duration) *answers {
	c := &answers{follower: f, patience: patience}
	c.byPath, _ = lru.NewWithEvict(maxAnswers, func(_ string, a *answer) { c.bytes -= int64(len(a.body)) })
	return c
}

// get returns the answer for a path, nil when there is none that is sure to be right now.
func (c *answers) get(path string) *answer {
	head, generation, connected := c.follower.Known()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !connected || c.at != (mark{head, generation}) {
		return nil
	}
	a, ok := c.byPath.Get(path)
	if !ok || !a.until.IsZero() && time.Now().After(a.until) {
		return nil
	}
	return a
}

// catchUp drops what the events since the last call touch, and returns up to where the cache is right; an answer that is put must have
// been read after this.
func (c *answers) catchUp(ctx context.Context, d *worker.Deployment) (mark, error) {
	now, from := c.turn(d)
	if now == from {
		return now, nil
	}
	// Whoever has the answers waits for nobody: hits are served while the database is being asked, and while it does not answer. All who
	// have to catch up from and to the same marks share a question, which does not end with the first of them.
	read, err, _ := c.reads.Do(fmt.Sprint(from, now), func() (any, error) {
		ctx := postgres.Impatient(context.WithoutCancel(ctx), c.patience)
		return models.TouchedAfter(d.DB.WithContext(ctx), from.head, maxTouched+1)
	})
	if err != nil {
		return nowhere, err
	}
	touched := read.([]models.Touched)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.generation != from.generation || c.at.head < from.head {
		return nowhere, nil // it has begun anew meanwhile
	}
	for _, t := range touched {
		if t.Position <= c.at.head {
			continue
		}
		c.drop(t.Module, t.Version)
		d.ForgetUnknown(t.Module, t.Version)
		c.at.head = t.Position
	}
	return c.at, nil
}

// turn returns the mark to which the cache should be brought, and the one at which it is. Where events cannot tell what to drop, it drops
// everything: the two are the same then.
func (c *answers) turn(d *worker.Deployment) (now, at mark) {
	head, generation, connected := c.follower.Known()
	now = mark{head, generation}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !connected:
		c.byPath.Purge()
		c.at, now = nowhere, nowhere
	case now == c.at:
	case c.at == nowhere || generation > c.at.generation || head-c.at.head > maxTouched:
		c.byPath.Purge()
		d.ForgetAllUnknown()
		c.at = now
	case generation < c.at.generation || head < c.at.head:
		now = c.at // another request was faster
	}
	return now, c.at
}

func (c *answers) drop(module, version string) {
	for _, ext := range []download.Ext{download.List, download.Latest, download.Info, download.Mod, download.Zip} {
		c.byPath.Remove(download.Request{Module: module, Version: version, Ext: ext}.Path())
	}
}

// forget drops the answers of one version: its blob turned out to be gone.
func (c *answers) forget(module, version string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(module, version)
}

// put keeps an answer that was read when the cache stood at a mark; if the log has been followed further since, it may be out of date
// and is not kept.
func (c *answers) put(path string, a *answer, at mark) {
	if len(a.body) > maxCachedBody {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at == nowhere || at != c.at {
		return
	}
	if old, ok := c.byPath.Peek(path); ok {
		c.bytes -= int64(len(old.body))
	}
	c.byPath.Add(path, a)
	c.bytes += int64(len(a.body))
	for c.bytes > maxAnswerBytes {
		c.byPath.RemoveOldest()
	}
}

// write sends the header fields of an answer.
func (h *answerHeader) write(w http.ResponseWriter) {
	fields := w.Header()
	fields["Content-Type"] = h.contentType
	fields["Cache-Control"] = h.cacheControl
	if h.etag != nil {
		fields["Etag"] = h.etag
	}
}
