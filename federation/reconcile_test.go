package federation

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Jobs that have run out of attempts do not vanish, and a remote version that nobody would fetch any more is found again.
func TestReconcile(t *testing.T) {
	t.Parallel()
	om := newNeighbour(t, "om.example.com", mx, my)
	s := newSite(t, "oa.example.com")
	web := s.start("OLYMPUS_ROLE=web")
	web.knows(om.deployment)
	om.pushTo(web)
	exec := func(statement string) {
		n, err := s.db.RawQuery(statement).ExecWithCount()
		require.NoError(t, err)
		require.Equal(t, 1, n, statement)
	}
	exec("UPDATE river_job SET state = 'discarded', finalized_at = now(), attempt = max_attempts WHERE kind = 'receive'")

	worker := s.startBeside("OLYMPUS_ROLE=worker")
	s.awaitLog(addX, addY)
	eventually(t, "all is held", func() bool { return s.held(mx) && s.held(my) })
	require.Zero(t, worker.terminate())

	exec("UPDATE versions SET held = false WHERE module = '" + mx.Path + "'")
	exec("DELETE FROM chores WHERE name = 'look for versions that nobody would fetch'")
	s.startBeside("OLYMPUS_ROLE=worker")
	eventually(t, "the forgotten version is fetched", func() bool { return s.held(mx) })
	s.sound()
}
