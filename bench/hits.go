package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/sync/errgroup"
)

const connections = 32

// serveFiles is the reference for hits: net/http's file server and nothing else.
func serveFiles(port, dir string) error {
	return http.ListenAndServe("127.0.0.1:"+port, http.FileServer(http.Dir(dir)))
}

// modules copies modules of the machine's module cache into a tree in GOPROXY layout: those that this project requires, whole ones only.
func (l *lab) modules(ctx context.Context) (tree string, files []string, err error) {
	tree = filepath.Join(l.dir, "tree")
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}} {{.Version}}", "all")
	out, err := list.Output()
	if err != nil {
		return "", nil, fmt.Errorf("go list -m all: %w", err)
	}
	cache, err := exec.CommandContext(ctx, "go", "env", "GOMODCACHE").Output()
	if err != nil {
		return "", nil, err
	}
	from := filepath.Join(strings.TrimSpace(string(cache)), "cache", "download")
	lists := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		path, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		escapedPath, err1 := module.EscapePath(path)
		escapedVersion, err2 := module.EscapeVersion(version)
		if err1 != nil || err2 != nil {
			continue
		}
		base := filepath.Join(escapedPath, "@v", escapedVersion)
		if !copyAll(from, tree, base+".info", base+".mod", base+".zip") {
			continue
		}
		for _, ext := range []string{".info", ".mod", ".zip"} {
			files = append(files, base+ext)
		}
		lists[filepath.Join(escapedPath, "@v", "list")] = append(lists[filepath.Join(escapedPath, "@v", "list")], version)
	}
	for name, versions := range lists {
		if err := os.WriteFile(filepath.Join(tree, name), []byte(strings.Join(versions, "\n")+"\n"), 0o600); err != nil {
			return "", nil, err
		}
		files = append(files, name)
	}
	if len(files) < 100 {
		return "", nil, fmt.Errorf("only %d files of modules found in the module cache: run go mod download first", len(files))
	}
	return tree, files, nil
}

// copyAll links or copies files that must all be there, and reports whether they are.
func copyAll(from, to string, names ...string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(from, name)); err != nil {
			return false
		}
	}
	for _, name := range names {
		target := filepath.Join(to, name)
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil || os.MkdirAll(filepath.Dir(target), 0o750) != nil || os.WriteFile(target, content, 0o600) != nil {
			return false
		}
	}
	return true
}

// benchHits compares the processor time of a hit with that of a bare file server over the same files.
func benchHits(ctx context.Context, l *lab) ([]row, error) {
	tree, files, err := l.modules(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := l.olympus(ctx, "hits.example.com", "OLYMPUS_UPSTREAM=file://"+tree, "OLYMPUS_LIST_TTL=1h")
	if err != nil {
		return nil, err
	}
	defer l.stop(ours)
	theirs, err := l.fileServer(ctx, tree)
	if err != nil {
		return nil, err
	}
	defer l.stop(theirs)
	for _, f := range files { // twice: the first fills, the second finds
		for range 2 {
			if _, err := fetch(ours.url + "/" + f); err != nil {
				return nil, err
			}
		}
	}
	small, large := bySize(tree, files)
	var rows []row
	for _, kind := range []struct {
		what  string
		files []string
	}{
		{"hit, list", having(files, "/list")},
		{"hit, .info", having(files, ".info")},
		{"hit, .mod", having(files, ".mod")},
		{"hit, small .zip", small},
	} {
		cost, reference, err := l.sideBySide(ctx, ours, theirs, kind.files)
		if err != nil {
			return nil, err
		}
		ratio := cost.cpu.Seconds() / reference.cpu.Seconds()
		rows = append(rows, row{
			kind.what, fmt.Sprintf("%v CPU, %.0f/s", cost.cpu, cost.rate), fmt.Sprintf("file server %v CPU, %.0f/s", reference.cpu, reference.rate),
			fmt.Sprintf("%.2f", ratio), "at most 1.20", ratio <= 1.2,
		})
	}
	cost, reference, err := l.sideBySide(ctx, ours, theirs, large)
	if err != nil {
		return nil, err
	}
	ratio := cost.bytes / reference.bytes
	return append(rows, row{
		"hit, large .zip", fmt.Sprintf("%.0f MB/s", cost.bytes/1e6), fmt.Sprintf("file server %.0f MB/s", reference.bytes/1e6),
		fmt.Sprintf("%.2f", ratio), "at least 0.95", ratio >= 0.95,
	}), nil
}

func (l *lab) fileServer(ctx context.Context, dir string) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{url: fmt.Sprintf("http://127.0.0.1:%d", port), output: newOutput()}
	p.cmd = exec.Command(self, "file-server", strconv.Itoa(port), dir)
	return p, p.start(ctx, "/")
}

// cost is what a load cost the server, per request.
type cost struct {
	cpu   time.Duration
	rate  float64 // requests a second
	bytes float64 // a second
}

// sideBySide loads two servers in turn, several times, so that both see the same noise, and returns the mean costs.
func (l *lab) sideBySide(ctx context.Context, a, b *process, files []string) (ofA, ofB cost, err error) {
	const turns = 4
	var as, bs []cost
	for range turns {
		ca, err := l.load(ctx, a, files)
		if err != nil {
			return ofA, ofB, err
		}
		cb, err := l.load(ctx, b, files)
		if err != nil {
			return ofA, ofB, err
		}
		as, bs = append(as, ca), append(bs, cb)
	}
	return mean(as[1:]), mean(bs[1:]), nil // the first turn warms up
}

func mean(costs []cost) cost {
	var m cost
	for _, c := range costs {
		m.cpu += c.cpu / time.Duration(len(costs))
		m.rate += c.rate / float64(len(costs))
		m.bytes += c.bytes / float64(len(costs))
	}
	return m
}

// load asks for files at random over a fixed number of connections for a part of l.seconds.
func (l *lab) load(ctx context.Context, p *process, files []string) (cost, error) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(l.seconds)*time.Second/4+250*time.Millisecond)
	defer cancel()
	before, err := p.cpu()
	if err != nil {
		return cost{}, err
	}
	start := time.Now()
	var requests, bytes atomic.Int64
	var clients errgroup.Group
	for range connections {
		clients.Go(func() error {
			for ctx.Err() == nil {
				n, err := get(client, p.url+"/"+files[rand.IntN(len(files))])
				if err != nil {
					return err
				}
				requests.Add(1)
				bytes.Add(n)
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		return cost{}, err
	}
	took := time.Since(start).Seconds()
	after, err := p.cpu()
	return cost{
		cpu:  (after - before) / time.Duration(max(1, requests.Load())),
		rate: float64(requests.Load()) / took, bytes: float64(bytes.Load()) / took,
	}, err
}

func get(client *http.Client, url string) (int64, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return n, err
}

func fetch(url string) ([]byte, error) {
	return fetchWith(context.Background(), http.DefaultClient, url)
}

func fetchWith(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.300s", url, resp.Status, body)
	}
	return body, err
}

func having(files []string, suffix string) []string {
	var some []string
	for _, f := range files {
		if strings.HasSuffix(f, suffix) {
			some = append(some, f)
		}
	}
	return some
}

// bySize returns the zips of at most 100 KB and those of at least 1 MB.
func bySize(tree string, files []string) (small, large []string) {
	for _, f := range having(files, ".zip") {
		info, err := os.Stat(filepath.Join(tree, f))
		switch {
		case err != nil:
		case info.Size() <= 100_000:
			small = append(small, f)
		case info.Size() >= 1_000_000:
			large = append(large, f)
		}
	}
	return small, large
}
