package federation

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// What was pushed and acknowledged ends in the log once, and what was pulled moves the pull pointer only together with the log.
func TestCrashReceiveAndPull(t *testing.T) {
	t.Parallel()
	om := newNeighbour(t, "om.example.com", mx, my, mz)
	playCrashes(t,
		crash{"pull, without the database", func() func() { return pullWithoutDatabase(t, om) }},
		crash{"any job, with its end lost", func() func() { return jobEndLost(t, om) }},
		crash{"receive, at the head of the log", func() func() { return receiveAtHead(t, om, "oa.example.com", restarted) }},
		crash{"receive, at the head of the log, with another process", func() func() { return receiveAtHead(t, om, "ob.example.com", another) }},
		crash{"receive, acknowledged and not begun", func() func() { return receiveNotBegun(t, om) }},
		crash{"pull, at the head of the log", func() func() { return pullAtHead(t, om, "od.example.com", restarted) }},
		crash{"pull, at the head of the log, with another process", func() func() { return pullAtHead(t, om, "oe.example.com", another) }},
		crash{"pull, in the middle of the last page", func() func() { return pullHalfWay(t, om) }},
		crash{"push, sent and not answered", func() func() { return pushUnanswered(t) }},
	)
}

func receiveAtHead(t *testing.T, om *neighbour, name string, who succession) func() {
	s := newSite(t, name)
	p := s.start()
	p.knows(om.deployment)
	head := s.holdHead()
	om.pushTo(p)
	head.awaitBlocked("event_log.*FOR UPDATE")
	p = who.kill(p, head.release)
	return func() {
		s.awaitLog(addX, addY, addZ)
		require.Zero(t, s.pointer(om.deployment))
		p.serves(mx)
		s.sound()
	}
}

// receiveNotBegun acknowledges in a process that works no jobs.
func receiveNotBegun(t *testing.T, om *neighbour) func() {
	s := newSite(t, "oc.example.com")
	p := s.start("OLYMPUS_ROLE=web")
	p.knows(om.deployment)
	om.pushTo(p)
	p.kill()
	require.Empty(t, s.log())
	p = s.start()
	return func() {
		s.awaitLog(addX, addY, addZ)
		p.serves(mx)
		s.sound()
	}
}

func pullAtHead(t *testing.T, om *neighbour, name string, who succession) func() {
	s := newSite(t, name, "OLYMPUS_PULL_INTERVAL=1s")
	p := s.start()
	head := s.holdHead()
	p.knows(om.deployment)
	head.awaitBlocked("event_log.*FOR UPDATE")
	require.Zero(t, s.pointer(om.deployment), "the pointer moved before the page was recorded")
	p = who.kill(p, head.release)
	return func() {
		s.awaitLog(addX, addY, addZ)
		require.EqualValues(t, 3, s.pointer(om.deployment))
		p.serves(mx)
		s.sound()
	}
}

func pullHalfWay(t *testing.T, om *neighbour) func() {
	s := newSite(t, "of.example.com", "OLYMPUS_PULL_INTERVAL=1s", "OLYMPUS_PAGE_SIZE=1")
	last := om.withhold(s, true, func(r *http.Request) bool { return r.URL.Path == "/eventlog" && r.FormValue("after") == "2" })
	p := s.start()
	p.knows(om.deployment)
	awaitFrom(t, "the last page", last.arrived)
	eventually(t, "the pages before are recorded", func() bool { return s.pointer(om.deployment) == 2 })
	require.Equal(t, []string{addX, addY}, s.log())
	p = another.kill(p, last.open)
	return func() {
		s.awaitLog(addX, addY, addZ)
		require.EqualValues(t, 3, s.pointer(om.deployment))
		p.serves(mz)
		s.sound()
	}
}

func pushUnanswered(t *testing.T) func() {
	n := &neighbour{}
	oa := start(t, "oa.example.com", options{wrap: n.wrap})
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
	pushed := n.withhold(s, false, func(r *http.Request) bool { return r.URL.Path == "/push" })
	p := s.start()
	p.knows(oa)
	p.get("/example.com/mx/@v/v1.0.0.zip")
	awaitFrom(t, "the push", pushed.arrived)
	restarted.kill(p, pushed.open)
	return func() {
		s.awaitLog(addX)
		s.sound()
		require.Equal(t, 1, s.count("SELECT count(*) FROM river_job WHERE kind = 'push' AND state = 'completed' AND attempt = 2"))
		eventually(t, "the push is worked", func() bool { return len(oa.log()) > 0 })
		require.Equal(t, []string{addX}, oa.log(), "received twice, it is one event")
	}
}
