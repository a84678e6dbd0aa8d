package federation

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// pooler starts a real PgBouncer in front of the database at a URL, and returns the URL through it.
func pooler(t *testing.T, database, mode string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	require.NoError(t, err, "there is no PgBouncer: scripts/program.sh installs it")
	through, err := url.Parse(database)
	require.NoError(t, err)
	behind := *through
	owner, root := postgresUser(t)
	dir, err := os.MkdirTemp(root, "olympus-pgbouncer-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var port string
	eventually(t, "a port is free", func() bool {
		port = strconv.Itoa(20000 + rand.IntN(12000))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		return err == nil && l.Close() == nil
	})
	through.Host = "127.0.0.1:" + port
	settings := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, "[databases]\n* = host=%s port=%s user=%s\n"+
		"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\npool_mode = %s\n"+
		"default_pool_size = 80\nmax_client_conn = 300\n", behind.Hostname(), behind.Port(), behind.User.Username(), port, mode), 0o644))
	if owner != nil { // it refuses to run as root
		require.NoError(t, os.Chown(dir, int(owner.Uid), int(owner.Gid)))
	}
	cmd := exec.Command(program, settings)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: owner}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("PgBouncer said at last: %s", said.Bytes()[max(0, said.Len()-2000):])
		}
	})
	eventually(t, "PgBouncer takes connections", func() bool {
		conn, err := pgx.Connect(context.Background(), through.String())
		return err == nil && conn.Close(context.Background()) == nil
	})
	return through.String()
}

// Behind a pooler that takes sessions apart nothing starts: neither a server, nor a migration, nor a task, however busy the pooler is.
func TestPoolerThatTakesSessionsApart(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"transaction", "statement"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "om.example.com")
			s.database = pooler(t, s.database, mode)
			env := s.env(s.address())
			refuses := func(args ...string) {
				t.Helper()
				out, errs, code := s.run(env, args...)
				require.Equal(t, 1, code, "%v: %s%s", args, out, errs)
				require.Equal(t, 1, strings.Count(errs, "\n"), errs)
				require.Contains(t, errs, "olympus: cannot use database 127.0.0.1:")
				require.Contains(t, errs, "transaction or statement mode")
				require.Contains(t, errs, "connect to Postgres directly, or set the pooler to session mode")
			}
			for _, args := range [][]string{{}, {"migrate"}, {"task", "log:show"}} {
				refuses(args...)
			}
			// Others use the pooler at the same time.
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			for range 6 {
				go func() {
					conn, err := pgx.Connect(ctx, s.database)
					for err == nil && ctx.Err() == nil {
						_, err = conn.PgConn().Exec(ctx, "SELECT 1").ReadAll()
					}
					if ctx.Err() != nil {
						err = nil
					}
					ended <- err
				}()
			}
			for range 10 {
				refuses("task", "log:show")
			}
			cancel()
			for range 6 {
				require.NoError(t, <-ended)
			}
		})
	}
}

// Behind a pooler that leaves sessions whole everything works: processes hear of each other's events, and jobs are worked.
func TestPoolerInSessionMode(t *testing.T) {
	t.Parallel()
	om := newNeighbour(t, "om.example.com", mx, my)
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, mz).URL)
	s.database = pooler(t, s.database, "session")
	p := s.start()
	beside := s.startBeside("OLYMPUS_ROLE=web")
	p.knows(om.deployment)
	om.pushTo(p)
	s.awaitLog(addX, addY)
	p.serves(mx)
	beside.serves(mz)
	require.Equal(t, mx.Mod(), beside.get(filePath(mx, download.Mod)))
	p.administrate(http.StatusOK, http.MethodPost, "/modules/"+mx.Path+"@"+mx.Version+"/delete", `{"reason":"test"}`)
	eventually(t, "the other process hears of it", func() bool {
		status, _, err := beside.ask(http.MethodGet, filePath(mx, download.Mod), "")
		return err == nil && status == http.StatusForbidden
	})
	out, errs, code := s.run(p.env, "task", "log:verify")
	require.Zero(t, code, out+errs)
	s.sound()
}
