package federation

import (
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// fillFrozen stops a process that has locked the head of the log. One that stands still, or whose machine has gone without a word, keeps
// its connections: what it has locked must not stop the others, and when it goes on it must not do again what they did meanwhile.
func fillFrozen(t *testing.T) func() {
	s := newSite(t, "om.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mx, my).URL)
	p := s.start()
	head := s.holdHead()
	require.Equal(t, mx.Info(), p.get(filePath(mx, download.Info)))
	head.awaitBlocked("event_log.*FOR UPDATE")
	require.NoError(t, p.command.Process.Signal(syscall.SIGSTOP))
	head.release()
	eventually(t, "the frozen process has locked the head", func() bool {
		return s.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'") > 0
	})
	q := s.startBeside()
	go func() { _, _, _ = q.ask(http.MethodGet, filePath(my, download.Zip), "") }()
	return func() {
		eventually(t, "another process appends", func() bool { return len(s.log()) == 2 })
		require.ElementsMatch(t, []string{addX, addY}, s.log())
		require.NoError(t, p.command.Process.Signal(syscall.SIGCONT))
		p.serves(mx)
		p.serves(my)
		s.sound()
		require.Len(t, s.log(), 2)
	}
}
