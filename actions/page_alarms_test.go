package actions_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// alarm is one of /alarms.
type alarm struct {
	Kind, Level, Text, Detail, Next, Peer string
	Evidence                              []string
	Versions                              []struct {
		Module, Version, Error string
		Attempts               int
	}
}

// Everything that needs somebody is on one page, with what to do, and gone from it when it is over.
func TestAlarms(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{interval: 30 * time.Second})
	require.Contains(t, s.page("/alarms"), "Nothing needs anybody.")
	for _, name := range []string{"oa.example.com", "ob.example.com", "oc.example.com", "od.example.com", "oe.example.com"} {
		s.knows(name, "https://"+name)
	}
	var events []protocol.Event
	for i := range 12 {
		events = append(events, added("example.com/m", fmt.Sprintf("v1.%d.0", i), "oa.example.com"))
	}
	s.log(events...)
	other := added("example.com/m", "v1.0.0", "ob.example.com")
	other.ZipHash = "h1:BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	s.log(other)
	s.exec(`UPDATE peers SET last_pull_at = now(), last_push_sent_at = now() - interval '1 hour'`)
	s.exec(`UPDATE peers SET last_error = ?, last_error_at = now() WHERE name = 'oa.example.com'`, "pull from oa.example.com: "+hostile)
	s.exec(`UPDATE peers SET state = 'quarantined', evidence_before = 'the one', evidence_after = 'the other' WHERE name = 'ob.example.com'`)
	s.exec(`UPDATE peers SET head = pull_position + 5, behind_since = now() - interval '2 hours' WHERE name = 'oc.example.com'`)
	s.exec(`UPDATE versions SET fetch_error = 'no peer has it', fetch_error_at = now(), fetch_attempts = substring(version FROM 'v1[.](.*)[.]0')::int`)
	s.exec(`INSERT INTO river_job (kind, queue, args, metadata, max_attempts, priority, state, attempt, finalized_at, errors)
		SELECT 'push', 'push', jsonb_build_object('peer', p), '{}', 5, 1, 'discarded', 5, now() - interval '30 minutes', ARRAY[jsonb_build_object('error', 'push to ' || p || ': no route')]
		FROM unnest(ARRAY['od.example.com', 'od.example.com', 'oe.example.com']) p`)
	s.exec(`UPDATE peers SET last_push_sent_at = now() WHERE name = 'oe.example.com'`)

	var got []alarm
	s.json("/alarms", &got)
	byKind := make(map[string]alarm)
	for _, a := range got {
		require.NotEmpty(t, a.Next, "%s: what to do", a.Kind)
		byKind[a.Kind] = a
	}
	require.Len(t, got, len(byKind), "one of each: oe.example.com has taken a push since")
	require.Len(t, got, 6)
	require.Equal(t, "oa.example.com", byKind["peer"].Peer)
	require.Contains(t, byKind["peer"].Detail, hostile)
	require.Equal(t, []string{"the one", "the other"}, byKind["quarantine"].Evidence)
	require.Equal(t, "This deployment is behind the log of oc.example.com for 2 h: 5 events left.", byKind["behind"].Text)
	require.Equal(t, "2 pushes to od.example.com were given up, the last one 30 min ago; none was taken since.", byKind["pushes"].Text)
	require.Equal(t, "push to od.example.com: no route", byKind["pushes"].Detail)
	require.Len(t, byKind["conflicts"].Versions, 1)
	require.Equal(t, "example.com/m", byKind["conflicts"].Versions[0].Module)
	failed := byKind["fetches"]
	require.Contains(t, failed.Text, "12 zips")
	require.Len(t, failed.Versions, 10)
	require.Equal(t, 11, failed.Versions[0].Attempts, "those that were tried most often")
	require.Equal(t, "no peer has it", failed.Versions[0].Error)

	page := s.page("/alarms")
	for _, words := range []string{
		hostileEscaped, "<pre><code>the one</code></pre>", "11 attempts, the last", `href="/modules?state=conflict"`, `href="/peers/od.example.com"`, "What to do:",
	} {
		require.Contains(t, page, words)
	}
	require.Contains(t, s.page("/"), `<a href="/alarms">All 6 alarms, with what to do</a>`)

	s.exec(`UPDATE peers SET state = 'active', last_error = '', last_error_at = NULL, head = pull_position, last_push_sent_at = now()`)
	s.exec(`UPDATE versions SET fetch_error = '', conflict = false`)
	s.json("/alarms", &got)
	require.Empty(t, got)
}
