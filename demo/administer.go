package main

import (
	"context"
	"fmt"
	"time"
)

// befriend makes two deployments peers of each other.
func (s *stage) befriend(ctx context.Context, a, b *deployment) error {
	for _, pair := range [][2]*deployment{{a, b}, {b, a}} {
		d, peer := pair[0], pair[1]
		if err := d.task(ctx, nil, "peers:add", peer.url, peer.key); err != nil {
			return err
		}
		s.out.command(fmt.Sprintf("olympus task peers:add %s %.40s…", peer.url, peer.key))
		s.out.say("  %s is a peer of %s", peer.label, d.label)
	}
	return nil
}

// pulled is what a pull brought, as the task sync:pull tells it.
type pulled struct {
	Pulled       int   `json:"pulled"`
	Appended     int   `json:"appended"`
	PullPosition int64 `json:"pull_position"`
}

func (p pulled) String() string {
	return fmt.Sprintf("pulled %d, appended %d, pull pointer at %d", p.Pulled, p.Appended, p.PullPosition)
}

// pull lets a deployment pull from a peer, which must bring what is wanted.
func (s *stage) pull(ctx context.Context, d, peer *deployment, want pulled) error {
	var answers []pulled
	if err := d.task(ctx, &answers, "sync:pull", peer.name); err != nil {
		return err
	}
	if len(answers) != 1 {
		return fmt.Errorf("%s pulls from %s: %d answers, and should be one", d.label, peer.label, len(answers))
	}
	s.out.command("olympus task sync:pull " + peer.name)
	s.out.say("  %s pulls from %s: %s", d.label, peer.label, answers[0])
	if answers[0] != want {
		return fmt.Errorf("%s pulls from %s: %s, and should be: %s", d.label, peer.label, answers[0], want)
	}
	return nil
}

// awaitHeld waits until the zip of a version is in the blob store of a deployment.
func (s *stage) awaitHeld(ctx context.Context, d *deployment, m sample) error {
	return s.await(ctx, fmt.Sprintf("%s holds the zip of %s", d.label, m.label()), func(ctx context.Context) (bool, error) {
		var version struct{ Held bool }
		err := d.getJSON(ctx, "/modules/"+m.String(), &version)
		return version.Held, err
	})
}

// await waits for a condition. Errors of looking for it count only when the time is over.
func (s *stage) await(ctx context.Context, what string, condition func(context.Context) (bool, error)) error {
	const patience = 60 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		met, err := condition(ctx)
		if met && err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("waiting until %s: %w", what, err)
			}
			return fmt.Errorf("waiting until %s: not after %s", what, patience)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unknown returns the events of a page that a log does not hold, compared as deployments compare them.
func unknown(page, log []entry) []entry {
	held := map[entry]bool{}
	for _, e := range log {
		e.Position = 0
		held[e] = true
	}
	var left []entry
	for _, e := range page {
		fact := e
		if fact.Position = 0; !held[fact] {
			left = append(left, e)
		}
	}
	return left
}
