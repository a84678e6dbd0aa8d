package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// deployment is one Olympus: several processes over one database and one directory of blobs, behind a proxy that is its URL.
type deployment struct {
	label    string // om, oa or og
	name     string // as in its events
	binary   string
	dir      string // absolute
	upstream string
	oracle   *oracle
	cluster  *cluster
	proxy    *proxy
	slots    []*slot

	// processes is held by whoever does something to the processes or the database: one fault at a time.
	processes sync.Mutex
	db        *pgxpool.Pool // of ours, to look; it connects again by itself

	mu   sync.Mutex
	hurt time.Time // when a process was last killed
}

const (
	tick         = 3 * time.Second // of pulling
	listTTL      = 5 * time.Second
	adminToken   = "let-me-administrate"
	pushAttempts = "3"
)

// roles are what the processes of each deployment do. They differ, so that each way to run several is there.
var roles = map[string][]string{
	"om": {"web", "web", "worker"},
	"oa": {"all", "all"},
	"og": {"web", "worker"},
}

var labels = []string{"om", "oa", "og"}

// webs is how many processes of a deployment serve clients.
func webs(label string) (n int) {
	for _, role := range roles[label] {
		if role != "worker" {
			n++
		}
	}
	return n
}

func nameOf(label string) string { return label + ".faults.localhost" }

// command is the binary in the settings of the deployment. It dies with us.
func (d *deployment) command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.binary, args...)
	cmd.Dir = d.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "GO_ENV=test", "LOG_FORMAT=text", "LOG_LEVEL=info", "ADDR=127.0.0.1",
		"DATABASE_URL=" + d.cluster.url(), "OLYMPUS_NAME=" + d.name, "OLYMPUS_URL=" + d.proxy.server.URL, "OLYMPUS_DATA_DIR=" + d.dir,
		"OLYMPUS_ADMIN_TOKEN=" + adminToken, "OLYMPUS_SUMDB=off", "OLYMPUS_UPSTREAM=" + d.upstream, "OLYMPUS_LIST_TTL=" + listTTL.String(),
		"OLYMPUS_PULL_INTERVAL=" + tick.String(), "OLYMPUS_PUSH_ATTEMPTS=" + pushAttempts, "OLYMPUS_PUSH_BACKOFF=500ms", "OLYMPUS_PAGE_SIZE=100",
	}
	// Away from the terminal's group: Ctrl-C is for us, who then end what we have started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	return cmd
}

// start starts the database and all processes.
func (d *deployment) start(ctx context.Context) error {
	if err := d.cluster.start(ctx); err != nil {
		return err
	}
	var err error
	if d.db, err = pgxpool.New(ctx, d.cluster.url()); err != nil {
		return err
	}
	go d.proxy.lookAround()
	// The first one migrates, and makes the key that all of them share.
	if err := d.slots[0].start(ctx); err != nil {
		return err
	}
	return d.startSlots(ctx, d.slots[1:])
}

func (d *deployment) startSlots(ctx context.Context, slots []*slot) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range slots {
		g.Go(func() error { return s.start(ctx) })
	}
	return g.Wait()
}

// stop ends everything at once.
func (d *deployment) stop() {
	for _, s := range d.slots {
		s.kill()
	}
	if d.db != nil {
		d.db.Close()
	}
	d.cluster.kill()
	d.proxy.close()
}

// spread tells the proxy where the web processes are.
func (d *deployment) spread() { d.proxy.setAddresses(d.addresses()) }

// addresses are those of the web processes.
func (d *deployment) addresses() (addresses []string) {
	for _, s := range d.slots {
		if s.role != "worker" {
			addresses = append(addresses, s.address())
		}
	}
	return addresses
}

// lastHurt is when a process was last killed.
func (d *deployment) lastHurt() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hurt
}

func (d *deployment) hurtNow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hurt = time.Now()
}

// introduce makes another deployment a peer.
func (d *deployment) introduce(ctx context.Context, other *deployment) error {
	var described struct{ Name, URL, Key string }
	if err := other.administrate(ctx, http.MethodGet, "/peer", "", &described); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"url": described.URL, "key": described.Key})
	if err != nil {
		return err
	}
	return d.administrate(ctx, http.MethodPut, "/peers/"+described.Name, string(body), nil)
}

// statusError is an answer that is not 2xx.
type statusError struct {
	status int
	text   string
	ours   bool // the proxy gave it
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%d %s", e.status, strings.TrimSpace(e.text))
}

// administrate sends a request with the administrator's token and decodes the answer, unless into is nil.
func (d *deployment) administrate(ctx context.Context, method, path, body string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, d.proxy.server.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &statusError{status: resp.StatusCode, text: string(answer), ours: resp.Header.Get(ours) != ""}
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

// task runs one of the operator's tasks.
func (d *deployment) task(ctx context.Context, args ...string) (output string, err error) {
	cmd := d.command(append([]string{"task"}, args...)...)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	if err := cmd.Start(); err != nil {
		return "", err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		err = errors.Join(ctx.Err(), <-done)
	}
	return b.String(), err
}
