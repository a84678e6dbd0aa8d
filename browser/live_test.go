package browser

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// soon requires that a script becomes true.
func (b *tab) soon(script, what string) {
	b.t.Helper()
	require.Eventually(b.t, func() bool { return evaluate[bool](b, script) }, patience, 20*time.Millisecond, what)
}

// manyAdded are events of versions from first to last.
func manyAdded(first, last int) []protocol.Event {
	var events []protocol.Event
	for i := first; i <= last; i++ {
		events = append(events, added(fmt.Sprintf("example.com/live%03d@v1.0.0", i), "om.example.com", ""))
	}
	return events
}

// A page that is open shows what is new without being loaded again, and takes nothing from under who uses it.
func TestLivePages(t *testing.T) {
	t.Parallel()
	d := startAdministered(t, "olympus.example.com", "off", "let-me-administrate")
	d.knows(dead, nobodyThere(t), stranger(t, dead))
	d.hears(manyAdded(1, 30)...)
	b := newTab(t, d)
	b.size(1280, 600, false)
	const isLive, shows = `!document.querySelector('.uptodate').hidden`, `document.querySelector('main').innerText.includes('%s')`

	b.visit("/events")
	b.soon(isLive, "the page is live")
	require.Empty(t, evaluate[[]string](b, `[...document.querySelectorAll('[aria-live]')].map(e => e.outerHTML)`), "nobody is read the page again and again")
	evaluate[bool](b, `window.mark = true; document.querySelector('a[href*="live010"]').focus({preventScroll: true}); scrollTo(0, 400); true`)
	d.hears(manyAdded(31, 31)...)
	b.soon(fmt.Sprintf(shows, "live031"), "the new event")
	require.True(t, evaluate[bool](b, `window.mark`), "the page was not loaded again")
	require.Contains(t, evaluate[string](b, `document.activeElement.innerText`), "live010", "the focus is where it was")
	require.Equal(t, 400.0, evaluate[float64](b, `scrollY`))
	b.check("/events, live", structure, onlyText, fits, legible)
	b.keep("/events, live")

	b.visit("/events?before=20")
	require.False(t, evaluate[bool](b, `!!document.querySelector('script')`), "what is old stays as it is, and needs no script")

	b.visit("/")
	b.soon(isLive, "the page is live")
	require.Contains(t, b.text(), "Nothing was pulled yet from 1 peer.")
	d.exec(`UPDATE peers SET head = 1204, last_pull_at = now(), last_error = ?, last_error_at = now()`, hostile)
	b.soon(fmt.Sprintf(shows, "1,204 events behind"), "the peer")
	require.Contains(t, b.text(), hostile)
	b.inspect("/, live")

	// A field that is being filled in is left alone, and the page goes on afterwards.
	b.visit("/signin")
	b.do("type the token", chromedp.Focus(chromedp.CSS("#token")), chromedp.KeyEvent("let-me-administrate"))
	b.follow("sign in", click(".signin button"))
	_, err := d.Deprecate("test", "example.com/live001", "v1.0.0", "")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return d.count("river_job WHERE state = 'retryable'") == 1 }, patience, 5*time.Millisecond)
	b.visit("/jobs")
	b.soon(isLive, "the page is live")
	b.do("say why", chromedp.Focus(chromedp.CSS(`form[action$='/discard'] [name=reason]`)), chromedp.KeyEvent("because"))
	evaluate[bool](b, `window.read = 0; const plain = fetch; window.fetch = (...all) => { window.read++; return plain(...all) }; true`)
	_, err = d.Deprecate("test", "example.com/live002", "v1.0.0", "")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return d.count("river_job WHERE state = 'retryable'") == 2 }, patience, 5*time.Millisecond)
	require.Never(t, func() bool { return evaluate[int](b, `window.read`) > 0 }, 4*time.Second, 100*time.Millisecond, "somebody is writing")
	require.Equal(t, "because", evaluate[string](b, `document.activeElement.value`))
	evaluate[bool](b, `document.activeElement.value = ''; document.activeElement.blur(); true`)
	b.soon(`document.querySelectorAll("form[action$='/discard']").length === 2`, "the other job")

	// Without scripts all is there, and nothing says that it is live.
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit("/events")
	require.Contains(t, b.text(), "live031")
	require.True(t, evaluate[bool](b, `document.querySelector('.uptodate').hidden`))
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: false})
}
