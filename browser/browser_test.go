// Package browser looks at the operator's pages as an operator does: with a real Chromium without a window, at real deployments in
// the process of the test. It holds nothing but tests.
package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// chromium is the one browser that every test opens its tabs in; TestMain starts and ends it.
var chromium context.Context

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	program, err := findChromium()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	allocator, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(program), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),          // it is too small in most containers
		chromedp.Flag("force-color-profile", "srgb"),          // the colours of the style sheet are the colours drawn
		chromedp.Flag("disable-renderer-backgrounding", true), // all tabs but one are in the background
		chromedp.Flag("disable-back-forward-cache", true),     // going back loads a page, too
		// Nothing but the deployments of the tests can be reached, whatever a page or the browser itself asks for.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	)
	defer end()
	ctx, closeBrowser := chromedp.NewContext(allocator)
	defer closeBrowser()
	// The browser lives as long as the context it was started with, so a deadline cannot bound the start alone.
	late := time.AfterFunc(time.Minute, closeBrowser)
	err = chromedp.Do(ctx)
	if !late.Stop() || err != nil {
		fmt.Fprintf(os.Stderr, "start %s: %v\n", program, err)
		return 1
	}
	chromium = ctx
	return m.Run()
}

// findChromium returns the browser to test with.
func findChromium() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the browser tests need one of %s on the PATH: on Debian, apt-get install chromium", strings.Join(names, ", "))
}
