package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// deployment is one Olympus: its settings, and its process while there is one.
type deployment struct {
	label       string // OM, OA or OG
	name        string
	url         string
	port        int
	reserved    net.Listener // holds the port until the process takes it
	binary, dir string       // absolute paths
	databaseURL string
	key         string // verifier key, once it has started

	process *process // nil while there is none
}

func (s *stage) deployment(label string, port int) *deployment {
	d := &deployment{label: label, port: port, binary: filepath.Join(s.root, binary)}
	d.name = d.directory() + ".demo.localhost"
	d.url = "http://" + d.address()
	d.dir = filepath.Join(s.data, d.directory())
	return d
}

func (d *deployment) directory() string    { return strings.ToLower(d.label) }
func (d *deployment) databaseName() string { return "olympus_demo_" + d.directory() }
func (d *deployment) address() string      { return net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)) }

// release gives the port away.
func (d *deployment) release() {
	if d.reserved != nil {
		_ = d.reserved.Close()
		d.reserved = nil
	}
}

// settings is the environment of the deployment's processes. Whatever is set for another Olympus does not count.
func (d *deployment) settings() []string {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		switch name {
		case "PORT", "ADDR", "GO_ENV", "DATABASE_URL", "LOG_LEVEL", "LOG_FORMAT":
			continue
		}
		if !strings.HasPrefix(name, "OLYMPUS_") {
			env = append(env, pair)
		}
	}
	return append(env,
		"GO_ENV=development",
		"ADDR=127.0.0.1",
		"PORT="+strconv.Itoa(d.port),
		"DATABASE_URL="+d.databaseURL,
		"OLYMPUS_NAME="+d.name,
		"OLYMPUS_DATA_DIR="+d.dir,
		"OLYMPUS_PULL_INTERVAL=0", // only when the scenario says so
		"OLYMPUS_PUSH_ATTEMPTS=1",
	)
}

// start starts the deployment and returns once it serves. upstream is in the syntax of GOPROXY; empty is Go's own, where modules are
// also checked against Go's checksum database.
func (d *deployment) start(ctx context.Context, upstream string) error {
	// The working directory has to be its own: a file .env of the repository would change the settings.
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	env := d.settings()
	if upstream != "" {
		env = append(env, "OLYMPUS_UPSTREAM="+upstream, "OLYMPUS_SUMDB=off")
	}
	d.release()
	var err error
	if d.process, err = startProcess(d.binary, d.dir, env); err != nil {
		return fmt.Errorf("start %s: %w", d.label, err)
	}
	if err := d.awaitReady(ctx); err != nil {
		return fmt.Errorf("start %s: %w", d.label, err)
	}
	var key struct{ Key string }
	if err := d.task(ctx, &key, "key:show"); err != nil {
		return err
	}
	d.key = key.Key
	return nil
}

func (d *deployment) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		_, err := d.get(ctx, "/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-d.process.ended:
			return fmt.Errorf("it ended: %s", d.process.lastLine())
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", errors.Join(err, ctx.Err()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the process, if there is one, in good order.
func (d *deployment) stop() error {
	d.release()
	if d.process == nil {
		return nil
	}
	return d.ended(d.process.stop())
}

// kill ends the process as a crash would.
func (d *deployment) kill() error { return d.ended(d.process.kill()) }

func (d *deployment) ended(err error) error {
	if err != nil {
		return fmt.Errorf("stop %s: %w", d.label, err)
	}
	d.process = nil
	return nil
}

// task runs one of the operator's tasks on the deployment and decodes its answer; a nil answer is not looked at.
func (d *deployment) task(ctx context.Context, answer any, args ...string) error {
	output, err := d.taskOutput(ctx, args...)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(output, answer); err != nil {
		return fmt.Errorf("task %s of %s answers %.200q: %w", args[0], d.label, output, err)
	}
	return nil
}

func (d *deployment) taskOutput(ctx context.Context, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, d.binary, slices.Concat([]string{"task"}, args, []string{"--json"})...)
	cmd.Dir, cmd.Env, cmd.Stderr = d.dir, append(d.settings(), "OLYMPUS_UPSTREAM=off", "OLYMPUS_SUMDB=off"), &stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("task %s of %s: %w: %s", strings.Join(args, " "), d.label, err, strings.TrimSpace(stderr.String()))
	}
	return output, nil
}

// get returns the body of an answer, which must be 200. A deployment that does not answer within ten seconds does not.
func (d *deployment) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %.200s", resp.Status, body)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", req.URL, err)
	}
	return body, nil
}

// getJSON decodes an answer.
func (d *deployment) getJSON(ctx context.Context, path string, answer any) error {
	body, err := d.get(ctx, path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("GET %s%s answers %.200q: %w", d.url, path, body, err)
	}
	return nil
}
