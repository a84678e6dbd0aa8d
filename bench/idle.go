package main

import (
	"context"
	"fmt"
	"time"
)

// benchIdle measures a deployment with a peer that does nothing but its ticks.
func benchIdle(ctx context.Context, l *lab) ([]row, error) {
	om, err := l.olympus(ctx, "om.example.com")
	if err != nil {
		return nil, err
	}
	defer l.stop(om)
	oa, err := l.olympus(ctx, "oa.example.com", "OLYMPUS_PULL_INTERVAL=30s")
	if err != nil {
		return nil, err
	}
	defer l.stop(oa)
	if err := introduce(ctx, oa, om); err != nil {
		return nil, err
	}
	// The first seconds are start-up; then a minute counts.
	const settle, span = 10 * time.Second, time.Minute
	if err := pause(ctx, settle); err != nil {
		return nil, err
	}
	before, err := oa.cpu()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, span); err != nil {
		return nil, err
	}
	after, err := oa.cpu()
	if err != nil {
		return nil, err
	}
	resident, err := oa.memory("VmRSS")
	if err != nil {
		return nil, err
	}
	share := 100 * (after - before).Seconds() / span.Seconds()
	return []row{
		{"idle, memory", fmt.Sprintf("%d MiB", resident>>20), "", "", "under 60 MiB", resident < 60<<20},
		{"idle, of a core", fmt.Sprintf("%.2f %%", share), "", "", "under 1 %", share < 1},
	}, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
