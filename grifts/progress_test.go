package grifts

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/worker"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	var out, errors bytes.Buffer
	p := &progress{out: &errors, what: "versions", began: time.Now(), stop: make(chan struct{})}
	at := func(after time.Duration) string { return p.line(after) }
	require.Equal(t, "0 versions, 0/s", at(0))
	p.add(50, 3<<20)
	require.Equal(t, "50 versions, 5/s, 3.0 MiB", at(10*time.Second))
	p.of(200)
	require.Equal(t, "50 of 200 versions, 5/s, 3.0 MiB, 30s left", at(10*time.Second))
	p.add(200, 5<<40)
	require.Equal(t, "250 of 250 versions, 25/s, 5.0 TiB", at(10*time.Second))

	// Elsewhere than at a terminal: lines.
	p.draw(p.began.Add(10 * time.Second))
	require.NoError(t, p.print(&out, "a problem"))
	p.draw(p.began.Add(20 * time.Second))
	p.end()
	require.Equal(t, "a problem\n", out.String())
	require.Equal(t, 2, strings.Count(errors.String(), "\n"))
	require.NotContains(t, errors.String(), "\r")

	// At a terminal: one line, which makes room for others and is gone at the end.
	var screen bytes.Buffer
	p = &progress{out: &screen, terminal: true, what: "versions", began: p.began, stop: make(chan struct{})}
	p.draw(p.began)
	p.draw(p.began)
	require.NoError(t, p.print(&screen, "a problem"))
	p.draw(p.began)
	p.end()
	line := "\r0 versions, 0/s\x1b[K"
	require.Equal(t, line+line+"\r\x1b[Ka problem\n"+line+"\r\x1b[K", screen.String())
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1<<20 - 1: "1024.0 KiB", 1 << 30: "1.0 GiB", 1 << 62: "4194304.0 TiB"} {
		require.Equal(t, want, size(bytes))
	}
}

// Long tasks tell how far they are: what is counted, how much of it there is, and in the end all of it.
func TestLongTasksTellProgress(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	d, done, err := s.open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, done()) })
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		_, err := d.Deprecate("test", "example.com/m", version, "")
		require.NoError(t, err)
	}
	var told []string
	counted, all := int64(0), int64(0)
	ctx := worker.WithProgress(t.Context(), worker.Progress{
		Begin: func(what string, total int64) { told = append(told, what); all += total },
		Add:   func(done, _ int64) { counted += done },
	})
	_, err = d.Verify(ctx, func(worker.Problem) {})
	require.NoError(t, err)
	require.Equal(t, []string{"events", "versions"}, told)
	require.EqualValues(t, 4, counted)
	require.Equal(t, counted, all)
	_, err = d.Replay(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"events", "versions", "versions"}, told)
	require.EqualValues(t, 6, counted)
	require.Equal(t, counted, all)
}
