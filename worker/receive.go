package worker

import (
	"context"
	"encoding/json"

	"github.com/gobuffalo/pop/v6"
	"github.com/riverqueue/river"

	"olympus/internal/protocol"
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

// EnqueueReceive queues a push whose signature and body have been checked. Once the transaction commits, it may be acknowledged.
func (d *Deployment) EnqueueReceive(tx *pop.Connection, peer string, events []protocol.Event) error {
	return d.Queue.enqueue(tx, river.InsertManyParams{
		Args:       receiveArgs{Peer: peer, Push: protocol.AppendPush(nil, events)},
		InsertOpts: &river.InsertOpts{MaxAttempts: maxAttempts},
	})
}

// receive merges the events of a push, exactly as a pull would, except that no pull pointer moves and nothing is pushed on. It is
// safe to run twice: merging leaves out what the log holds.
func (d *Deployment) receive(_ context.Context, job *river.Job[receiveArgs]) error {
	events, err := protocol.ParsePush(job.Args.Push)
	if err != nil {
		return err
	}
	return d.Append(false, events, nil)
}
