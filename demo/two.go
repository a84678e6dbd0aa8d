package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
)

// playTwo plays the part of OM and OA: a lost push is repaired by pulling.
func (s *stage) playTwo(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.t0Fill, s.t1Join, s.t2Miss, s.t3Timeout, s.t4Miss, s.t5Push, s.t6Page, s.t7Pull,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) t0Fill(ctx context.Context) error {
	s.out.step("T0", "OM has MxV1")
	s.out.say("A client asks OM for a module. OM fills the miss from upstream and appends an event to its log.")
	if err := s.om.start(ctx, s.upstream); err != nil {
		return err
	}
	if err := s.fetch(ctx, s.om, s.modules[0]); err != nil {
		return err
	}
	return s.expect(ctx, "T0", situation{"OM": {log: []string{"MxV1"}}})
}

func (s *stage) t1Join(ctx context.Context) error {
	s.out.step("T1", "OA joins and pulls from OM")
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
	return s.expect(ctx, "T1", situation{
		"OA": {log: []string{"MxV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1"}, pointers: map[string]int64{"OA": 0}},
	})
}

func (s *stage) t2Miss(ctx context.Context) error {
	s.out.step("T2", "OM receives a miss for MyV1")
	s.out.say("OA hangs from here on (SIGSTOP): it takes connections and answers nothing. OM asks it whether it knows")
	s.out.say("the version, gives up after two seconds, and fills from upstream. The push is queued with the event.")
	s.oa.process.signal(syscall.SIGSTOP)
	if err := s.fetch(ctx, s.om, s.modules[1]); err != nil {
		return err
	}
	return s.expect(ctx, "T2", s.afterLostPush())
}

// afterLostPush is how it stands when OM has a version that OA has not heard of.
func (s *stage) afterLostPush() situation {
	return situation{
		"OA": {log: []string{"MxV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1", "MyV1"}, pointers: map[string]int64{"OA": 0}},
	}
}

func (s *stage) t3Timeout(ctx context.Context) error {
	s.out.step("T3", "OM pushes MyV1: timeout")
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
		return fmt.Errorf("T3: %w", err)
	}
	s.out.command("olympus task peers:list", "%s", oa.LastError)
	if err := s.expect(ctx, "T3", s.afterLostPush()); err != nil {
		return err
	}
	// Were it only continued, it would still find the request that OM has given up among what the kernel has taken for it.
	s.out.say("OA is killed (-9), and with it goes what it had not read; then it is started again.")
	if err := s.oa.kill(); err != nil {
		return err
	}
	return s.oa.start(ctx, "off")
}

func (s *stage) t4Miss(ctx context.Context) error {
	s.out.step("T4", "OM receives a miss for MzV1")
	s.out.say("As before, but OA answers now.")
	if err := s.fetch(ctx, s.om, s.modules[2]); err != nil {
		return err
	}
	return s.expect(ctx, "T4", situation{
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0}},
	})
}

func (s *stage) t5Push(ctx context.Context) error {
	s.out.step("T5", "OM pushes MzV1")
	s.out.say("OA puts the event into its log. Its pull pointer for OM stays: a push never moves it.")
	err := s.await(ctx, "the push of MzV1 arrives", func(ctx context.Context) (bool, error) {
		var status struct{ Head int64 }
		err := s.oa.getJSON(ctx, "/status", &status)
		return status.Head > 1, err
	})
	if err != nil {
		return fmt.Errorf("T5: %w", err)
	}
	return s.expect(ctx, "T5", situation{
		"OA": {log: []string{"MxV1", "MzV1"}, pointers: map[string]int64{"OM": 1}},
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0}},
	})
}

// t6Page shows the page that OA is about to take.
func (s *stage) t6Page(ctx context.Context) error {
	s.out.step("T6", "OA pulls from its pointer of T1: gets [MyV1 MzV1], dedup leaves [MyV1]")
	s.out.say("This is the page of OM's log after OA's pointer. What OA's log holds already falls out:")
	const path = "/eventlog?after=1"
	status, body, err := s.om.get(ctx, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%d %.200s", status, body)
	}
	if err != nil {
		return fmt.Errorf("T6: GET %s%s: %w", s.om.url, path, err)
	}
	body = bytes.TrimSuffix(body, []byte("\n"))
	events, tail := body[:bytes.LastIndexByte(body, '\n')+1], body[bytes.LastIndexByte(body, '\n')+1:]
	entries, err := parseEntries(events, 1)
	if err != nil {
		return fmt.Errorf("T6: %w", err)
	}
	known, err := s.entries(ctx, s.oa)
	if err != nil {
		return fmt.Errorf("T6: %w", err)
	}
	left := unknown(entries, known)
	s.out.say("%s", s.out.paint(dim, "$ curl '"+s.om.url+path+"'"))
	var got []string
	for _, e := range entries {
		verdict := "falls out"
		if len(unknown([]entry{e}, left)) == 0 {
			verdict = "is new"
		}
		got = append(got, s.label(e))
		s.out.say(`  {"kind":%q,"module":%q,"version":%q,…,"position":%d}   %s %s`, e.Kind, e.Module, e.Version, e.Position, s.label(e), verdict)
	}
	s.out.say("  %s", tail)
	if text := strings.Join(got, " "); text != "MyV1 MzV1" {
		return fmt.Errorf("T6: the page after OA's pointer is [%s], and should be [MyV1 MzV1]", text)
	}
	if len(left) != 1 || s.label(left[0]) != "MyV1" {
		return fmt.Errorf("T6: deduplication leaves %v of the page, and should leave MyV1", left)
	}
	return s.pull(ctx, s.oa, s.om, pulled{Pulled: 2, Appended: 1, PullPosition: 3})
}

func (s *stage) t7Pull(ctx context.Context) error {
	s.out.step("T7", "Both have everything")
	s.out.say("The orders differ, and need not be the same; the sets are.")
	return s.expect(ctx, "T7", situation{
		"OA": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OM": 3}},
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0}},
	})
}
