package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is a Postgres server of one deployment's own. It is killed on purpose, and with us.
type cluster struct {
	programs string // the directory of Postgres' own
	dir      string
	port     int
	owner    *syscall.Credential // nil: whoever runs this

	mu     sync.Mutex
	server *exec.Cmd // nil while it does not run
}

// findPostgres returns the directory of Postgres' programs.
func findPostgres(root string) (string, error) {
	out, err := exec.Command(filepath.Join(root, "scripts", "postgres.sh"), "find").Output()
	if err != nil {
		return "", fmt.Errorf("find Postgres' programs: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// postgresUser is whom Postgres runs as: it refuses to run as root.
func postgresUser() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	postgres, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, errUser := strconv.Atoi(postgres.Uid)
	gid, errGroup := strconv.Atoi(postgres.Gid)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errUser, errGroup)
}

// newCluster makes a cluster in a directory that does not exist yet, without starting it.
func newCluster(programs, dir string) (*cluster, error) {
	c := &cluster{programs: programs, dir: dir}
	var err error
	if c.owner, err = postgresUser(); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	if c.owner != nil {
		if err := os.Chown(dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return nil, err
		}
	}
	made, err := c.command("initdb", "-D", c.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, made)
	}
	return c, nil
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) url() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

func (c *cluster) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.programs, program), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: c.owner, Setpgid: true}
	return cmd
}

// start starts the server and waits until it takes connections.
func (c *cluster) start(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		if c.port == 0 {
			c.port = freePort()
		}
		err := c.startOnce(ctx)
		if err == nil || ctx.Err() != nil || attempt == 5 {
			return err
		}
		c.kill()
	}
}

func (c *cluster) startOnce(ctx context.Context) error {
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// What was committed survives a kill of the server without a sync: only the machine itself would lose it.
	cmd := c.command("postgres", "-D", c.data(), "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "max_connections=300", "-c", "fsync=off", "-c", "full_page_writes=off")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	c.mu.Lock()
	c.server = cmd
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.url())
		if err == nil {
			return conn.Close(ctx)
		}
		if syscall.Kill(cmd.Process.Pid, 0) != nil || !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("start Postgres: %w", err)
		}
	}
}

// kill ends the server and all of its children with SIGKILL, and returns when none of them is left.
func (c *cluster) kill() {
	c.mu.Lock()
	server := c.server
	c.server = nil
	c.mu.Unlock()
	if server == nil {
		return
	}
	_ = server.Process.Signal(syscall.SIGSTOP) // so that it starts no other child once they have been looked for
	children := childrenOf(server.Process.Pid)
	_ = server.Process.Kill()
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL) // it may have ended by itself
	}
	_ = server.Wait()
	for _, child := range children {
		for syscall.Kill(child, 0) == nil && !isZombie(child) {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// signal sends a signal to the server and all of its children. One that stops them stops the server first, so that it has no others.
func (c *cluster) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server == nil {
		return
	}
	_ = c.server.Process.Signal(sig)
	for _, child := range childrenOf(c.server.Process.Pid) {
		_ = syscall.Kill(child, sig)
	}
}

func childrenOf(pid int) []int {
	out, _ := exec.Command("ps", "-o", "pid=", "--ppid", strconv.Itoa(pid)).Output()
	var children []int
	for _, field := range strings.Fields(string(out)) {
		if child, err := strconv.Atoi(field); err == nil {
			children = append(children, child)
		}
	}
	return children
}

// isZombie is true of a process that has ended and that nobody has waited for yet.
func isZombie(pid int) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return err != nil || len(line) == 0
}
