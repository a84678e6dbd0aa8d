package federation

import (
	"net/http"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// A full disk is a limit on the size of the files that a process writes: as there, a file can be made, but not a byte of it written, and
// what is held can be read and removed. Nobody needs to be root for it, and no other process notices.
const (
	noRoom = "0"
	room   = "unlimited"
)

// disk takes the room on its disk from a running process, or gives it back.
func (p *process) disk(limit string) {
	p.site.t.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.command.Process.Pid), "--fsize="+limit+":").CombinedOutput()
	require.NoError(p.site.t, err, "%s", out)
}

// againOnFullDisk starts a process that has ended anew, on a disk that is full from the first.
func (p *process) againOnFullDisk() *process {
	p.site.t.Helper()
	next := &process{site: p.site, url: p.url, env: p.env, output: &processOutput{awaited: make(map[string]chan struct{})}, ended: make(chan struct{})}
	next.command = p.site.command(p.env)
	next.command.Args = []string{"sh", "-c", `ulimit -S -f ` + noRoom + `; exec "$0"`, next.command.Path}
	next.command.Path = "/bin/sh"
	next.command.Stdout, next.command.Stderr = next.output, next.output
	require.NoError(p.site.t, next.command.Start())
	go func() { _ = next.command.Wait(); close(next.ended) }()
	p.site.t.Cleanup(next.kill)
	eventually(p.site.t, "the process is ready", func() bool {
		status, _, err := next.ask(http.MethodGet, "/readyz", "")
		return next.hasEnded() || err == nil && status == http.StatusOK
	})
	require.False(p.site.t, next.hasEnded(), "it does not start on a full disk:\n%s", next.output)
	return next
}

// lacksZip requires that the files of a version that are in the log, or recorded for it, are served, and that its zip is refused with a
// status on which nobody takes it for unknown.
func (p *process) lacksZip(m testmod.Module) {
	p.site.t.Helper()
	require.Equal(p.site.t, m.Info(), p.get(filePath(m, download.Info)))
	require.Equal(p.site.t, m.Mod(), p.get(filePath(m, download.Mod)))
	status, body, err := p.ask(http.MethodGet, filePath(m, download.Zip), "")
	require.NoError(p.site.t, err)
	require.GreaterOrEqual(p.site.t, status, 500, body)
	require.Len(p.site.t, lines(body), 1)
	require.Contains(p.site.t, body, "file too large")
	require.Nil(p.site.t, p.site.blob(m))
}

// While the disk is full, what is held is served, what is not is refused, and no event speaks of a zip that is not there. As soon as there
// is room, whatever has come up meanwhile is held without anybody asking for it.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	held, removed, missed := numbered("held", 1), numbered("removed", 1), numbered("missed", 1)
	for _, test := range []struct {
		name       string
		full, free func(p *process) *process
	}{
		{
			"while it runs",
			func(p *process) *process { p.disk(noRoom); return p },
			func(p *process) *process { p.disk(room); return p },
		},
		{
			"from its start until it is started again",
			func(p *process) *process { p.kill(); return p.againOnFullDisk() },
			func(p *process) *process { require.Zero(p.site.t, p.terminate()); return p.again() },
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			om := newNeighbour(t, "om.example.com", mx, my)
			s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, held, removed, missed).URL)
			p := s.start()
			p.knows(om.deployment)
			p.serves(held)
			p.serves(removed)

			p = test.full(p)
			p.lacksZip(missed)
			om.pushTo(p)
			eventually(t, "the zips cannot be fetched", func() bool {
				return s.count("SELECT count(*) FROM versions WHERE NOT held AND fetch_error LIKE '%file too large%'") == 2
			})
			p.lacksZip(mx)
			p.lacksZip(my)
			p.lacksZip(missed)
			p.serves(held)
			p.administrate(http.StatusOK, http.MethodPost, "/modules/"+removed.Path+"@"+removed.Version+"/delete", "")
			eventually(t, "the zip of a deleted version makes room", func() bool { return s.blob(removed) == nil })
			log := []string{"add " + held.Path + "@v1.0.0", "add " + removed.Path + "@v1.0.0", addX, addY, "delete " + removed.Path + "@v1.0.0"}
			require.Equal(t, log, s.log())
			eventually(t, "no part of a zip is left", func() bool { return len(s.staged()) == 0 })

			p = test.free(p)
			eventually(t, "all is held", func() bool { return s.held(mx) && s.held(my) && s.held(missed) })
			require.Equal(t, append(log, "add "+missed.Path+"@v1.0.0"), s.log())
			for _, m := range []testmod.Module{held, missed, mx, my} {
				p.serves(m)
			}
			s.sound()
			require.Empty(t, s.staged())
		})
	}
}
