package actions_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// The page of a version says what its go.mod says, whatever its author wrote, and links what the log knows of what it requires.
func TestGoModOnPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	with := func(path, mod string) protocol.Event {
		e := added(path, "v1.0.0", s.Name)
		e.Mod, e.ModHash = mod, protocol.ModHash([]byte(mod))
		return e
	}
	var many strings.Builder
	for i := range 250 {
		fmt.Fprintf(&many, "require example.com/m%d v1.0.0\n", i)
	}
	s.log(
		added("example.com/known", "v1.2.0", s.Name),
		with("example.com/all", "// Deprecated: use <b>another</b>.\nmodule example.com/all\n\ngo 1.24\n\nrequire (\n\texample.com/known v1.2.0\n\texample.com/Unknown v1.0.0 // indirect\n)\n\n"+
			"// <script>alert(1)</script>\nretract [v1.1.0, v1.3.0]\n"),
		with("example.com/none", "module example.com/none\n"),
		with("example.com/many", "module example.com/many\n"+many.String()),
		with("example.com/odd", "module example.com/odd\nrequire )\n"))
	for path, want := range map[string][]string{
		"all": {
			"Deprecated by its author</dt><dd>use &lt;b&gt;another&lt;/b&gt;.", "<dt>Go</dt><dd>1.24", "<dt>Requires</dt><dd>2 other modules",
			"v1.1.0 to v1.3.0: &lt;script&gt;alert(1)&lt;/script&gt;", `<a href="/modules/example.com/known@v1.2.0">example.com/known@v1.2.0</a>`,
			`<li>example.com/Unknown@v1.0.0 <span class="soft">indirect</span></li>`,
			"leaf 1 of the log", `href="/sumdb/olympus.example.com/lookup/example.com/all@v1.0.0"`, `href="/checkpoint"`,
		},
		"none": {"no other module"},
		"many": {"250 other modules", "example.com/m199@v1.0.0", "and 50 more"},
		"odd":  {"cannot be read"},
	} {
		page := s.page("/modules/example.com/" + path + "@v1.0.0")
		for _, words := range want {
			require.Contains(t, page, words, path)
		}
		require.NotContains(t, page, "<script>", path)
		require.NotContains(t, page, "m200@", path)
	}
	s.log(protocol.Event{Kind: protocol.KindDelete, Module: "example.com/all", Version: "v1.0.0", Origin: s.Name, Time: added("a", "b", "c").Time})
	s.log(added("example.com/Upper", "v1.0.0-RC1", s.Name))
	href := `href="(/sumdb/olympus\.example\.com/lookup/[^"]+)"`
	lookup := regexp.MustCompile(href).FindStringSubmatch(s.page("/modules/example.com/Upper@v1.0.0-RC1"))
	require.NotNil(t, lookup)
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, lookup[1], "").status, lookup[1])
	page := s.page("/modules/example.com/all@v1.0.0")
	require.NotContains(t, page, "go.mod says")
	require.NotContains(t, page, "lookup")
	require.Equal(t, http.StatusOK, s.do(http.MethodGet, "/checkpoint", "").status)
}
