package worker

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"

	"olympus/internal/protocol"
	"olympus/internal/tracing"
	"olympus/models"
)

// receiveArgs carry one push of a peer, as its body on the wire.
type receiveArgs struct {
	Peer string          `json:"peer"`
	Push json.RawMessage `json:"push"`
}

func (receiveArgs) Kind() string { return "receive" }

func (d *Deployment) registerReceive() error {
	return register(d.Queue, d.receive, nil)
}

// receivesPerPeer bounds the pushes of one peer that wait to be worked, each of at most protocol.MaxPushBytes.
const receivesPerPeer = 100

// ErrTooManyPushes: so many pushes of the sender wait that it should come again later.
var ErrTooManyPushes = errors.New("too many pushes of yours wait to be worked")

// EnqueueReceive queues a push whose signature and body have been checked. Once the transaction commits, it may be acknowledged.
func (d *Deployment) EnqueueReceive(tx *pop.Connection, peer string, events []protocol.Event) error {
	waiting, err := models.CountReceives(tx, peer, receivesPerPeer)
	if err != nil {
		return err
	}
	if waiting >= receivesPerPeer {
		return ErrTooManyPushes
	}
	metadata, err := json.Marshal(map[string]string{"peer": peer}) // to be counted by, without reading the pushes
	if err != nil {
		return err
	}
	return d.Queue.enqueue(tx, river.InsertManyParams{
		Args:       receiveArgs{Peer: peer, Push: protocol.AppendPush(nil, events)},
		InsertOpts: &river.InsertOpts{MaxAttempts: maxAttempts, Metadata: metadata},
	})
}

// receive merges the events of a push, exactly as a pull would, except that no pull pointer moves and nothing is pushed on. It is
// safe to run twice: merging leaves out what the log holds.
func (d *Deployment) receive(ctx context.Context, job *river.Job[receiveArgs]) error {
	events, err := protocol.ParsePush(job.Args.Push)
	if err != nil {
		return err
	}
	tracing.About(ctx, tracing.Peer(job.Args.Peer))
	return d.take(ctx, events, slices.Repeat([]models.Arrival{{Way: models.ByPush, Peer: job.Args.Peer}}, len(events)))
}
