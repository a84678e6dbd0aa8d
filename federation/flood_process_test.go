package federation

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// memoryLimit is what a process may need at most, whatever is done to it, in bytes.
const memoryLimit = 256 << 20

// peakMemory is the most memory that a process has had so far, in bytes.
func (p *process) peakMemory() int64 {
	p.site.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	require.NoError(p.site.t, err)
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 10, 64)
			require.NoError(p.site.t, err)
			return kib << 10
		}
	}
	require.Fail(p.site.t, "no VmHWM")
	return 0
}

// fitsMemory checks that a process has kept within the memory it may have.
func (p *process) fitsMemory() {
	p.site.t.Helper()
	peak := p.peakMemory()
	p.site.t.Logf("%s had %d MiB at most", p.site.name, peak>>20)
	require.Less(p.site.t, peak, int64(memoryLimit))
}

// clients ask a process for what it holds, again and again, each over a connection of its own.
type clients struct {
	stop chan struct{}
	all  sync.WaitGroup

	mu    sync.Mutex
	took  []time.Duration
	wrong []string
}

// wantHeld has clients ask for the files of a module that is held, until done is called.
func (p *process) wantHeld(m testmod.Module, n int) *clients {
	p.site.t.Helper()
	c := &clients{stop: make(chan struct{})}
	zip := string(testmod.Zip(p.site.t, m))
	want := map[string]string{fileOf(m, "info"): m.Info(), fileOf(m, "zip"): zip}
	connected := make(chan struct{}, n)
	for i := range n {
		path := fileOf(m, []string{"info", "zip"}[i%2])
		c.all.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for first := true; ; first = false {
				select {
				case <-c.stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				start := time.Now()
				got, err := fetch(client, p.url+path)
				took := time.Since(start)
				c.mu.Lock()
				c.took = append(c.took, took)
				if err == nil && got != want[path] {
					err = fmt.Errorf("%s: wrong bytes", path)
				}
				if err != nil {
					c.wrong = append(c.wrong, err.Error())
				}
				c.mu.Unlock()
				if first {
					connected <- struct{}{}
				}
			}
		})
	}
	for range n {
		<-connected
	}
	return c
}

func fetch(client *http.Client, url string) (string, error) {
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%d: %s", resp.StatusCode, b)
	}
	return string(b), err
}

// done ends the clients and checks that all of them were answered, and nearly all soon. A machine that is busy with other tests is no
// place to measure at: the bound is generous, and what was measured is logged.
func (c *clients) done(p *process) {
	p.site.t.Helper()
	close(c.stop)
	c.all.Wait()
	slices.Sort(c.took)
	p99 := c.took[len(c.took)*99/100]
	p.site.t.Logf("%d answers of what is held: half within %s, 99 %% within %s, all within %s",
		len(c.took), c.took[len(c.took)/2].Round(time.Microsecond), p99.Round(time.Millisecond), c.took[len(c.took)-1].Round(time.Millisecond))
	require.Empty(p.site.t, c.wrong)
	require.Less(p.site.t, p99, 15*time.Second)
}
