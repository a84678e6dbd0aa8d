package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"olympus/internal/peer"
)

// two is the part of OM and OA: a lost push is repaired by pulling.
func (s *stage) two() []step {
	return []step{
		{"T0", "OM has MxV1", s.t0Fill},
		{"T1", "OA joins and pulls from OM", s.t1Join},
		{"T2", "OM receives a miss for MyV1", s.t2Miss},
		{"T3", "OM pushes MyV1: timeout", s.t3Timeout},
		{"T4", "OM receives a miss for MzV1", s.t4Miss},
		{"T5", "OM pushes MzV1", s.t5Push},
		{"T6", "OA pulls from its pointer of T1: gets [MyV1 MzV1], dedup leaves [MyV1]", s.t6Pull},
		{"T7", "Both have everything", s.t7Same},
	}
}

func (s *stage) t0Fill(ctx context.Context) error {
	s.out.say("A client asks OM for a module. OM fills the miss from upstream and appends an event to its log.")
	if err := s.om.start(ctx, s.upstream); err != nil {
		return err
	}
	if err := s.fetch(ctx, s.om, s.modules[0]); err != nil {
		return err
	}
	return s.expect(ctx, situation{"OM": {log: []string{"MxV1"}}})
}

func (s *stage) t1Join(ctx context.Context) error {
	s.out.say("Each becomes the other's peer. OA takes OM's log from the start, and then the zip.")
	if err := s.oa.start(ctx, "off"); err != nil {
		return err
	}
	if err := s.befriend(ctx, s.oa, s.om); err != nil {
		return err
	}
	if err := s.pull(ctx, s.oa, s.om, pulled{Pulled: 1, Appended: 1, PullPosition: 1}); err != nil {
		return err
	}
	// OA is to hang in a moment: not in the middle of a download.
	if err := s.awaitHeld(ctx, s.oa, s.modules[0]); err != nil {
		return err
	}
	return s.expect(ctx, situation{
		"OA": {log: []string{"MxV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1"}, pointers: map[string]int64{"OA": 0}},
	})
}

func (s *stage) t2Miss(ctx context.Context) error {
	s.out.say("OA hangs from here on (SIGSTOP): it takes connections and answers nothing. OM asks it whether it knows")
	s.out.say("the version, gives up after two seconds, and fills from upstream. The push is queued with the event.")
	s.oa.process.signal(syscall.SIGSTOP)
	if err := s.fetch(ctx, s.om, s.modules[1]); err != nil {
		return err
	}
	return s.expect(ctx, s.afterLostPush())
}

// afterLostPush is how it stands when OM has a version that OA has not heard of.
func (s *stage) afterLostPush() situation {
	return situation{
		"OA": {log: []string{"MxV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1", "MyV1"}, pointers: map[string]int64{"OA": 0}},
	}
}

func (s *stage) t3Timeout(ctx context.Context) error {
	s.out.say("OM waits ten seconds for OA's answer. The attempt is its last here, so the push is dropped.")
	var oa peerState
	err := s.await(ctx, "OM gives the push up", func(ctx context.Context) (bool, error) {
		var peers []peerState
		err := s.om.getJSON(ctx, "/peers", &peers)
		if len(peers) == 1 {
			oa = peers[0]
		}
		return oa.QueuedPushes == 0 && oa.LastError != "", err
	})
	if err != nil {
		return err
	}
	s.out.command("olympus task peers:list")
	s.out.say("  %s", oa.LastError)
	if !strings.Contains(oa.LastError, peer.ErrSlow.Error()) {
		return errors.New("the push should have timed out")
	}
	if err := s.expect(ctx, s.afterLostPush()); err != nil {
		return err
	}
	// Were it only continued, it might still take the push that OM has given up: the kernel has received it on its behalf.
	s.out.say("OA is killed (-9), and with it goes what it had not read; then it is started again.")
	if err := s.oa.kill(); err != nil {
		return err
	}
	return s.oa.start(ctx, "off")
}

func (s *stage) t4Miss(ctx context.Context) error {
	s.out.say("As before, but OA answers now.")
	if err := s.fetch(ctx, s.om, s.modules[2]); err != nil {
		return err
	}
	return s.expect(ctx, situation{
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0}},
	})
}

func (s *stage) t5Push(ctx context.Context) error {
	s.out.say("OA puts the event into its log. Its pull pointer for OM stays: a push never moves it.")
	err := s.await(ctx, "the push of MzV1 arrives", func(ctx context.Context) (bool, error) {
		var status struct{ Head int64 }
		err := s.oa.getJSON(ctx, "/status", &status)
		return status.Head > 1, err
	})
	if err != nil {
		return err
	}
	return s.expect(ctx, situation{
		"OA": {log: []string{"MxV1", "MzV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0}},
	})
}

func (s *stage) t6Pull(ctx context.Context) error {
	s.out.say("This is the page of OM's log after OA's pointer. What OA's log holds already falls out:")
	page, err := s.showPage(ctx, s.om, 1)
	if err != nil {
		return err
	}
	known, err := s.entries(ctx, s.oa)
	if err != nil {
		return err
	}
	left := unknown(page, known)
	s.out.say("Of %s that leaves %s.", s.labels(page), s.labels(left))
	if s.labels(page) != "[MyV1 MzV1]" || s.labels(left) != "[MyV1]" {
		return errors.New("the page should be [MyV1 MzV1], and leave [MyV1]")
	}
	return s.pull(ctx, s.oa, s.om, pulled{Pulled: 2, Appended: 1, PullPosition: 3})
}

// showPage prints a page of a deployment's log, as it is on the wire but for what is long, and returns it.
func (s *stage) showPage(ctx context.Context, d *deployment, after int64) ([]entry, error) {
	path := fmt.Sprintf("/eventlog?after=%d", after)
	body, err := d.get(ctx, path)
	if err != nil {
		return nil, err
	}
	end := bytes.LastIndexByte(bytes.TrimSuffix(body, []byte("\n")), '\n') + 1
	page, err := parseEntries(body[:end], after)
	if err != nil {
		return nil, err
	}
	s.out.command("curl '" + d.url + path + "'")
	for _, e := range page {
		s.out.say(`  {"kind":%q,"module":%q,"version":%q,…,"position":%d}`, e.Kind, e.Module, e.Version, e.Position)
	}
	s.out.say("  %s", bytes.TrimSpace(body[end:]))
	return page, nil
}

func (s *stage) t7Same(ctx context.Context) error {
	s.out.say("The orders differ, and need not be the same; the sets are.")
	return s.expect(ctx, situation{
		"OA": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OM": 3}},
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0}},
	})
}
