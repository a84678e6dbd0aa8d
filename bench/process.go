package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// process is a server under measurement.
type process struct {
	cmd      *exec.Cmd
	url      string
	database string
	output   *bytes.Buffer
}

// freePort returns a port that was free a moment ago.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// database makes an empty database and returns its URL.
func (l *lab) database(ctx context.Context) (string, error) {
	conn, err := pgx.Connect(ctx, l.admin)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	b := make([]byte, 6)
	_, _ = rand.Read(b)
	name := "olympus_bench_" + hex.EncodeToString(b)
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	u, err := url.Parse(l.admin)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}

func (l *lab) dropDatabase(databaseURL string) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return
	}
	conn, err := pgx.Connect(context.Background(), l.admin)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close(context.Background()) }()
	_, _ = conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+strings.TrimPrefix(u.Path, "/")+" WITH (FORCE)")
}

// olympus starts a deployment with a database and data of its own.
func (l *lab) olympus(ctx context.Context, name string, env ...string) (*process, error) {
	database, err := l.database(ctx)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	p := &process{url: fmt.Sprintf("http://127.0.0.1:%d", port), database: database, output: &bytes.Buffer{}}
	p.cmd = exec.Command(l.binary)
	p.cmd.Env = append(os.Environ(),
		"GO_ENV=development", "ADDR=127.0.0.1", "PORT="+strconv.Itoa(port), "DATABASE_URL="+database,
		"OLYMPUS_NAME="+name, "OLYMPUS_URL="+p.url, "OLYMPUS_DATA_DIR="+filepath.Join(l.dir, name),
		"OLYMPUS_SUMDB=off", "OLYMPUS_UPSTREAM=off", "OLYMPUS_PULL_INTERVAL=0", "LOG_LEVEL=warn")
	p.cmd.Env = append(p.cmd.Env, env...)
	return p, p.start(ctx, "/readyz")
}

// start starts the process and waits until a path answers.
func (p *process) start(ctx context.Context, ready string) error {
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for ctx.Err() == nil {
		resp, err := http.Get(p.url + ready)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode < 500 {
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return fmt.Errorf("%s did not become ready: %s", p.cmd.Path, p.output)
}

func (l *lab) stop(p *process) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
	if p.database != "" {
		l.dropDatabase(p.database)
	}
}

// task runs one of the operator's tasks against a deployment.
func (p *process) task(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p.cmd.Path, append([]string{"task"}, args...)...)
	cmd.Env = p.cmd.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("olympus task %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// cpu is the processor time that the process has used so far.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	const ticksPerSecond = 100
	return time.Duration(user+system) * time.Second / ticksPerSecond, err
}

// memory returns a field of the process's status that counts memory (VmRSS now, VmHWM at most), in bytes.
func (p *process) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of the process", field)
}
