package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// click presses the mouse on the first element that a CSS selector finds.
func click(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible)
}

// focused is where the keyboard is: which of the elements that can be reached, and what is wrong with how that shows.
type focused struct {
	Index  int      `json:"index"` // -1: none of them
	Name   string   `json:"name"`  // empty: the focus is nowhere
	Faults []string `json:"faults"`
}

// reachable marks the elements that the keyboard must reach and returns how many there are.
const reachable = `(() => {` + tools + `
window.reachable = [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')].filter(visible)
return window.reachable.length})()`

// focus tells of the element that has the focus. Its outline must be seen: as wide as two pixels, standing out from what is behind
// it, and cut off by nothing.
const focus = `(() => {` + tools + `
const e = document.activeElement
if (!e || e === document.body) return {index: -1, name: '', faults}
const style = getComputedStyle(e)
const width = parseFloat(style.outlineWidth)
if (style.outlineStyle === 'none' || width < 2) fault('no outline')
else if (contrast(colour(style.outlineColor), ground(e.parentElement)) < 3) fault('an outline like what is behind it')
const reach = width + parseFloat(style.outlineOffset)
const box = e.getBoundingClientRect()
const least = reach - 0.5
const beyond = r =>
  box.left - least < r.left || box.right + least > r.right || box.top - least < r.top || box.bottom + least > r.bottom
if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth) fault('not in the window')
for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
  if (getComputedStyle(p).overflowX !== 'visible' && beyond(p.getBoundingClientRect())) fault('an outline cut off by ' + name(p).split('"')[0])
return {index: window.reachable.indexOf(e), name: name(e), faults}})()`

// walk presses Tab from the top of the page until the focus leaves it, and requires that it came by everything, in order.
func (b *tab) walk(path string) {
	b.t.Helper()
	b.visit(path)
	n := evaluate[int](b, reachable)
	require.Greater(b.t, n, 6, path)
	var order, want []int
	for i := range n {
		want = append(want, i)
	}
	for range n + 10 { // a table that scrolls is reached too
		b.do("press Tab", chromedp.KeyEvent(kb.Tab))
		at := evaluate[focused](b, focus)
		if at.Name == "" || len(order) > 0 && at.Index == order[0] {
			break
		}
		assert.Empty(b.t, at.Faults, "%s: %s", path, at.Name)
		if at.Index >= 0 {
			order = append(order, at.Index)
		}
	}
	assert.Equal(b.t, want, order, "%s: what Tab reaches", path)
}

// testKeyboard uses the pages of the busy deployment without a mouse.
func testKeyboard(t *testing.T, d *deployment) {
	b := newTab(t, d)
	b.walk("/")
	b.walk("/modules/" + failed)
	b.size(375, 812, true)
	b.walk("/modules")

	// The first press offers to skip what every page begins with.
	b.visit("/peers")
	b.do("press Tab", chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "Skip to the content", evaluate[string](b, "document.activeElement.innerText"))
	b.do("press Enter", chromedp.KeyEvent(kb.Enter))
	b.do("press Tab", chromedp.KeyEvent(kb.Tab))
	require.True(t, evaluate[bool](b, "document.querySelector('main').contains(document.activeElement)"))
	require.Equal(t, "#main", evaluate[string](b, "location.hash"))

	// A search needs no mouse.
	b.visit("/modules")
	b.do("go to the field", chromedp.Focus(chromedp.CSS("#prefix")), chromedp.KeyEvent("example.com/d"))
	b.follow("press Enter", chromedp.KeyEvent(kb.Enter))
	require.Equal(t, "?prefix=example.com%2Fd&contains=&state=", evaluate[string](b, "location.search"))
	require.Len(t, b.rows(), 2)
	require.Equal(t, "example.com/d", evaluate[string](b, "document.querySelector('#prefix').value"))

	// Nor does the choice of a state, which keeps what was searched for.
	b.do("choose a state", chromedp.Focus(chromedp.CSS("#state")), chromedp.KeyEvent("deprecated"), chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "Search", evaluate[string](b, "document.activeElement.innerText"))
	b.follow("press Enter", chromedp.KeyEvent(kb.Enter))
	require.Equal(t, "?prefix=example.com%2Fd&contains=&state=deprecated", evaluate[string](b, "location.search"))
	require.Len(t, b.rows(), 1)
	require.Equal(t, "deprecated", evaluate[string](b, "document.querySelector('#state').value"))
}
