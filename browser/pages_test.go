package browser

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
)

// crawl follows every link from the dashboard on within the deployment and returns the pages, each inspected once. Everything that a page
// leads to must be there; a zip that is not held need not be had.
func (b *tab) crawl(d *deployment, inspect func(path string)) []string {
	b.t.Helper()
	known := map[string]bool{"/": true}
	pages := []string{"/"}
	for i := 0; i < len(pages); i++ {
		b.visit(pages[i])
		inspect(pages[i])
		for _, path := range b.links() {
			if known[path] {
				continue
			}
			known[path] = true
			switch {
			case strings.HasPrefix(path, "/assets/"): // loaded by the page, or there would be a fault
			case strings.Contains(path, "/@v/"), strings.HasPrefix(path, "/sumdb/"), path == "/checkpoint": // for machines
				response, body := d.get(b.t, path, "*/*")
				if !strings.HasSuffix(path, ".zip") {
					assert.Equal(b.t, http.StatusOK, response.StatusCode, "%s, of %s: %s", path, pages[i], body)
				}
			default:
				pages = append(pages, path)
			}
		}
	}
	return pages
}

// inspect looks at the page at hand as different readers do.
func (b *tab) inspect(path string) {
	b.t.Helper()
	title := evaluate[string](b, "document.title")
	assert.True(b.t, strings.HasSuffix(title, " · "+b.name), "%s: title %q", path, title)
	b.check(path+", wide and light", structure, onlyText, fits, bright, legible)
	b.accessible(path + ", wide and light")
	b.size(375, 812, true)
	b.check(path+", on a phone, light", fits, bright, legible)
	b.scheme("dark")
	b.check(path+", on a phone, dark", dim, legible)
	b.accessible(path + ", on a phone, dark")
	b.size(1280, 900, false)
	b.scheme("light")
	b.keep(path)
}

// requireJSON requires of each page that it is JSON for who asks for that: a listing an array, anything else an object.
func requireJSON(t *testing.T, d *deployment, pages []string) {
	t.Helper()
	for _, path := range pages {
		value := d.json(t, path)
		section, _, _ := strings.Cut(path, "?")
		switch section {
		case "/peers", "/events", "/modules", "/jobs", "/alarms", "/audit":
			require.IsType(t, []any{}, value, path)
		default:
			require.IsType(t, map[string]any{}, value, path)
		}
	}
}

func TestEmptyDeployment(t *testing.T) {
	t.Parallel()
	d := start(t, "olympus.example.com", "off")
	b := newTab(t, d)
	pages := b.crawl(d, b.inspect)
	require.ElementsMatch(t, []string{"/", "/alarms", "/peers", "/events", "/modules", "/jobs", "/audit"}, pages)
	requireJSON(t, d, pages)

	b.visit("/")
	for _, words := range []string{
		"Nothing is in trouble", "olympus.example.com", "GOPROXY=" + d.url + " go mod download", "olympus task peers:join https://",
		d.signer.VerifierKey(), "No jobs",
	} {
		require.Contains(t, b.text(), words)
	}
	b.visitMissing("/nothing")
	require.Contains(t, b.text(), "Error 404 Not Found /nothing: there is nothing here")
	b.inspect("/nothing")
	b.follow("the way back", click(`main a`))
	require.Equal(t, d.url+"/", evaluate[string](b, "location.href"))
}

// TestFaultsAreNoticed spoils a page in many ways and requires that each is noticed: a test that finds nothing is not for that reason a
// good one.
func TestFaultsAreNoticed(t *testing.T) {
	t.Parallel()
	b := newTab(t, start(t, "olympus.example.com", "off"))
	b.size(390, 844, true)
	b.visit("/")
	b.spoilt = true
	b.requireChecksFind()
	b.requireViolations()
	for _, spoil := range []struct{ script, fault string }{
		{`$('body').innerHTML += '<img src="/x">'`, "status 404: " + b.base + "/x"},
		{`$('body').innerHTML += '<p onclick="alert(1)">'`, "console, security: Executing inline event handler"},
		{`$('body').innerHTML += '<p style="color: red">'`, "console, security: Applying inline style"},
		{`$('body').append(Object.assign(document.createElement('script'), {text: '1'}))`, "console, security: Executing inline script"},
		{`$('body').innerHTML += '<img src="https://example.org/">'`, "console, security: Loading the image 'https://example.org/'"},
		{`fetch('https://example.org/').catch(() => {})`, "console, security: Connecting to"},
		{`console.error('x')`, "console: error"},
		{`setTimeout(() => { throw 1 })`, "exception: Uncaught"},
		{`setTimeout(() => { location = 'http://example.org/' })`, "a request to somebody else: http://example.org/"},
		{`setTimeout(() => alert(7))`, "dialog: 7"}, // the last: it stops the page
	} {
		b.do(spoil.script, chromedp.Evaluate[chromedp.Void](`{ const $ = s => document.querySelector(s); `+spoil.script+`; undefined }`))
		require.Eventually(t, func() bool { return b.noticed(spoil.fault) }, patience, time.Millisecond, "after %s: not %q", spoil.script, spoil.fault)
	}
}

func TestBusyDeployment(t *testing.T) {
	t.Parallel()
	d := busy(t)
	t.Run("pages", func(t *testing.T) { t.Parallel(); testPages(t, d) })
	t.Run("keyboard", func(t *testing.T) { t.Parallel(); testKeyboard(t, d) })
}

// testPages looks at every page of the busy deployment.
func testPages(t *testing.T, d *deployment) {
	b := newTab(t, d)
	texts := map[string]string{}
	rows := map[string][]string{}
	pages := b.crawl(d, func(path string) {
		// One listing is like the other, but shorter, and one event like the next.
		if !strings.Contains(path, "?prefix=") && !regexp.MustCompile(`^/events/\d\d`).MatchString(path) {
			b.inspect(path)
		}
		texts[path], rows[path] = b.text(), b.rows()
	})
	requireJSON(t, d, pages)
	for _, path := range []string{"/", "/alarms", "/peers/" + dead, "/modules", "/jobs"} {
		b.visit(path)
		b.inspect(path + ", after all was asked for")
	}

	row := func(page, text string) string {
		t.Helper()
		var found []string
		for _, row := range rows[page] {
			if strings.HasPrefix(row, text) {
				found = append(found, row)
			}
		}
		require.Len(t, found, 1, "rows of %s with %q: %q", page, text, rows[page])
		return found[0]
	}
	t.Run("peers", func(t *testing.T) {
		for _, page := range []string{"/", "/peers"} {
			require.Contains(t, row(page, lagging), "active 2 1,236 1,234", "the lag")
			require.Regexp(t, `1,234 \S.* (ago|now) \S.* (ago|now) 3 h ago$`, row(page, lagging), "pulled, pushed to, pushed from")
			require.Contains(t, row(page, dead), "failing")
			require.Contains(t, row(page, dead), "3 pushes queued")
			require.Contains(t, row(page, paused), "paused")
			require.Contains(t, row(page, longPeer), "paused")
			require.Contains(t, row(page, evil), "failing")
			require.Contains(t, texts[page], "connection refused", "why the dead one is dead")
		}
		page := "/peers/" + dead
		require.Contains(t, pages, page)
		require.Regexp(t, `Last error .*pull from og\.example\.com: .*connection refused`, texts[page])
		require.Contains(t, texts["/peers/"+paused], "olympus task peers:resume "+paused)
		require.Contains(t, texts["/peers/"+lagging], "Lag 1,234 events not yet taken")
		require.True(t, slices.ContainsFunc(pages, func(page string) bool {
			return strings.Contains(texts[page], "olympus task sync:pull '"+strings.ReplaceAll(evil, "'", `'\''`)+"'")
		}), "quoted for the shell")
	})
	t.Run("versions", func(t *testing.T) {
		for version, says := range map[string][2]string{ // in the listing, and on its page
			held:       {"live held", "Its zip is held here"},
			upper:      {"live remote", "go get " + upper},
			remote:     {"live remote", "Its zip is not here: it is fetched from om.example.com"},
			failed:     {"live failed", "Its zip could not be fetched in 1 attempt"},
			deprecated: {"deprecated remote", "olympus task modules:delete " + deprecated},
			deleted:    {"deleted barred", "Barred for good"},
			unknown:    {"deprecated unknown", "Nothing is served"},
			conflicted: {"live conflict remote", "added more than once, with different bytes"},
			wide:       {"live remote", "go get " + wide},
		} {
			require.Contains(t, row("/modules", version), says[0])
			require.Contains(t, texts[pageOf(t, version)], says[1], version)
		}
		require.Contains(t, texts["/"], "1 version is known with different bytes")
		require.Contains(t, texts["/"], "1 zip could not be fetched")
		require.Contains(t, texts["/"], "4 things are in trouble")
		for state, versions := range map[string][]string{
			"held": {held}, "failed": {failed}, "conflict": {conflicted}, "deprecated": {deprecated, unknown}, "deleted": {deleted},
		} {
			page := "/modules?state=" + state
			require.Contains(t, pages, page, "the overview leads there")
			require.Len(t, rows[page], len(versions), page)
			for _, version := range versions {
				row(page, version)
			}
		}
		require.Contains(t, texts[pageOf(t, failed)], "Next try when a client asks for it")
	})
	t.Run("hostile text is text", func(t *testing.T) {
		shown := 0
		for path, text := range texts {
			shown += strings.Count(text, hostile)
			require.Equal(t, strings.Count(text, "onerror=alert(2)"), strings.Count(text, hostile), "%s: all of it, unchanged", path)
		}
		require.GreaterOrEqual(t, shown, 14)
		for _, path := range []string{"/", "/alarms", "/peers", "/events", "/modules", "/jobs", "/audit", pageOf(t, failed), pageOf(t, deprecated)} {
			require.Contains(t, texts[path], hostile, path)
		}
		for _, path := range []string{"/", "/peers", "/events", "/modules", "/jobs", "/audit", pageOf(t, conflicted)} {
			require.Contains(t, texts[path], evil, path)
		}
		for _, module := range []string{"example.com/<script>alert(1)</script>@v1.0.0", `example.com/<%= 6*7 %>"'>@v1.0.0`} {
			require.Contains(t, texts["/modules"], module)
			require.Contains(t, texts["/events"], module)
		}
	})
	t.Run("alarms", func(t *testing.T) {
		for _, says := range []string{
			"The last exchange with " + dead + " failed", "connection refused", "1 version is known with different bytes", conflicted,
			"1 zip could not be fetched", failed + " 1 attempt, the last", paused + " is paused", "What to do: Resume it",
		} {
			require.Contains(t, texts["/alarms"], says)
		}
		require.Contains(t, texts["/"], "All 6 alarms, with what to do")
		require.Contains(t, texts["/alarms"], ": 6 alarms.")
	})
	t.Run("audit", func(t *testing.T) {
		require.Contains(t, pages, "/audit")
		require.Contains(t, texts["/audit"], "add peer")
		require.Contains(t, row("/audit", "delete "+deleted), hostile)
	})
	t.Run("jobs", func(t *testing.T) {
		require.Regexp(t, `push retryable event \d+ `+regexp.QuoteMeta(dead)+" 1 of 5", texts["/jobs"])
		require.Regexp(t, `push completed event \d+ `+regexp.QuoteMeta(lagging)+" 1 of 5", texts["/jobs"])
		require.Contains(t, texts["/jobs"], "remove completed "+deleted)
		require.Regexp(t, `last error push to og\.example\.com: .*connection refused`, texts["/jobs"])
	})
}

// pageOf is the address of the page of a version, as links have it.
func pageOf(t *testing.T, of string) string {
	t.Helper()
	path, version, _ := strings.Cut(of, "@")
	path, err := module.EscapePath(path)
	require.NoError(t, err)
	version, err = module.EscapeVersion(version)
	require.NoError(t, err)
	return "/modules/" + strings.ReplaceAll(path+"@"+version, "!", "%21")
}
