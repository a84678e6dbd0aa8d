package federation

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/testbin"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
	"olympus/models"
	"olympus/worker"
)

func TestMain(m *testing.M) { testbin.Main(m) }

// site is a deployment whose processes are real ones. It holds what they share: the database, the data directory, the settings.
type site struct {
	t        *testing.T
	name     string
	url      string
	database string
	data     string
	db       *pop.Connection
	settings []string
	network  [3]byte // of the addresses of its processes
	started  int
}

// newSite prepares a deployment without upstream that pulls only on demand, unless the settings, "NAME=value", say otherwise.
func newSite(t *testing.T, name string, settings ...string) *site {
	t.Helper()
	s := &site{t: t, name: name, database: testdb.URL(t), data: t.TempDir(), settings: settings}
	s.db = testdb.Open(t, s.database)
	s.network = nextNetwork()
	s.url = s.urlOf(s.address())
	return s
}

// processPort is outside of the range that the system takes ports for outgoing connections from.
const processPort = "3000"

// networks is the number of the network that was given out last. It begins anywhere, because the tests may run twice at a time.
var networks = func() *atomic.Uint32 {
	var last atomic.Uint32
	last.Store(rand.Uint32())
	return &last
}()

// nextNetwork returns a network that no other site of this test run has. All of 127/8 is this machine, and an address of its own spares
// each process the hunt for a port that stays free until it listens.
func nextNetwork() [3]byte {
	n := networks.Add(1)
	return [3]byte{127, 1 + byte(n>>8)%254, byte(n)}
}

func (s *site) address() string {
	s.started++
	return net.IPv4(s.network[0], s.network[1], s.network[2], byte(s.started)).String()
}

func (s *site) urlOf(address string) string {
	return "http://" + net.JoinHostPort(address, processPort)
}

// env is the environment of a process: of settings that are there twice, the last one counts.
func (s *site) env(address string, settings ...string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.data, "GO_ENV=test", "LOG_FORMAT=text",
		"ADDR=" + address, "PORT=" + processPort, "DATABASE_URL=" + s.database,
		"OLYMPUS_NAME=" + s.name, "OLYMPUS_URL=" + s.url, "OLYMPUS_DATA_DIR=" + s.data, "OLYMPUS_ADMIN_TOKEN=" + adminToken,
		"OLYMPUS_SUMDB=off", "OLYMPUS_UPSTREAM=off", "OLYMPUS_PULL_INTERVAL=0", "OLYMPUS_DRAIN_DELAY=0",
	}
	return append(append(env, s.settings...), settings...)
}

const adminToken = "let-me-administrate"

// process is one running olympus.
type process struct {
	site    *site
	url     string
	env     []string
	command *exec.Cmd
	output  *processOutput
	ended   chan struct{} // closed once it has been waited for
}

// processOutput collects what a process writes.
type processOutput struct {
	mu      sync.Mutex
	b       bytes.Buffer
	awaited map[string]chan struct{} // texts, and what is closed when one has been written
}

func (o *processOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.b.Write(p)
	for text, written := range o.awaited {
		if bytes.Contains(o.b.Bytes(), []byte(text)) {
			close(written)
			delete(o.awaited, text)
		}
	}
	return n, err
}

// wait returns a channel that is closed when the process writes a text from now on.
func (o *processOutput) wait(text string) <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	written := make(chan struct{})
	o.awaited[text] = written
	return written
}

func (o *processOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start starts a process at the address of the site and waits until it is ready.
func (s *site) start(settings ...string) *process {
	s.t.Helper()
	return s.startAt(strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), ":"+processPort), settings...)
}

// startBeside starts one more process, at an address of its own.
func (s *site) startBeside(settings ...string) *process {
	s.t.Helper()
	return s.startAt(s.address(), settings...)
}

func (s *site) startAt(address string, settings ...string) *process {
	s.t.Helper()
	env := s.env(address, settings...)
	return s.launch(s.urlOf(address), env, s.command(env))
}

// again starts a process that has ended anew, with the same environment.
func (p *process) again() *process {
	p.site.t.Helper()
	<-p.ended
	return p.site.launch(p.url, p.env, p.site.command(p.env))
}

func (s *site) launch(url string, env []string, command *exec.Cmd) *process {
	s.t.Helper()
	p := &process{site: s, url: url, env: env, command: command, output: &processOutput{awaited: make(map[string]chan struct{})}, ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	require.NoError(s.t, p.command.Start())
	go func() { _ = p.command.Wait(); close(p.ended) }()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("%s at %s said:\n%s", s.name, url, p.output)
		}
	})
	eventually(s.t, "the process is ready", func() bool {
		status, _, err := p.ask(http.MethodGet, "/readyz", "")
		return p.hasEnded() || err == nil && status == http.StatusOK
	})
	require.False(s.t, p.hasEnded(), "%s ended at its start:\n%s", s.name, p.output)
	return p
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// command is olympus with an environment and arguments. It dies with the test, whatever ends that.
func (s *site) command(env []string, args ...string) *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command(testbin.Path(s.t), args...)
	cmd.Env, cmd.Dir = env, s.data
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// run runs olympus to its end and returns what it wrote and its exit code.
func (s *site) run(env []string, args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := s.command(env, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); !exited {
		require.NoError(s.t, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// kill ends a process with SIGKILL.
func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// terminate ends a process with SIGTERM and returns its exit code.
func (p *process) terminate() int {
	p.site.t.Helper()
	require.NoError(p.site.t, p.command.Process.Signal(syscall.SIGTERM))
	return p.awaitEnd()
}

// awaitEnd waits until a process has ended by itself and returns its exit code.
func (p *process) awaitEnd() int {
	p.site.t.Helper()
	eventually(p.site.t, "the process ends", p.hasEnded)
	return p.command.ProcessState.ExitCode()
}

// patient waits for an answer about as long as the go command's users do.
var patient = &http.Client{Timeout: 60 * time.Second}

// ask sends a request with the administrator's token.
func (p *process) ask(method, path, body string) (status int, answer string, err error) {
	req, err := http.NewRequest(method, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := patient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// get returns the body of an answer that must be 200.
func (p *process) get(path string) string {
	p.site.t.Helper()
	status, body, err := p.ask(http.MethodGet, path, "")
	require.NoError(p.site.t, err)
	require.Equal(p.site.t, http.StatusOK, status, "GET %s: %s", path, body)
	return body
}

// administrate sends a change, which must be answered with the status.
func (p *process) administrate(status int, method, path, body string) string {
	p.site.t.Helper()
	got, answer, err := p.ask(method, path, body)
	require.NoError(p.site.t, err)
	require.Equal(p.site.t, status, got, "%s %s: %s", method, path, answer)
	return answer
}

// knows makes a deployment in the process of the test a peer of a running process's, and the other way round.
func (p *process) knows(other *deployment) {
	p.site.t.Helper()
	require.NoError(p.site.t, models.SavePeer(p.site.db, other.Name, other.url, other.signer.VerifierKey()))
	var self struct{ Name, URL, Key string }
	require.NoError(p.site.t, json.Unmarshal([]byte(p.get("/peer")), &self))
	require.Equal(p.site.t, []string{p.site.name, p.site.url}, []string{self.Name, self.URL})
	require.NoError(p.site.t, models.SavePeer(other.DB, self.Name, self.URL, self.Key))
}

// log returns "kind module@version" of each event, in the order of the log.
func (s *site) log() []string {
	s.t.Helper()
	events, err := models.Events(s.db, 0, 100_000, 1<<40)
	require.NoError(s.t, err)
	lines := make([]string, len(events))
	for i, e := range events {
		require.EqualValues(s.t, i+1, e.Position)
		lines[i] = string(e.Kind) + " " + e.Module + "@" + e.Version
	}
	return lines
}

func (s *site) held(m testmod.Module) bool {
	v, err := models.FindVersion(s.db, m.Path, m.Version)
	return err == nil && v.Held
}

func (s *site) pointer(other *deployment) int64 {
	s.t.Helper()
	p, err := models.FindPeer(s.db, other.Name)
	require.NoError(s.t, err)
	return p.PullPosition
}

// count runs a query for a number.
func (s *site) count(query string, args ...any) int {
	s.t.Helper()
	var row struct {
		Count int `db:"count"`
	}
	require.NoError(s.t, s.db.RawQuery(query, args...).First(&row))
	return row.Count
}

// staged returns the files of downloads that are under way or were when a process was killed.
func (s *site) staged() []string {
	s.t.Helper()
	names, err := filepath.Glob(filepath.Join(s.data, "blobs", "tmp", "*.partial"))
	require.NoError(s.t, err)
	return names
}

// stagesNothing waits until no part of a zip is left. One that is there at a look may be of a retry, or what tries whether there is room.
func (s *site) stagesNothing() {
	s.t.Helper()
	eventually(s.t, "no part of a zip is left", func() bool { return len(s.staged()) == 0 })
}

// sound waits until a deployment is at rest, with nothing left over, and checks all that can be checked.
func (s *site) sound() {
	s.t.Helper()
	// Nothing is in the hands of the dead, and but for pulls, which wait for news, there is no job left at all.
	eventually(s.t, "work is left over", func() bool {
		return s.count("SELECT count(*) FROM fills") == 0 && s.count(`SELECT count(*) FROM river_job j
			WHERE state IN ('available', 'pending', 'retryable', 'running', 'scheduled') AND (kind <> 'pull' OR state = 'running' AND
				attempted_by[array_upper(attempted_by, 1)] NOT IN (SELECT id FROM processes WHERE seen_at > now() - interval '15 seconds'))`) == 0
	})
	store, err := blob.Open(s.t.Context(), "file://"+filepath.Join(s.data, "blobs"), blob.Options{})
	require.NoError(s.t, err)
	d := &worker.Deployment{Options: worker.Options{Name: s.name, MaxZip: 500 << 20}, DB: s.db, Store: store}
	verified, err := d.Verify(s.t.Context(), func(p worker.Problem) { s.t.Error(p) })
	require.NoError(s.t, err)
	require.Zero(s.t, verified.Orphans, "blobs that nobody knows")
}

// metric returns the value of a metric without labels.
func metric(p *process, name string) float64 {
	p.site.t.Helper()
	for line := range strings.Lines(p.get("/metrics")) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			require.NoError(p.site.t, err)
			return n
		}
	}
	require.FailNow(p.site.t, "there is no metric "+name)
	return 0
}

// target is where others speak to a running process.
func (s *site) target(p *process) peer.Target {
	s.t.Helper()
	var self struct{ Name, URL, Key string }
	require.NoError(s.t, json.Unmarshal([]byte(p.get("/peer")), &self))
	return peer.Target{Name: self.Name, URL: self.URL, Key: self.Key}
}
