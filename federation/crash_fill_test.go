package federation

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
	"olympus/models"
)

// What was answered of a version is what is logged, and a miss that nobody was answered anything of leaves nothing behind.
func TestCrashFill(t *testing.T) {
	t.Parallel()
	playCrashes(t,
		crash{"upstream asked for a list", func() func() { return listAsked(t) }},
		crash{"half of the zip read", func() func() { return fillHalfRead(t, restarted) }},
		crash{"half of the zip read, with another process", func() func() { return fillHalfRead(t, another) }},
		crash{"at the head of the log", func() func() { return fillAtHead(t, restarted) }},
		crash{"at the head of the log, with another process", func() func() { return fillAtHead(t, another) }},
		crash{"without the blob store", func() func() { return fillWithoutStore(t) }},
		crash{"nothing recorded", func() func() { return fillNothingRecorded(t) }},
		crash{"at the head of the log, without the database", func() func() { return fillWithoutDatabase(t) }},
		crash{"at the head of the log, frozen", func() func() { return fillFrozen(t) }},
	)
}

// otherInfo is what an upstream may come to say later of the same version.
var otherInfo = []byte(`{"Version":"v1.0.0","Time":"2026-05-05T05:05:05Z"}`)

// recordedOnce requires that the one event of a version carries what was answered before the crash.
func (s *site) recordedOnce(m testmod.Module) {
	s.t.Helper()
	s.awaitLog("add " + m.Path + "@" + m.Version)
	events, err := models.EventsOf(s.db, m.Path, m.Version)
	require.NoError(s.t, err)
	require.Equal(s.t, m.Info(), events[0].Info)
	require.Equal(s.t, m.Mod(), events[0].Mod)
	require.Equal(s.t, s.name, events[0].Origin)
}

func fillHalfRead(t *testing.T, who succession) func() {
	up := testmod.NewUpstream(t, mx)
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+up.URL)
	p := s.start()
	half := len(testmod.Zip(t, mx)) / 2
	up.Set(filePath(mx, download.Zip), testmod.Behaviour{Sent: half, Hold: make(chan struct{})})
	require.Equal(t, mx.Info(), p.get(filePath(mx, download.Info)))
	require.Equal(t, mx.Mod(), p.get(filePath(mx, download.Mod)))
	s.awaitStaged(half)
	p = who.kill(p, func() {
		up.Set(filePath(mx, download.Zip), testmod.Behaviour{})
		up.Set(filePath(mx, download.Info), testmod.Behaviour{Body: otherInfo})
		up.Set(filePath(mx, download.Mod), testmod.Behaviour{Status: http.StatusGone})
	})
	return func() {
		s.recordedOnce(mx)
		p.serves(mx)
		s.sound()

		// What was staged is removed once it is so old that it cannot be in use.
		var left []string
		eventually(t, "what was staged is left, and nothing else", func() bool { left = s.staged(); return len(left) == 1 })
		old := time.Now().Add(-2 * time.Hour)
		require.NoError(t, os.Chtimes(left[0], old, old))
		p.kill()
		p.again()
		s.stagesNothing()
	}
}

// fillAtHead kills when the zip is stored and the event is not logged.
func fillAtHead(t *testing.T, who succession) func() {
	up := testmod.NewUpstream(t, mx)
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+up.URL)
	p := s.start()
	head := s.holdHead()
	require.Equal(t, mx.Info(), p.get(filePath(mx, download.Info)))
	require.Equal(t, mx.Mod(), p.get(filePath(mx, download.Mod)))
	asked := make(chan string)
	go func() {
		status, body, err := p.ask(http.MethodGet, filePath(mx, download.Zip), "")
		if err != nil || status != http.StatusOK {
			body = ""
		}
		asked <- body
	}()
	head.awaitBlocked("event_log.*FOR UPDATE")
	require.NotNil(t, s.blob(mx))
	p = who.kill(p, func() {
		up.Set(filePath(mx, download.Info), testmod.Behaviour{Body: otherInfo})
		head.release()
	})
	require.Empty(t, awaitFrom(t, "the end of the request", asked), "the zip was answered before its event was logged")
	require.Empty(t, s.log())
	return func() {
		s.recordedOnce(mx)
		p.serves(mx)
		s.sound()
	}
}

// fillWithoutStore has no place for a zip, as if a file system were not mounted: that is no reason to send a client elsewhere.
func fillWithoutStore(t *testing.T) func() {
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx).URL)
	p := s.start()
	here, away := filepath.Join(s.data, "blobs", "tmp"), filepath.Join(s.data, "away")
	require.NoError(t, os.Rename(here, away))
	require.Equal(t, mx.Info(), p.get(filePath(mx, download.Info)))
	for range 2 {
		status, body, err := p.ask(http.MethodGet, filePath(mx, download.Zip), "")
		require.NoError(t, err)
		require.Equal(t, http.StatusInternalServerError, status, body)
	}
	eventually(t, "an alarm is raised", func() bool { return metric(p, "olympus_storage_writable") == 0 })
	p = restarted.kill(p, func() { require.NoError(t, os.Rename(away, here)) })
	return func() {
		s.recordedOnce(mx)
		p.serves(mx)
		s.sound()
	}
}

func fillNothingRecorded(t *testing.T) func() {
	up := testmod.NewUpstream(t, mx, my)
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+up.URL)
	p := s.start()
	hang := testmod.Behaviour{Hold: make(chan struct{})}
	up.Set(filePath(mx, download.Info), hang)
	up.Set(filePath(my, download.Info), hang)
	for _, m := range []testmod.Module{mx, my} {
		go func() { _, _, _ = p.ask(http.MethodGet, filePath(m, download.Info), "") }()
		eventually(t, "upstream is asked", func() bool { return up.Count(filePath(m, download.Info)) > 0 })
	}
	require.Equal(t, 2, s.count("SELECT count(*) FROM fills"))
	p = restarted.kill(p, func() {
		up.Set(filePath(mx, download.Info), testmod.Behaviour{})
		up.Set(filePath(my, download.Info), testmod.Behaviour{})
	})
	// Of one a client asks again at once, of the other nobody.
	answer := make(chan string)
	go func() {
		_, body, err := p.ask(http.MethodGet, filePath(mx, download.Info), "")
		if err != nil {
			body = err.Error()
		}
		answer <- body
	}()
	return func() {
		require.Equal(t, mx.Info(), awaitFrom(t, "the answer", answer))
		s.awaitLog(addX)
		p.serves(mx)
		s.sound()
		require.Equal(t, 1, up.Count(filePath(my, download.Info)), "nobody waits for it")
	}
}

// listAsked kills while an upstream is being asked for a list: the next to want it must not wait for an answer of the dead.
func listAsked(t *testing.T) func() {
	up := testmod.NewUpstream(t, mx)
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+up.URL, "OLYMPUS_LIST_TTL=1h")
	p := s.start()
	const list = "/example.com/mx/@v/list"
	up.Set(list, testmod.Behaviour{Hold: make(chan struct{})})
	go func() { _, _, _ = p.ask(http.MethodGet, list, "") }()
	eventually(t, "upstream is asked", func() bool { return up.Count(list) > 0 })
	p = another.kill(p, func() { up.Set(list, testmod.Behaviour{}) })
	return func() {
		var answers []string
		eventually(t, "the list is answered", func() bool {
			status, body, err := p.ask(http.MethodGet, list, "")
			if err == nil && status == http.StatusOK {
				require.Equal(t, "v1.0.0\n", body)
				return true
			}
			answers = append(answers, body)
			return false
		})
		require.Empty(t, strings.Join(answers, ""), "it was answered at the first time of asking")
	}
}
