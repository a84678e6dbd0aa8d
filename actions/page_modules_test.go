package actions_test

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// listed returns module@version of the listing at a path and of all pages after it.
func (s *site) listed(path string) (found []string) {
	s.t.Helper()
	for path != "" {
		got := s.do(http.MethodGet, path, "", "Accept", "application/json")
		require.Equal(s.t, http.StatusOK, got.status, "%s: %s", path, got.body)
		var page []struct{ Module, Version string }
		require.NoError(s.t, json.Unmarshal([]byte(got.body), &page))
		require.LessOrEqual(s.t, len(page), 50)
		for _, v := range page {
			found = append(found, v.Module+"@"+v.Version)
		}
		path = linkOf(got, "next")
	}
	return found
}

// linkOf returns where a listing says that another page of it is, nothing if it says nothing.
func linkOf(got answerOf, rel string) string {
	for link := range strings.SplitSeq(got.header.Get("Link"), ", ") {
		if address, ok := strings.CutSuffix(link, `>; rel="`+rel+`"`); ok {
			return strings.TrimPrefix(address, "<")
		}
	}
	return ""
}

// link is linkOf a path.
func (s *site) link(path, rel string) string {
	s.t.Helper()
	return linkOf(s.do(http.MethodGet, path, "", "Accept", "application/json"), rel)
}

// turn returns where a link below a listing leads to, nothing when there is no such link.
func turn(page, label string) string {
	found := regexp.MustCompile(`href="([^"]*)">` + label + `</a>`).FindStringSubmatch(page)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func TestModulesByState(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 70 {
		events = append(events, added("example.com/a", "v1.0."+strconv.Itoa(i), "om.example.com"), added("example.com/b", "v1.0."+strconv.Itoa(i), "om.example.com"))
	}
	deprecate := protocol.Event{Kind: protocol.KindDeprecate, Module: "example.com/a", Version: "v1.0.1", Origin: "om.example.com", Time: events[0].Time}
	remove := protocol.Event{Kind: protocol.KindDelete, Module: "example.com/a", Version: "v1.0.2", Origin: "om.example.com", Time: events[0].Time}
	other := added("example.com/a", "v1.0.3", "og.example.com")
	other.ZipHash = "h1:BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	s.log(append(events, deprecate, remove, other)...)
	s.exec(`UPDATE versions SET fetch_error = 'no peer has it' WHERE module = 'example.com/b' AND version <> 'v1.0.0'`)
	s.exec(`UPDATE versions SET held = true, pinned = true, fetch_due_at = NULL WHERE version = 'v1.0.4'`)

	require.Equal(t, []string{"example.com/a@v1.0.4", "example.com/b@v1.0.4"}, s.listed("/modules?state=held"))
	require.Len(t, s.listed("/modules?state=remote"), 140-1-2, "all but what is deleted or held")
	require.Len(t, s.listed("/modules?state=failed"), 68, "on two pages")
	require.Equal(t, []string{"example.com/a@v1.0.1"}, s.listed("/modules?state=deprecated"))
	require.Equal(t, []string{"example.com/a@v1.0.2"}, s.listed("/modules?state=deleted"))
	require.Equal(t, []string{"example.com/a@v1.0.3"}, s.listed("/modules?state=conflict"))
	require.Equal(t, s.listed("/modules"), s.listed("/modules?state="))
	require.Len(t, s.listed("/modules?state=remote&prefix=example.com/a"), 68)
	require.Empty(t, s.listed("/modules?state=failed&prefix=example.com/a"))

	// The numbers of the overview lead to as many versions.
	overview := s.page("/")
	for state, want := range map[string]string{"held": "2", "remote": "137", "failed": "68", "deprecated": "1", "deleted": "1", "conflict": "1"} {
		figure := `<a href="/modules\?state=` + state + `">[A-Z][a-z]+</a></dt><dd>` + want + `</dd>`
		require.Regexp(t, figure, overview)
		require.Equal(t, want, strconv.Itoa(len(s.listed("/modules?state="+state))), state)
	}
	require.Contains(t, overview, `<a href="/modules?state=failed">See the failures</a>`)
	require.Contains(t, overview, `<a href="/modules?state=conflict">See the conflicts</a>`)

	// Search and paging keep the state.
	page := s.page("/modules?state=failed&prefix=example.com/b")
	require.Contains(t, page, `<option value="failed" selected>`)
	require.Contains(t, page, "could not be fetched when last tried")
	require.Empty(t, turn(page, "First page"))
	second := s.page(turn(page, "Next page"))
	require.Contains(t, second, `<option value="failed" selected>`)
	require.Contains(t, second, `value="example.com/b"`)
	require.Equal(t, 18, strings.Count(second, `scope="row"`))
	require.Empty(t, turn(second, "Next page"))
	require.Equal(t, "/modules?prefix=example.com%2Fb&state=failed", turn(second, "First page"))
	require.Equal(t, 50, strings.Count(s.page(turn(second, "Previous page")), `scope="row"`))
	require.Contains(t, s.page("/modules?state=deleted&prefix=example.com/b"), "no version in this state")

	for path, says := range map[string]string{
		"/modules?state=lost":           `state="lost": not one of held, remote, failed, conflict, deprecated, deleted`,
		"/modules?state=Failed":         `"Failed"`,
		"/modules?state=%00%ff":         "not one of",
		"/modules?prefix=%ff":           "prefix",
		"/modules?before=a%ff":          "before",
		"/modules?after=a&before=b":     "both",
		"/modules?state=held&after=%00": "after",
	} {
		got := s.do(http.MethodGet, path, "", "Accept", "application/json")
		requireProblem(t, got, http.StatusBadRequest, says)
		require.Equal(t, http.StatusBadRequest, s.do(http.MethodGet, path, "", "Accept", "text/html").status, path)
	}
}

// TestListingsTurnBack goes to the last page of each long listing and back by its links: the pages are the same, and whole.
func TestListingsTurnBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 120 {
		events = append(events, added("example.com/m", "v1.0."+strconv.Itoa(i), "om.example.com"))
	}
	s.log(append(events, added("example.com/before", "v1.0.0", "om.example.com"))...)
	s.exec(`INSERT INTO river_job (args, kind, max_attempts, queue, state)
		SELECT '{}', 'pull', 5, 'pull', 'available' FROM generate_series(1, 240)`)
	s.exec(`DELETE FROM river_job WHERE id % 2 = 0 OR kind <> 'pull'`) // ids have gaps
	rows := regexp.MustCompile(`(?s)<tbody>.*</tbody>`)
	for path, words := range map[string][3]string{
		"/events":                       {"Newest", "Newer", "Older"},
		"/jobs":                         {"Newest", "Newer", "Older"},
		"/modules?prefix=example.com/m": {"First page", "Previous page", "Next page"},
	} {
		first := s.page(path)
		require.Empty(t, turn(first, words[0]), "%s: this is it", path)
		require.Empty(t, turn(first, words[1]), path)
		second := s.page(turn(first, words[2]))
		third := s.page(turn(second, words[2]))
		require.Empty(t, turn(third, words[2]), path)
		times := regexp.MustCompile(`<time[^>]*>[^<]*</time>`)
		same := func(want, got string) {
			t.Helper()
			want, got = times.ReplaceAllString(rows.FindString(want), ""), times.ReplaceAllString(rows.FindString(got), "")
			require.NotEmpty(t, want, path)
			require.Equal(t, want, got, path)
		}
		back := s.page(turn(third, words[1]))
		same(second, back)
		same(third, s.page(turn(back, words[2])))
		same(first, s.page(turn(back, words[1])))
		same(first, s.page(turn(third, words[0])))
		require.Empty(t, turn(s.page(turn(back, words[1])), words[1]), "%s: nothing is newer than the newest", path)
	}
	requireProblem(t, s.do(http.MethodGet, "/jobs?before=5&after=5", "", "Accept", "application/json"), http.StatusBadRequest, "both")
	requireProblem(t, s.do(http.MethodGet, "/jobs?after=x", "", "Accept", "application/json"), http.StatusBadRequest, "after")
}

func TestModulesThatContain(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	var events []protocol.Event
	for i := range 60 {
		events = append(events, added("example.com/team/Needle", "v1.0."+strconv.Itoa(i), "om.example.com"), added("example.com/other", "v1.0."+strconv.Itoa(i), "om.example.com"))
	}
	s.log(events...)
	require.Len(t, s.listed("/modules?contains=needle"), 60, "in any case, on two pages")
	require.Len(t, s.listed("/modules?contains=e&prefix=example.com/o"), 60)
	page := s.page("/modules?contains=needle")
	require.Contains(t, page, "Module paths are searched")
	require.NotContains(t, page, "Not all was looked at")
	next := turn(page, "Next page")
	require.Contains(t, next, "contains=needle")
	require.Equal(t, "/modules?contains=needle", turn(s.page(next), "First page"))
	require.Contains(t, s.page("/modules?contains=nothing&prefix=example.com&state=held"), "contains <code>nothing</code> in this state")
	require.Contains(t, s.page("/modules?contains=%3Cscript%3E"), "contains <code>&lt;script&gt;</code>")
	require.Equal(t, http.StatusBadRequest, s.do(http.MethodGet, "/modules?contains=x&before=example.com/m@v1.0.0", "").status)
	require.Equal(t, http.StatusBadRequest, s.do(http.MethodGet, "/modules?contains=%00", "").status)
}
