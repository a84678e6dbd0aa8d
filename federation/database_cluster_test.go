package federation

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// cluster is a Postgres of a test's own: it can be killed without others noticing.
type cluster struct {
	t        *testing.T
	programs string // the directory of Postgres' own
	dir      string
	port     string
	url      string
	owner    *syscall.Credential // nil: whoever runs the test
	server   *exec.Cmd
}

// newCluster makes a cluster and starts it.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := placeCluster(t)
	made, err := c.command("initdb", "-D", filepath.Join(c.dir, "data"), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	require.NoError(t, err, "%s", made)
	c.start()
	return c
}

// placeCluster finds a place and a port for a cluster, which goes with the test.
func placeCluster(t *testing.T) *cluster {
	t.Helper()
	out, err := exec.Command("../scripts/postgres.sh", "find").Output()
	require.NoError(t, err, "find Postgres' programs")
	c := &cluster{t: t, programs: strings.TrimSpace(string(out))}
	var root string
	c.owner, root = postgresUser(t)
	c.dir, err = os.MkdirTemp(root, "olympus-postgres-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(c.dir) })
	if c.owner != nil {
		require.NoError(t, os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)))
	}
	// Below the ports that the system takes for outgoing connections, so that it stays free while the server is down.
	eventually(t, "a port is free", func() bool {
		c.port = strconv.Itoa(20000 + rand.IntN(12000))
		l, err := net.Listen("tcp", "127.0.0.1:"+c.port)
		return err == nil && l.Close() == nil
	})
	c.url = "postgres://postgres@127.0.0.1:" + c.port + "/postgres?sslmode=disable"
	t.Cleanup(func() {
		c.kill()
		if log, err := os.ReadFile(filepath.Join(c.dir, "log")); err == nil && t.Failed() {
			t.Logf("Postgres said at last: %s", log[max(0, len(log)-1000):])
		}
	})
	return c
}

// postgresUser returns whom to run as what refuses to be run by root, nil if that is not who runs the test, and where to make its directory.
func postgresUser(t *testing.T) (*syscall.Credential, string) {
	t.Helper()
	if os.Getuid() != 0 {
		return nil, os.TempDir()
	}
	// Other users may not enter the directories that the testing package makes.
	postgres, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, errUser := strconv.Atoi(postgres.Uid)
	gid, errGroup := strconv.Atoi(postgres.Gid)
	require.NoError(t, errors.Join(errUser, errGroup))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, "/tmp"
}

// command is a program of Postgres. It dies with the test, whatever ends that.
func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.programs, program), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: c.owner}
	return cmd
}

// start starts the server and waits until it takes connections.
func (c *cluster) start() {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(c.t, err)
	defer func() { _ = log.Close() }()
	c.server = c.command("postgres", "-D", filepath.Join(c.dir, "data"), "-p", c.port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=200", "-c", "fsync=on", "-c", "synchronous_commit=on")
	c.server.Stdout, c.server.Stderr = log, log
	require.NoError(c.t, c.server.Start())
	eventually(c.t, "Postgres takes connections", func() bool {
		conn, err := pgx.Connect(context.Background(), c.url)
		return err == nil && conn.Close(context.Background()) == nil
	})
}

// kill ends the server and all of its children with SIGKILL, and returns when none of them is left.
func (c *cluster) kill() {
	c.t.Helper()
	if c.server == nil || c.server.Process == nil || c.server.ProcessState != nil {
		return // a failed test did not start it, or not again
	}
	// It must not start another child once they have been looked for.
	require.NoError(c.t, c.server.Process.Signal(syscall.SIGSTOP))
	out, err := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(c.server.Process.Pid)).Output()
	require.NoError(c.t, err)
	children := strings.Fields(string(out))
	require.NoError(c.t, c.server.Process.Kill())
	for _, child := range children {
		pid, err := strconv.Atoi(child)
		require.NoError(c.t, err)
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
	}
	_ = c.server.Wait()
	eventually(c.t, "the children are gone", func() bool {
		return !slices.ContainsFunc(children, func(pid string) bool {
			line, err := os.ReadFile("/proc/" + pid + "/cmdline") // empty of one that nobody has waited for yet
			return err == nil && len(line) > 0
		})
	})
}
