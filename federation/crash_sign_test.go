package federation

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A process that is killed between the commit of an event and the signature over it, or right after a signature, takes up where it was:
// what is kept outside the database is behind it or level with it, which is no restore, and no epoch begins.
func TestCrashBetweenCommitAndCheckpoint(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	p := s.start()
	n := 0
	change := func() {
		n++
		p.administrate(http.StatusOK, http.MethodPost, fmt.Sprintf("/modules/example.com/m%d@v1.0.0/delete", n), `{"reason":"gone"}`)
	}
	for range 3 {
		change()
		signed := strings.Split(p.get("/checkpoint"), "\n")
		require.Equal(t, []string{s.name, fmt.Sprint(n)}, signed[:2])
		for range 3 {
			change() // nobody asks for a signature over these
		}
		p.kill()
		p = p.again()
		page := p.get("/eventlog?after=0")
		require.Contains(t, page, fmt.Sprintf(`{"head":%d,"next":%d,"checkpoint":"%s\n%d\n`, n, n, s.name, n))
		require.Contains(t, page, `\nepoch 1\n`)
		p.kill()
		p = p.again()
	}
	require.Contains(t, p.get("/checkpoint"), "\nepoch 1\n")
	s.sound()
}
