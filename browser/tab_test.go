package browser

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience bounds everything that a tab is asked to do. It is long because machines are busy; nothing waits for it to pass.
const patience = time.Minute

// tab is one tab of the browser, open on one deployment. Whatever goes wrong in it is a fault: an error or warning on the console, which
// is also where a breach of the content security policy is told; an uncaught exception; a dialog; a failed request; a request
// to anybody but the deployment.
type tab struct {
	t    testing.TB
	ctx  context.Context
	base string // URL of the deployment
	name string // of the deployment

	mu      sync.Mutex
	faults  []string
	missing bool // a page that is not there is being looked at on purpose
	spoilt  bool // things go wrong on purpose
}

// newTab opens a tab until the test ends. A fault that nobody asked for fails the test.
func newTab(t testing.TB, d *deployment) *tab {
	t.Helper()
	ctx, closeTab := chromedp.NewContext(chromium)
	b := &tab{t: t, ctx: ctx, base: d.url, name: d.Name}
	late := time.AfterFunc(patience, closeTab)
	defer late.Stop()
	require.NoError(t, chromedp.Listen(ctx, b.listen), "open a tab")
	t.Cleanup(func() {
		if !b.spoilt {
			assert.Empty(t, b.noted())
		}
		if t.Failed() {
			b.picture()
		}
		closeTab()
	})
	// A tab in the background has no focus and draws no focus rings.
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.size(1280, 900, false)
	return b
}

// do runs actions, for as long as patience lasts.
func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, actions...), what)
}

// call sends the tab a command of the DevTools protocol.
func call[P any](b *tab, command cdp.Command[P, cdp.Empty], params P) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(ctx, command, params)
	require.NoError(b.t, err, command.Method)
}

// visit goes to a path of the deployment, requires that it is there, and that nothing went wrong on the way.
func (b *tab) visit(path string) {
	b.t.Helper()
	b.follow(path, chromedp.Navigate(b.base+path))
}

// follow does what leads to another page, and requires as much of it as visit.
func (b *tab) follow(what string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	require.EqualValues(b.t, http.StatusOK, b.load(what, action), what)
	b.quiet(what)
}

// visitMissing goes to a path that is not there; the browser tells of that on the console, and nothing else may be there.
func (b *tab) visitMissing(path string) {
	b.t.Helper()
	b.expectMissing(true)
	require.EqualValues(b.t, http.StatusNotFound, b.load(path, chromedp.Navigate(b.base+path)), path)
	b.quiet(path)
	b.expectMissing(false)
}

func (b *tab) expectMissing(missing bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.missing = missing
}

// load does what leads to another page and returns the status it was answered with, once everything on it has been loaded.
func (b *tab) load(what string, action chromedp.Action[chromedp.Void]) int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, action)
	require.NoError(b.t, err, what)
	return response.Status
}

// quiet requires that nothing has gone wrong in the tab.
func (b *tab) quiet(what string) {
	b.t.Helper()
	require.Empty(b.t, b.noted(), what)
}

// noted are the faults so far.
func (b *tab) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults)
}

// noticed reports whether there was a fault that begins so.
func (b *tab) noticed(fault string) bool {
	return slices.ContainsFunc(b.noted(), func(f string) bool { return strings.HasPrefix(f, fault) })
}

// listen notes what goes wrong. It is called between the messages of the browser and must not wait.
func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Request.URL != b.base && !strings.HasPrefix(e.Request.URL, b.base+"/") {
			b.fault("a request to somebody else", e.Request.URL)
		}
	case *network.EventResponseReceived:
		if e.Response.Status >= 400 && !b.missing {
			b.fault("status "+strconv.FormatInt(e.Response.Status, 10), e.Response.URL)
		}
	case *network.EventLoadingFailed:
		if e.Canceled && (e.Type == network.ResourceTypeEventSource || e.Type == network.ResourceTypeFetch) {
			return // a page that was kept up to date has been left
		}
		b.fault("a request failed", e.ErrorText+" "+string(e.BlockedReason))
	case *log.EventEntryAdded:
		if loud := e.Entry.Level == "error" || e.Entry.Level == "warning"; loud && (!b.missing || e.Entry.Source != "network") {
			b.fault("console, "+string(e.Entry.Source), e.Entry.Text)
		}
	case *runtime.EventConsoleAPICalled:
		b.fault("console", string(e.Type))
	case *runtime.EventExceptionThrown:
		b.fault("exception", e.ExceptionDetails.Text)
	case *page.EventJavascriptDialogOpening:
		b.fault("dialog", e.Message)
	}
}

func (b *tab) fault(what, detail string) { b.faults = append(b.faults, what+": "+detail) }

// evaluate runs a script in the page, in its own right and not as a script of the page.
func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, chromedp.Evaluate[T](script))
	require.NoError(b.t, err)
	return result
}

// text is what can be read on the page.
func (b *tab) text() string {
	b.t.Helper()
	return evaluate[string](b, `document.body.innerText.replace(/\s+/g, ' ')`)
}

// rows are the texts of the rows of the tables on the page. What is said of a peer or job below its row is a row of its own.
func (b *tab) rows() []string {
	b.t.Helper()
	return evaluate[[]string](b, `[...document.querySelectorAll('tbody tr')].map(row => row.innerText.replace(/\s+/g, ' ').trim())`)
}

// links are the addresses, within the deployment, that the page leads to or loads.
func (b *tab) links() []string {
	b.t.Helper()
	var paths []string
	for _, href := range evaluate[[]string](b, `[...document.querySelectorAll('[href], [src], form')].map(e => e.href || e.src || e.action)`) {
		u, err := url.Parse(href)
		require.NoError(b.t, err)
		u.Fragment = ""
		if path, ok := strings.CutPrefix(u.String(), b.base+"/"); ok {
			paths = append(paths, "/"+path)
		}
	}
	return paths
}

// size makes the window so large; a phone lays pages out for its own width, as far as they let it.
func (b *tab) size(width, height int64, phone bool) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: phone,
	})
}

// scheme makes the reader prefer light or dark.
func (b *tab) scheme(name string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
	})
}

// notInNames is what a path may have and the name of a file had better not.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9.,@]+`)

// keep takes pictures of the page at hand, wide and on a phone, light and dark, for somebody to look at: go test -artifacts -outputdir=DIR.
// They are named after its path.
func (b *tab) keep(path string) {
	b.t.Helper()
	if wanted := flag.Lookup("test.artifacts"); wanted == nil || wanted.Value.String() != "true" {
		return
	}
	name := strings.Trim(notInNames.ReplaceAllString(path, "-"), "-")
	name = cmp.Or(name[:min(len(name), 80)], "overview")
	for _, look := range []struct {
		scheme string
		width  int64
	}{{"light", 1280}, {"dark", 1280}, {"light", 360}, {"dark", 360}} {
		b.scheme(look.scheme)
		b.size(look.width, 900, look.width < 500)
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
		cancel()
		require.NoError(b.t, err, name)
		file := filepath.Join(b.t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", name, look.width, look.scheme))
		require.NoError(b.t, os.WriteFile(file, png, 0o600))
	}
	b.scheme("light")
	b.size(1280, 900, false)
}

// picture keeps what the tab showed when the test failed: go test -artifacts -outputdir=DIR.
func (b *tab) picture() {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Log("no picture of the page:", err)
		return
	}
	name := filepath.Join(b.t.ArtifactDir(), "page.png")
	if err := os.WriteFile(name, png, 0o600); err != nil {
		b.t.Log("no picture of the page:", err)
	}
}
