package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"
	"golang.org/x/time/rate"

	"olympus/internal/blob"
	"olympus/models"
)

const (
	// scrubPage is how many zips are looked up in one go.
	scrubPage = 100
	// scrubChunk is how many bytes are read in one go.
	scrubChunk = 256 << 10
	// scrubFloor is the least pace, in bytes per second: little is read soon.
	scrubFloor = 8 << 20
)

// A zip is due before its interval is over, and those that are due are read at a pace that leaves time to spare: so even if all come due
// at once, each is read again within the interval.
func scrubAge(interval time.Duration) time.Duration { return interval / 4 * 3 }

func scrubPace(heldBytes int64, interval time.Duration) float64 {
	return max(scrubFloor, 8*float64(heldBytes)/interval.Seconds())
}

// scrubArgs carry nothing: what is due is in the versions themselves.
type scrubArgs struct{}

func (scrubArgs) Kind() string { return "scrub" }

// queueScrub queues a scrub job when a zip is due, unless there is one.
func (d *Deployment) queueScrub(ctx context.Context) error {
	due, err := models.AnyScrubDue(d.db(ctx), scrubAge(d.ScrubInterval))
	if err != nil || !due {
		return err
	}
	return d.transaction(ctx, func(tx *pop.Connection) error {
		unfinished, err := models.JobUnfinished(tx, scrubArgs{}.Kind())
		if err != nil || unfinished {
			return err
		}
		return d.Queue.enqueue(tx, river.InsertManyParams{Args: scrubArgs{}})
	})
}

func (d *Deployment) registerScrub() error {
	return register(d.Queue, d.scrub, nil)
}

// scrub reads held zips that have not been read for long, and gives up those whose bytes are not what the log says: they are not served
// any more, and fetched again. It is safe to run twice: zips are read twice then.
func (d *Deployment) scrub(ctx context.Context, _ *river.Job[scrubArgs]) error {
	if d.ScrubInterval <= 0 {
		return nil
	}
	ctx, cancel := untilStop(ctx, d.Queue.stopping)
	defer cancel()
	held, err := models.HeldBytes(d.db(ctx))
	if err != nil {
		return err
	}
	pace := rate.NewLimiter(rate.Limit(scrubPace(held, d.ScrubInterval)), scrubChunk)
	var failures []error
	var last models.Scrub
	for {
		// A store that does not answer says nothing about any one zip.
		if err := d.Store.Check(ctx); err != nil {
			return err
		}
		due, err := models.ScrubsDue(d.db(ctx), scrubAge(d.ScrubInterval), last, scrubPage)
		if err != nil {
			return err
		}
		for i := range due {
			err := d.scrubZip(ctx, &due[i], pace)
			if d.Queue.stopping.Err() != nil {
				return nil // what is left stays due
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && len(failures) < scrubPage {
				failures = append(failures, err)
			}
		}
		if len(due) < scrubPage {
			return errors.Join(failures...)
		}
		last = due[len(due)-1]
	}
}

// scrubZip reads one zip. An error says nothing about its bytes.
func (d *Deployment) scrubZip(ctx context.Context, s *models.Scrub, pace *rate.Limiter) error {
	fault := d.readZip(ctx, s, pace)
	var what string
	switch {
	case fault == nil:
		d.metrics.scrubbedZips.Inc()
		return models.MarkScrubbed(d.db(ctx), s.Module, s.Version)
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(fault, blob.ErrNotFound):
		what = "its zip is missing in the blob store"
	case errors.Is(fault, errOtherBytes), errors.Is(fault, syscall.EIO):
		what = fmt.Sprintf("its zip is damaged: %v", fault)
	default:
		return fmt.Errorf("read the zip of %s@%s: %w", s.Module, s.Version, fault)
	}
	// It may have been deleted, lost or fetched anew since the page was read.
	v, err := models.FindVersion(d.db(ctx), s.Module, s.Version)
	if err != nil || !v.Held || v.Deleted || v.ZipSHA256 != s.ZipSHA256 {
		return err
	}
	d.Log.Error("a held zip is gone or damaged", "module", s.Module, "version", s.Version, "error", fault)
	d.metrics.scrubDamaged.Inc()
	return d.lose(ctx, &models.Holding{Module: s.Module, Version: s.Version, ZipSHA256: s.ZipSHA256}, what)
}

// errOtherBytes: a blob does not hold the bytes that its name says.
var errOtherBytes = errors.New("other bytes")

// readZip reads a blob at a pace and compares it with its name.
func (d *Deployment) readZip(ctx context.Context, s *models.Scrub, pace *rate.Limiter) error {
	b, err := d.Store.Open(ctx, s.ZipSHA256)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if b.Size() != s.ZipSize {
		return fmt.Errorf("%w: it has %d bytes, not %d", errOtherBytes, b.Size(), s.ZipSize)
	}
	hash, chunk := sha256.New(), make([]byte, scrubChunk)
	for {
		n, err := io.ReadFull(b, chunk)
		hash.Write(chunk[:n])
		d.metrics.scrubbedBytes.Add(float64(n))
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := pace.WaitN(ctx, n); err != nil {
			return err
		}
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != s.ZipSHA256 {
		return fmt.Errorf("%w: its SHA-256 is %s, not %s", errOtherBytes, sum, s.ZipSHA256)
	}
	return nil
}

// untilStop returns a context that also ends when stopping does.
func untilStop(ctx, stopping context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(stopping, cancel)
	return ctx, func() { detach(); cancel() }
}
