package browser

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireSmall requires that the page at hand is small, however much there is to tell.
func (b *tab) requireSmall(what string) {
	b.t.Helper()
	size := evaluate[map[string]float64](b, `({
		bytes: performance.getEntriesByType('navigation')[0].decodedBodySize, elements: document.querySelectorAll('*').length,
	})`)
	assert.Less(b.t, size["bytes"], 64e3, what)
	assert.Less(b.t, size["elements"], 1500.0, what)
}

func TestLongLog(t *testing.T) {
	t.Parallel()
	const n = 100_000
	d := start(t, "olympus.example.com", "off")
	e := added("example.com/m@v1.0.0", "om.example.com", "")
	d.exec(`INSERT INTO events (position, kind, module, version, origin, time, logged_at, zip_hash, zip_sha256, zip_size, mod_hash, info, mod, reason)
		SELECT n, 'add', 'example.com/m' || lpad(n::text, 6, '0'), 'v1.0.0', ?, now(), now() + n * interval '1 microsecond', ?, ?, 1234, ?,
			'{}', 'module m', '' FROM generate_series(1, ?) n`, e.Origin, e.ZipHash, e.ZipSHA256, e.ModHash, n)
	d.exec(`INSERT INTO versions (module, version, add_position, deprecated, deleted, conflict)
		SELECT module, version, position, false, false, false FROM events`)
	d.exec("ANALYZE events, versions")

	b := newTab(t, d)
	b.visit("/")
	b.requireSmall("the dashboard")
	require.Contains(t, b.text(), "Head 100,000 events in the log")
	require.Contains(t, b.text(), "Remote 100,000 zips")

	// shows requires the rows of a page: the module paths end with these numbers, in this order.
	shows := func(what string, first, last int) {
		t.Helper()
		step := 1
		if first > last {
			step = -1
		}
		var want []string
		for i := first; i != last+step; i += step {
			want = append(want, fmt.Sprintf("example.com/m%06d@v1.0.0", i))
		}
		got := evaluate[[]string](b, "[...document.querySelectorAll('tbody th')].map(e => e.innerText)")
		require.Equal(t, want, got, what)
		b.requireSmall(what)
	}
	const next, previous, newest = ".paging a[rel=next]", ".paging a[rel=prev]", ".paging a:not([rel])"

	b.follow("Events", click(`nav a[href="/events"]`))
	shows("the newest events", n, n-49)
	b.follow("Older", click(next))
	shows("older events", n-50, n-99)
	b.follow("Older", click(next))
	shows("still older events", n-100, n-149)
	b.do("back", chromedp.NavigateBack())
	shows("back", n-50, n-99)
	b.follow("Older", click(next))
	b.follow("Newer", click(previous))
	shows("newer events", n-50, n-99)
	b.follow("Newest", click(newest))
	shows("the newest events again", n, n-49)
	b.visit("/events?before=51")
	shows("the oldest events", 50, 1)
	require.False(t, evaluate[bool](b, "!!document.querySelector('"+next+"')"), "nothing is older than the first event")

	b.follow("Modules", click(`nav a[href="/modules"]`))
	shows("the first modules", 1, 50)
	b.follow("Next page", click(next))
	shows("the next modules", 51, 100)
	b.do("search", chromedp.SendKeys(chromedp.CSS("#prefix"), "example.com/m0999"))
	b.follow("Search", click("form button"))
	shows("a search", 99900, 99949)
	b.follow("Next page", click(next))
	shows("more of the search", 99950, 99999)
	require.False(t, evaluate[bool](b, "!!document.querySelector('"+next+"')"), "nothing comes after the last of the search")
	b.follow("Previous page", click(previous))
	shows("the search again", 99900, 99949)

	b.visit("/modules?state=remote&prefix=example.com/m05")
	b.follow("Next page", click(next))
	shows("more in a state", 50050, 50099)
	require.Contains(t, b.text(), "not stored here")
}
