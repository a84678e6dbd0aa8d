package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// view is what one deployment has of the log and of others' logs.
type view struct {
	log      []string         // labels of the events, in its order
	pointers map[string]int64 // its pull pointers, by the label of the peer
}

func (v view) events() string { return "[" + strings.Join(v.log, " ") + "]" }

// pulled shows the pull pointers.
func (v view) pulled() string {
	var texts []string
	for label, position := range v.pointers {
		texts = append(texts, fmt.Sprintf("%s %d", label, position))
	}
	slices.Sort(texts)
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, ", ")
}

// situation is what some deployments have, by label.
type situation map[string]view

// difference tells how a situation differs from the one that was wanted; empty if it does not. The order within a log counts.
func (s situation) difference(want situation) string {
	for _, label := range want.labels() {
		g, w := s[label], want[label]
		if g.events() != w.events() {
			return fmt.Sprintf("the log of %s is %s, and should be %s", label, g.events(), w.events())
		}
		if g.pulled() != w.pulled() {
			return fmt.Sprintf("the pull pointers of %s are (%s), and should be (%s)", label, g.pulled(), w.pulled())
		}
	}
	return ""
}

// labels are in the order in which the scenario tells of the deployments: who receives first.
func (s situation) labels() []string {
	var labels []string
	for _, label := range []string{"OG", "OA", "OM"} {
		if _, ok := s[label]; ok {
			labels = append(labels, label)
		}
	}
	return labels
}

// table shows a situation beside the one that was wanted.
func (s situation) table(want situation) [][]string {
	rows := [][]string{{"", "log", "pull pointers", "expected log", "pull pointers", ""}}
	for _, label := range want.labels() {
		g, w := s[label], want[label]
		verdict := isOK
		if (situation{label: g}).difference(situation{label: w}) != "" {
			verdict = differs
		}
		rows = append(rows, []string{label, g.events(), g.pulled(), w.events(), w.pulled(), verdict})
	}
	return rows
}

// entry is what interests here of an event in a log.
type entry struct {
	Position int64  `json:"position"`
	Kind     string `json:"kind"`
	Module   string `json:"module"`
	Version  string `json:"version"`
	ZipHash  string `json:"zip_hash"`
}

// parseEntries decodes events, one a line. Their positions must go on without a gap after the given one.
func parseEntries(lines []byte, after int64) ([]entry, error) {
	var entries []entry
	for line := range bytes.Lines(lines) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("event %.200q: %w", line, err)
		}
		if after++; e.Position != after {
			return nil, fmt.Errorf("an event has position %d, and should have %d", e.Position, after)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// label is what the scenario calls an event.
func (s *stage) label(e entry) string {
	for _, m := range s.modules {
		if e.Kind == "add" && e.Module == m.path && e.Version == m.version {
			return m.label()
		}
	}
	return e.Kind + " " + e.Module + "@" + e.Version
}

func (s *stage) labels(entries []entry) string {
	labels := make([]string, len(entries))
	for i, e := range entries {
		labels[i] = s.label(e)
	}
	return "[" + strings.Join(labels, " ") + "]"
}

// entries reads the log of a deployment, whether it serves or not.
func (s *stage) entries(ctx context.Context, d *deployment) ([]entry, error) {
	lines, err := d.taskOutput(ctx, "log:show")
	if err != nil {
		return nil, err
	}
	entries, err := parseEntries(lines, 0)
	if err != nil {
		return nil, fmt.Errorf("the log of %s: %w", d.label, err)
	}
	return entries, nil
}

// peerState is what interests here of how a deployment stands with a peer.
type peerState struct {
	Name         string `json:"name"`
	PullPosition int64  `json:"pull_position"`
	LastError    string `json:"last_error"`
	QueuedPushes int64  `json:"queued_pushes"`
}

// look reads the log and the pull pointers of a deployment.
func (s *stage) look(ctx context.Context, d *deployment) (view, error) {
	entries, err := s.entries(ctx, d)
	if err != nil {
		return view{}, err
	}
	v := view{pointers: map[string]int64{}}
	for _, e := range entries {
		v.log = append(v.log, s.label(e))
	}
	var peers []peerState
	if err := d.task(ctx, &peers, "peers:list"); err != nil {
		return view{}, err
	}
	for _, p := range peers {
		label := p.Name
		for _, other := range s.deployments {
			if other.name == p.Name {
				label = other.label
			}
		}
		v.pointers[label] = p.PullPosition
	}
	return v, nil
}

// expect shows the logs and pull pointers beside those that there must be, and returns the first difference as an error.
func (s *stage) expect(ctx context.Context, want situation) error {
	views := make([]view, len(s.deployments))
	g, ctx := errgroup.WithContext(ctx)
	for i, d := range s.deployments {
		if _, ok := want[d.label]; ok {
			g.Go(func() (err error) {
				views[i], err = s.look(ctx, d)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	got := situation{}
	for i, d := range s.deployments {
		got[d.label] = views[i]
	}
	s.out.table(got.table(want))
	if difference := got.difference(want); difference != "" {
		return errors.New(difference)
	}
	return nil
}
