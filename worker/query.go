package worker

import (
	"context"

	"olympus/internal/gate"
)

// concurrentQueries bounds the version queries that one process asks upstream at a time, waitingQueries those that wait besides. Each is
// asked for every time: what a branch is may change at any moment.
const (
	concurrentQueries = 16
	waitingQueries    = 500
)

// concurrentChecksums bounds the questions of clients to the checksum database of fills that one process passes on, or answers, at a time;
// waitingChecksums those that wait besides.
const (
	concurrentChecksums = 32
	waitingChecksums    = 500
)

// waitingRequests bounds the requests of one process that wait for a miss, a remote zip or a list, however many of them want the same:
// each keeps a connection, and others are to be had for what is held.
const waitingRequests = 2000

// Query has upstream resolve a version query, such as a branch, a commit or "latest", to a version and its .info.
func (d *Deployment) Query(ctx context.Context, path, query string) (info []byte, version string, err error) {
	gate.EndTurn(ctx)
	leave, err := d.queries.Enter(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	return d.Upstream.Query(ctx, path, query)
}

// Checksum returns what the checksum database of fills has at a path, for a client that checks it itself.
func (d *Deployment) Checksum(ctx context.Context, path string) ([]byte, error) {
	gate.EndTurn(ctx)
	leave, err := d.checksums.Enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	return d.Upstream.Checksum(ctx, path)
}
