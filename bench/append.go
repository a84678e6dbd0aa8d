package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobuffalo/pop/v6"
	"golang.org/x/sync/errgroup"

	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
	"olympus/worker"
)

func newOutput() *bytes.Buffer { return &bytes.Buffer{} }

// benchAppend compares the appends of 32 concurrent writers with those of one.
func benchAppend(ctx context.Context, l *lab) ([]row, error) {
	d, drop, err := l.inProcess(ctx, "append.example.com", worker.Options{FetchLazy: true})
	if err != nil {
		return nil, err
	}
	defer drop()
	var number atomic.Int64
	rate := func(writers int) (float64, error) {
		const seconds = 3
		until := time.Now().Add(seconds * time.Second)
		var done atomic.Int64
		var all errgroup.Group
		for range writers {
			all.Go(func() error {
				for time.Now().Before(until) {
					if err := d.Append(true, []protocol.Event{event(int(number.Add(1)))}, nil); err != nil {
						return err
					}
					done.Add(1)
				}
				return nil
			})
		}
		err := all.Wait()
		return float64(done.Load()) / seconds, err
	}
	var one, many float64
	for range 3 { // in turn, so that both see the same noise
		n, err := rate(1)
		if err != nil {
			return nil, err
		}
		m, err := rate(32)
		if err != nil {
			return nil, err
		}
		one, many = one+n/3, many+m/3
	}
	return []row{{
		"appends, 32 writers", fmt.Sprintf("%.0f/s", many), fmt.Sprintf("one writer %.0f/s", one), fmt.Sprintf("%.1f", many/one),
		"at least 10", many/one >= 10,
	}}, nil
}

// inProcess makes a deployment inside this program, with a database of its own that drop removes.
func (l *lab) inProcess(ctx context.Context, name string, o worker.Options) (d *worker.Deployment, drop func(), err error) {
	database, err := l.database(ctx)
	if err != nil {
		return nil, nil, err
	}
	undo := []func(){func() { l.dropDatabase(database) }}
	drop = func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	defer func() {
		if err != nil {
			drop()
		}
	}()
	db, err := pop.NewConnection(&pop.ConnectionDetails{URL: database, Pool: 8, IdlePool: 8})
	if err != nil {
		return nil, nil, err
	}
	if err := db.Open(); err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() { _ = db.Close() })
	migrate := exec.CommandContext(ctx, l.binary, "migrate")
	migrate.Env = append(os.Environ(), "DATABASE_URL="+database)
	if out, err := migrate.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("olympus migrate: %w: %s", err, out)
	}
	log := slog.New(slog.DiscardHandler)
	queue, err := worker.NewQueue(ctx, database, worker.NewProcess(), log)
	if err != nil {
		return nil, nil, err
	}
	undo = append(undo, func() { _ = queue.Stop() })
	dir, err := os.MkdirTemp(l.dir, "store-")
	if err != nil {
		return nil, nil, err
	}
	store, err := blob.Open(ctx, "file://"+dir, blob.Options{})
	if err != nil {
		return nil, nil, err
	}
	key, _, err := signature.GenerateKey(name)
	if err != nil {
		return nil, nil, err
	}
	signer, err := signature.NewSigner(key)
	if err != nil {
		return nil, nil, err
	}
	o.Name, o.PageSize = name, 1000
	d, err = worker.New(&worker.Deployment{
		Options: o, DB: db, Store: store, Queue: queue, Log: log, Follower: models.NewFollower(), Process: worker.NewProcess(),
		Peers: peer.NewClient(signer, peer.Options{}), Signer: signer,
	})
	return d, drop, err
}

// event is the n-th of a series of adds that are valid but for their zips, which nobody has, with a go.mod and .info of usual size.
func event(n int) protocol.Event {
	path := fmt.Sprintf("example.com/owner%d/repository%d", n/200, n/20)
	version := fmt.Sprintf("v1.%d.0", n%20)
	var mod strings.Builder
	fmt.Fprintf(&mod, "module %s\n\ngo 1.24\n\nrequire (\n", path)
	for i := range 8 {
		fmt.Fprintf(&mod, "\texample.org/dependency%d/library v1.%d.%d\n", (n+i)%997, i, n%31)
	}
	mod.WriteString(")\n")
	sum := fmt.Sprintf("%064x", n)
	return protocol.Event{
		Kind: protocol.KindAdd, Module: path, Version: version, Origin: "om.example.com",
		Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Millisecond),
		// Any hash will do: it is looked at only when the zip is downloaded.
		ZipHash: protocol.ModHash([]byte(sum)), ZipSHA256: sum, ZipSize: int64(10_000 + n%1000),
		ModHash: protocol.ModHash([]byte(mod.String())), Mod: mod.String(),
		Info: fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z","Origin":{"VCS":"git","URL":"https://%s","Ref":"refs/tags/%s"}}`, version, path, version),
	}
}
