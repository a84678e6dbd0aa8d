package main

import "context"

// three is the part of OG, which never fills anything: what it serves it has from its peers.
func (s *stage) three() []step {
	return []step{
		{"G1", "OG joins, and upstream is gone", s.g1Join},
		{"G2", "OM is killed, and OG pulls from OA", s.g2Pull},
		{"G3", "OM comes back, and everybody pulls from everybody", s.g3Same},
		{"G4", "The bytes are the same everywhere", s.g4Zips},
	}
}

func (s *stage) g1Join(ctx context.Context) error {
	s.out.say("OM is started again without its upstream. OG knows nothing yet: on a miss it asks its peers, takes over")
	s.out.say("the event and the zip, and serves. Its pull pointers stay.")
	if err := s.om.stop(); err != nil {
		return err
	}
	if err := s.om.start(ctx, "off"); err != nil {
		return err
	}
	if err := s.og.start(ctx, "off"); err != nil {
		return err
	}
	for _, d := range []*deployment{s.oa, s.om} {
		if err := s.befriend(ctx, s.og, d); err != nil {
			return err
		}
	}
	if err := s.fetch(ctx, s.og, s.modules[0]); err != nil {
		return err
	}
	return s.expect(ctx, situation{
		"OG": {log: []string{"MxV1"}, pointers: map[string]int64{"OA": 0, "OM": 0}},
		"OA": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OM": 3, "OG": 0}},
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 0, "OG": 0}},
	})
}

func (s *stage) g2Pull(ctx context.Context) error {
	s.out.say("OA gives OG the events that came from OM, and now that OM is gone (-9), the zips too.")
	// What OA has taken at T6 it downloads from OM in the background.
	for _, m := range s.modules {
		if err := s.awaitHeld(ctx, s.oa, m); err != nil {
			return err
		}
	}
	if err := s.om.kill(); err != nil {
		return err
	}
	if err := s.pull(ctx, s.og, s.oa, pulled{Pulled: 3, Appended: 2, PullPosition: 3}); err != nil {
		return err
	}
	for _, m := range s.modules[1:] {
		if err := s.fetch(ctx, s.og, m); err != nil {
			return err
		}
	}
	return s.expect(ctx, situation{
		"OG": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OA": 3, "OM": 0}},
		"OA": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OM": 3, "OG": 0}},
	})
}

func (s *stage) g3Same(ctx context.Context) error {
	s.out.say("OM's log has survived. Nobody has anything that is new to the others.")
	upstream := "off"
	if s.keep {
		upstream = "" // it is to be of use when we are gone
	}
	if err := s.om.start(ctx, upstream); err != nil {
		return err
	}
	for _, pair := range [][2]*deployment{{s.og, s.om}, {s.oa, s.og}, {s.om, s.oa}, {s.om, s.og}} {
		if err := s.pull(ctx, pair[0], pair[1], pulled{Pulled: 3, Appended: 0, PullPosition: 3}); err != nil {
			return err
		}
	}
	return s.expect(ctx, situation{
		"OG": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OA": 3, "OM": 3}},
		"OA": {log: []string{"MxV1", "MzV1", "MyV1"}, pointers: map[string]int64{"OM": 3, "OG": 3}},
		"OM": {log: []string{"MxV1", "MyV1", "MzV1"}, pointers: map[string]int64{"OA": 3, "OG": 3}},
	})
}
