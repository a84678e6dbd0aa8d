package federation

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// What was pushed and acknowledged ends in the log once, and what was pulled moves the pull pointer only together with the log.
func TestCrashReceiveAndPull(t *testing.T) {
	t.Parallel()
	playCrashes(t,
		crash{"receive, at the head of the log", receiveAtHead(restarted)},
		crash{"receive, at the head of the log, with another process", receiveAtHead(another)},
		crash{"receive, acknowledged and not begun", receiveNotBegun},
		crash{"pull, at the head of the log", pullAtHead(restarted)},
		crash{"pull, at the head of the log, with another process", pullAtHead(another)},
		crash{"pull, in the middle of the last page", pullHalfWay(restarted)},
		crash{"pull, in the middle of the last page, with another process", pullHalfWay(another)},
		crash{"push, sent and not answered", pushUnanswered(restarted)},
		crash{"push, sent and not answered, with another process", pushUnanswered(another)},
	)
}

func receiveAtHead(who succession) func(t *testing.T) func() {
	return func(t *testing.T) func() {
		om := filled(t, nil, mx, my)
		s := newSite(t, "oa.example.com")
		p := s.start()
		p.knows(om)
		head := s.holdHead()
		om.pushTo(p)
		head.awaitBlocked("event_log.*FOR UPDATE")
		p = who.kill(p, head.release)
		return func() {
			s.awaitLog(addX, addY)
			require.Zero(t, s.pointer(om))
			p.serves(mx)
			p.serves(my)
			s.sound()
		}
	}
}

// receiveNotBegun acknowledges in a process that works no jobs.
func receiveNotBegun(t *testing.T) func() {
	om := filled(t, nil, mx)
	s := newSite(t, "oa.example.com")
	p := s.start("OLYMPUS_ROLE=web")
	p.knows(om)
	om.pushTo(p)
	p.kill()
	require.Empty(t, s.log())
	p = s.start()
	return func() {
		s.awaitLog(addX)
		p.serves(mx)
		s.sound()
	}
}

func pullAtHead(who succession) func(t *testing.T) func() {
	return func(t *testing.T) func() {
		om := filled(t, nil, mx, my)
		s := newSite(t, "oa.example.com", "OLYMPUS_PULL_INTERVAL=1s")
		p := s.start()
		head := s.holdHead()
		p.knows(om)
		head.awaitBlocked("event_log.*FOR UPDATE")
		require.Zero(t, s.pointer(om), "the pointer moved before the page was recorded")
		p = who.kill(p, head.release)
		return func() {
			s.awaitLog(addX, addY)
			require.EqualValues(t, 2, s.pointer(om))
			p.serves(mx)
			s.sound()
		}
	}
}

func pullHalfWay(who succession) func(t *testing.T) func() {
	return func(t *testing.T) func() {
		m1, m2 := testmod.Module{Path: "example.com/m1", Version: "v1.0.0"}, testmod.Module{Path: "example.com/m2", Version: "v1.0.0"}
		last := newGate(true, func(r *http.Request) bool { return r.URL.Path == "/eventlog" && r.FormValue("after") == "4" })
		om := filled(t, last, mx, my, mz, m1, m2)
		s := newSite(t, "oa.example.com", "OLYMPUS_PULL_INTERVAL=1s", "OLYMPUS_PAGE_SIZE=2")
		p := s.start()
		p.knows(om)
		<-last.arrived
		eventually(t, "the pages before are recorded", func() bool { return s.pointer(om) == 4 })
		require.Len(t, s.log(), 4)
		p = who.kill(p, last.open)
		return func() {
			s.awaitLog(om.log()...)
			require.EqualValues(t, 5, s.pointer(om))
			p.serves(m2)
			s.sound()
		}
	}
}

func pushUnanswered(who succession) func(t *testing.T) func() {
	return func(t *testing.T) func() {
		pushed := newGate(false, func(r *http.Request) bool { return r.URL.Path == "/push" })
		oa := start(t, "oa.example.com", options{wrap: pushed.wrap})
		s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
		p := s.start()
		p.knows(oa)
		p.get("/example.com/mx/@v/v1.0.0.zip")
		<-pushed.arrived
		p = who.kill(p, pushed.open)
		return func() {
			s.awaitLog(addX)
			s.sound()
			require.Equal(t, 1, s.count("SELECT count(*) FROM river_job WHERE kind = 'push' AND state = 'completed' AND attempt = 2"))
			eventually(t, "the push arrives", func() bool { return len(oa.log()) == 1 })
			require.Equal(t, addX, strings.Join(oa.log(), ", "), "pushed twice, it is one event")
		}
	}
}
