package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// counting is a local upstream over a tree in GOPROXY layout that counts what it is asked for.
type counting struct {
	*httptest.Server
	mu     sync.Mutex
	counts map[string]int
}

func newUpstream(tree string) *counting {
	c := &counting{counts: make(map[string]int)}
	files := http.FileServer(http.Dir(tree))
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.counts[r.URL.Path]++
		c.mu.Unlock()
		files.ServeHTTP(w, r)
	}))
	return c
}

// most returns the largest number of times that one file was asked for.
func (c *counting) most(suffix string) (most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for path, n := range c.counts {
		if strings.HasSuffix(path, suffix) {
			most = max(most, n)
		}
	}
	return most
}

// benchFill fills the project's own dependency graph cold from a local upstream, beside goproxy doing the same, and sends sixteen
// clients after one cold zip. Once both check what they get against a checksum database, and once there is none: then goproxy looks
// into no zip, while Olympus still reads every file in it, for the hash that goes into the log.
func benchFill(ctx context.Context, l *lab) ([]row, error) {
	tree, files, err := l.modules(ctx)
	if err != nil {
		return nil, err
	}
	if err := l.buildGoproxy(ctx); err != nil {
		return nil, err
	}
	sums, err := newChecksums(tree, files)
	if err != nil {
		return nil, err
	}
	defer sums.Close()
	checked, err := l.fills(ctx, tree, files, sums.key+" "+sums.URL)
	if err != nil {
		return nil, err
	}
	unchecked, err := l.fills(ctx, tree, files, "off")
	if err != nil {
		return nil, err
	}
	once, err := l.sixteen(ctx, tree, files)
	if err != nil {
		return nil, err
	}
	most, wrong := max(checked.most, unchecked.most), checked.wrong+unchecked.wrong
	return []row{
		checked.row(fmt.Sprintf("cold fill, %d files, checked", checked.files)),
		unchecked.row("the same without a checksum database"),
		{"the same, requests per file at most", fmt.Sprint(most), "", "", "1", most == 1},
		{"the same, wrong or empty answers", fmt.Sprint(wrong), "", "", "0", wrong == 0},
		{"16 clients on one cold zip, fetches", fmt.Sprint(once), "", "", "1", once == 1},
	}, nil
}

// filled is what filling a tree several times, in turn with goproxy, came to.
type filled struct {
	files        int
	ours, theirs time.Duration // medians
	most         int           // requests for one file
	wrong        int           // answers
}

func (f filled) row(what string) row {
	ratio := f.ours.Seconds() / f.theirs.Seconds()
	return row{
		what, f.ours.Round(time.Millisecond).String(), "goproxy " + f.theirs.Round(time.Millisecond).String(),
		fmt.Sprintf("%.2f", ratio), "at most 1.00", ratio <= 1,
	}
}

func (l *lab) fills(ctx context.Context, tree string, files []string, checksums string) (filled, error) {
	var wanted []string
	for _, ext := range []string{".info", ".mod", ".zip"} {
		wanted = append(wanted, having(files, ext)...)
	}
	result := filled{files: len(wanted)}
	var ours, theirs []time.Duration
	for range 3 { // in turn, so that both see the same noise
		up := newUpstream(tree)
		om, err := l.olympus(ctx, "fill.example.com", "OLYMPUS_UPSTREAM="+up.URL, "OLYMPUS_SUMDB="+checksums)
		if err != nil {
			return result, err
		}
		took, wrong, err := fillAll(ctx, om.url, tree, wanted)
		ours, result.wrong = append(ours, took), result.wrong+wrong
		result.most = max(result.most, up.most(".zip"), up.most(".mod"), up.most(".info"))
		l.stop(om)
		up.Close()
		if err != nil {
			return result, err
		}
		up = newUpstream(tree)
		reference, err := l.startGoproxy(ctx, up.URL, checksums)
		if err != nil {
			return result, err
		}
		took, _, err = fillAll(ctx, reference.url, tree, wanted) // it writes .info anew
		theirs = append(theirs, took)
		l.stop(reference)
		up.Close()
		if err != nil {
			return result, err
		}
	}
	result.ours, result.theirs = median(ours), median(theirs)
	return result, nil
}

// fillAll asks for all files, four at a time, compares the bytes, and returns how long it took and how many were wrong.
func fillAll(ctx context.Context, url, tree string, files []string) (time.Duration, int, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	work := make(chan string)
	var wrong atomic.Int64
	var clients errgroup.Group
	start := time.Now()
	for range 4 {
		clients.Go(func() (failed error) {
			for f := range work { // to the end, or whoever gives out work would wait for ever
				body, err := fetchWith(ctx, client, url+"/"+f)
				if err != nil {
					failed = err
					continue
				}
				if want, err := os.ReadFile(filepath.Join(tree, f)); err != nil || !bytes.Equal(body, want) {
					wrong.Add(1)
				}
			}
			return failed
		})
	}
	for _, f := range files {
		work <- f
	}
	close(work)
	err := clients.Wait()
	return time.Since(start), int(wrong.Load()), err
}

// sixteen sends sixteen clients after the largest zip at once and returns how often upstream was asked for it.
func (l *lab) sixteen(ctx context.Context, tree string, files []string) (int, error) {
	largest, size := "", int64(0)
	for _, f := range having(files, ".zip") {
		if info, err := os.Stat(filepath.Join(tree, f)); err == nil && info.Size() > size {
			largest, size = f, info.Size()
		}
	}
	up := newUpstream(tree)
	defer up.Close()
	om, err := l.olympus(ctx, "sixteen.example.com", "OLYMPUS_UPSTREAM="+up.URL)
	if err != nil {
		return 0, err
	}
	defer l.stop(om)
	var clients errgroup.Group
	for range 16 {
		clients.Go(func() error {
			_, err := fetch(om.url + "/" + largest)
			return err
		})
	}
	err = clients.Wait()
	return up.most(".zip"), err
}

// buildGoproxy builds the reference proxy from its own module, in a scratch module of its own.
func (l *lab) buildGoproxy(ctx context.Context) error {
	if l.goproxy != "" {
		return nil
	}
	dir := filepath.Join(l.dir, "goproxy-build")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module reference\n\ngo 1.26\n"), 0o600); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"get", "-tool", "github.com/goproxy/goproxy/cmd/goproxy@v0.26.1"},
		{"build", "-o", "goproxy", "github.com/goproxy/goproxy/cmd/goproxy"},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	l.goproxy = filepath.Join(dir, "goproxy")
	return nil
}

func (l *lab) startGoproxy(ctx context.Context, upstream, checksums string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	cache, err := os.MkdirTemp(l.dir, "goproxy-cache-")
	if err != nil {
		return nil, err
	}
	p := &process{url: fmt.Sprintf("http://127.0.0.1:%d", port), output: newOutput()}
	p.cmd = exec.Command(l.goproxy, "server", "--address", fmt.Sprintf("127.0.0.1:%d", port), "--cacher", "dir", "--cacher-dir", cache, "--temp-dir", l.dir)
	p.cmd.Env = append(os.Environ(), "GOPROXY="+upstream, "GOSUMDB="+checksums, "GONOSUMDB=", "GOPRIVATE=", "GOMODCACHE="+filepath.Join(cache, "mod"))
	return p, p.start(ctx, "/")
}

func median(all []time.Duration) time.Duration {
	sorted := append([]time.Duration(nil), all...)
	for i := range sorted {
		for j := i; j > 0 && sorted[j] < sorted[j-1]; j-- {
			sorted[j], sorted[j-1] = sorted[j-1], sorted[j]
		}
	}
	return sorted[len(sorted)/2]
}
