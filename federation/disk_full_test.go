package federation

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/models"
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
	<-p.ended
	command := p.site.command(p.env)
	command.Args = []string{"sh", "-c", `ulimit -S -f ` + noRoom + `; exec "$0"`, command.Path}
	command.Path = "/bin/sh"
	return p.site.launch(p.url, p.env, command)
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

			require.Contains(t, p.get("/checkpoint"), "\n2\n", "signed, and kept")

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
			s.stagesNothing()

			// The news cannot be signed, since no checkpoint can be kept. Peers see what was signed before; who waits for more waits.
			tail := func(body string) string { all := lines(body); return all[len(all)-1] }
			require.Contains(t, tail(p.get("/eventlog?after=0")), `{"head":2,"next":2,`)
			require.Contains(t, p.get("/eventlog?after=2&limit=1"), `{"head":2,"next":2,`)
			require.Contains(t, p.get("/eventlog?after=2&wait=1"), `{"head":2,"next":2,`)
			require.Contains(t, p.get("/checkpoint"), "\n2\n")
			require.Contains(t, p.get("/sumdb/oa.example.com/latest"), "\n2\n")
			p.get("/readyz")
			eventually(t, "an alarm is raised", func() bool { return strings.Contains(p.get("/metrics"), "olympus_storage_writable 0") })
			require.Contains(t, p.get("/"), "The blob store has taken nothing since")

			// The next attempts are far away by now.
			for _, later := range []string{
				"UPDATE versions SET fetch_due_at = now() + interval '1 hour' WHERE fetch_error <> '' AND NOT held",
				"UPDATE fills SET due_at = now() + interval '1 hour'",
			} {
				require.NoError(t, s.db.RawQuery(later).Exec())
			}
			p = test.free(p)
			eventually(t, "all is held", func() bool { return s.held(mx) && s.held(my) && s.held(missed) })
			require.Equal(t, append(log, "add "+missed.Path+"@v1.0.0"), s.log())
			for _, m := range []testmod.Module{held, missed, mx, my} {
				p.serves(m)
			}
			require.Contains(t, tail(p.get("/eventlog?after=2")), `{"head":6,"next":6,`)
			require.Contains(t, p.get("/checkpoint"), "\n6\n")
			eventually(t, "the alarm ends", func() bool { return strings.Contains(p.get("/metrics"), "olympus_storage_writable 1") })
			s.sound()
			s.stagesNothing()
		})
	}
}

// On a disk that has no inode left no file can be made at all.
func TestNoFileCanBeMade(t *testing.T) {
	t.Parallel()
	held, missed := numbered("held", 1), numbered("missed", 1)
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, held, missed).URL)
	p := s.start()
	p.serves(held)
	tmp := filepath.Join(s.data, "blobs", "tmp")
	require.NoError(t, os.Rename(tmp, tmp+"-gone"))
	status, body, err := p.ask(http.MethodGet, filePath(missed, download.Zip), "")
	require.NoError(t, err)
	require.GreaterOrEqual(t, status, 500, body)
	eventually(t, "an alarm is raised", func() bool { return metric(p, "olympus_storage_writable") == 0 })
	p.get("/readyz")
	p.serves(held)
	require.Equal(t, []string{"add " + held.Path + "@v1.0.0"}, s.log())

	require.NoError(t, os.Rename(tmp+"-gone", tmp))
	eventually(t, "what was missed is filled", func() bool { return s.held(missed) })
	p.serves(missed)
	eventually(t, "the alarm ends", func() bool { return metric(p, "olympus_storage_writable") == 1 })
	s.sound()
}

// While the disk of the database is full, every change of a row is refused by the code that Postgres has for that.
func TestDatabaseDiskFull(t *testing.T) {
	t.Parallel()
	held, missed := numbered("held", 1), numbered("missed", 1)
	om := newNeighbour(t, "om.example.com", mx)
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, held, missed).URL)
	p := s.start()
	p.knows(om.deployment)
	p.serves(held)
	tables := []string{"events", "versions", "fills", "peers", "processes", "river_job", "nonces", "upstream_lists", "audit"}
	require.NoError(t, s.db.RawQuery(`CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$`).Exec())
	for _, table := range tables {
		require.NoError(t, s.db.RawQuery("CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON "+table+" EXECUTE FUNCTION no_room()").Exec())
	}
	for _, path := range []string{filePath(missed, download.Info), filePath(missed, download.Zip)} {
		resp, err := patient.Get(p.url + path)
		require.NoError(t, err)
		_ = resp.Body.Close()
		require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
		require.NotEmpty(t, resp.Header.Get("Retry-After"))
	}
	to, err := models.FindPeer(om.DB, s.name)
	require.NoError(t, err)
	err = om.Peers.Push(t.Context(), peer.Target{Name: to.Name, URL: to.URL, Key: to.Key}, []protocol.Event{testmod.Event(t, mx, om.Name)})
	var refused *peer.StatusError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)
	p.serves(held)
	p.get("/readyz")
	eventually(t, "an alarm is raised", func() bool { return metric(p, "olympus_database_writable") == 0 })
	require.Contains(t, p.get("/"), "The database has taken nothing since")
	require.Equal(t, []string{"add " + held.Path + "@v1.0.0"}, s.log())

	for _, table := range tables {
		require.NoError(t, s.db.RawQuery("DROP TRIGGER no_room ON "+table).Exec())
	}
	om.pushTo(p)
	p.serves(missed)
	eventually(t, "all is held", func() bool { return s.held(mx) && s.held(missed) })
	eventually(t, "the alarm ends", func() bool { return metric(p, "olympus_database_writable") == 1 })
	s.sound()
}
