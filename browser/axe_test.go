package browser

import (
	"context"
	"os"
	"sync"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// axeCore is the source of axe-core, of which nothing is kept here.
var axeCore = sync.OnceValues(func() (string, error) {
	source, err := os.ReadFile("../.data/axe/node_modules/axe-core/axe.min.js")
	return string(source), err
})

// violated is a rule of axe-core that a page does not keep.
type violated struct {
	Rule  string   `json:"rule"`
	Help  string   `json:"help"`
	Nodes []string `json:"nodes"`
}

// violations are the rules that the page at hand does not keep: WCAG 2.2 at levels A and AA, and what axe-core calls best practice. passed
// is how many it keeps; a page that none applies to was not looked at.
func (b *tab) violations() (all []violated, passed int) {
	b.t.Helper()
	source, err := axeCore()
	require.NoError(b.t, err, "scripts/axe.sh fetches it")
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	type result struct {
		Violations []violated `json:"violations"`
		Passed     int        `json:"passed"`
	}
	got, err := chromedp.Run(ctx, chromedp.Evaluate[result](source+`;
		axe.run(document, {elementRef: false}).then(r => ({
			passed: r.passes.length,
			violations: r.violations.map(v => ({rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html.slice(0, 200))})),
		}))`, chromedp.EvalAwaitPromise))
	require.NoError(b.t, err)
	return got.Violations, got.Passed
}

// accessible asserts that axe-core finds nothing wrong with the page at hand.
func (b *tab) accessible(what string) {
	b.t.Helper()
	wrong, passed := b.violations()
	assert.Empty(b.t, wrong, what)
	assert.Greater(b.t, passed, 15, what)
}

// requireViolations spoils the page at hand and requires that axe-core notices.
func (b *tab) requireViolations() {
	b.t.Helper()
	for spoil, rule := range map[string]string{
		`$('html').lang = ''`: "html-has-lang",
		`$('main').innerHTML += '<img src="/assets/olympus.svg">'`: "image-alt",
		`$('main').innerHTML += '<button></button>'`:               "button-name",
		`$('h2:not(.unseen)').style.color = '#aaa'`:                "color-contrast",
	} {
		b.do(spoil, chromedp.Evaluate[chromedp.Void](`{ const $ = s => document.querySelector(s); `+spoil+`; undefined }`))
		wrong, _ := b.violations()
		var rules []string
		for _, v := range wrong {
			rules = append(rules, v.Rule)
		}
		assert.Contains(b.t, rules, rule, spoil)
	}
	b.load("/", chromedp.Navigate(b.base+"/"))
}
