package grifts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gobuffalo/grift/grift"
	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/internal/testdb"
	"olympus/internal/upstream"
	"olympus/models"
	"olympus/worker"
)

// site is a deployment that tasks are run for, one after the other. Each run opens what it needs, as in a process of its own.
type site struct {
	t        *testing.T
	settings *config.Config
	loadErr  error // of the settings
	input    string
	terminal bool
	opened   int // runs that opened the deployment
	closed   int
}

func newSite(t *testing.T, name string) *site {
	t.Helper()
	key, _, err := signature.GenerateKey(name)
	require.NoError(t, err)
	return &site{t: t, settings: &config.Config{
		Name: name, SigningKey: key, DatabaseURL: testdb.URL(t), StorageURL: "file://" + t.TempDir(), Upstream: "off", MaxZip: 1 << 20,
		PageSize: 2, ListTTL: time.Minute,
	}}
}

func (s *site) open(ctx context.Context) (*worker.Deployment, func() error, error) {
	s.opened++
	c := s.settings
	db := testdb.Open(s.t, c.DatabaseURL)
	store, err := blob.Open(ctx, c.StorageURL, blob.Options{})
	require.NoError(s.t, err)
	up, err := upstream.New(upstream.Options{Proxies: c.Upstream, ChecksumDB: "off"})
	require.NoError(s.t, err)
	signer, err := signature.NewSigner(c.SigningKey)
	require.NoError(s.t, err)
	log := slog.New(slog.DiscardHandler)
	process := worker.NewProcess()
	queue, err := worker.NewQueue(ctx, c.DatabaseURL, process, log)
	require.NoError(s.t, err)
	d, err := worker.New(&worker.Deployment{
		Options: worker.Options{Name: c.Name, Role: "task", PageSize: c.PageSize, MaxZip: c.MaxZip, ListTTL: c.ListTTL, PushAttempts: 1},
		DB:      db, Store: store, Upstream: up, Peers: peer.NewClient(signer, peer.Options{}), Signer: signer, Queue: queue, Log: log,
		Follower: models.NewFollower(), Process: process,
	})
	require.NoError(s.t, err)
	require.NoError(s.t, d.Announce(ctx))
	return d, func() error {
		s.closed++
		return errors.Join(queue.Stop(), d.Retire(context.Background()), db.Close())
	}, nil
}

// run runs a task and returns what it printed. It goes past grift's registry, which all tests of the process share.
func (s *site) run(name string, args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	var out, warnings bytes.Buffer
	env := Env{
		Config: func() (*config.Config, error) { return s.settings, s.loadErr },
		Open:   s.open, Stdin: strings.NewReader(s.input), Terminal: s.terminal, Stdout: &out, Stderr: &warnings,
	}
	for _, task := range tasks() {
		if task.String() == name {
			err = task.call(s.t.Context(), env, args)
			require.Equal(s.t, s.opened, s.closed, "%s left the deployment open", name)
			return out.String(), warnings.String(), err
		}
	}
	require.Fail(s.t, "no task "+name)
	return "", "", nil
}

// must runs a task that has to succeed.
func (s *site) must(name string, args ...string) string {
	s.t.Helper()
	out, _, err := s.run(name, args...)
	require.NoError(s.t, err)
	return out
}

// object runs a task with --json that has to succeed.
func (s *site) object(name string, args ...string) map[string]any {
	s.t.Helper()
	return parse[map[string]any](s.t, s.must(name, append(args, "--json")...))
}

func parse[T any](t *testing.T, text string) (value T) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	require.NoError(t, decoder.Decode(&value), text)
	_, err := decoder.Token()
	require.ErrorIs(t, err, io.EOF, "more than one value: %s", text)
	return value
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	for _, test := range []struct{ name, args, want string }{
		{"peers:add", "", "missing argument"},
		{"peers:add", "http://a b c", `unexpected argument "c"`},
		{"peers:add", "ftp://a", "http"},
		{"peers:add", "http://a nokey", "verifier key"},
		{"peers:join", "", "missing argument"},
		{"peers:join", "ftp://a", "http"},
		{"peers:approve", "", "missing argument"},
		{"peers:approve", "om.example.com nokey", "verifier key"},
		{"doctor", "x", `unexpected argument "x"`},
		{"explain", "example.com/m@v1", `"v1" is not a canonical version`},
		{"explain", "example.com/m@v2.0.0", "invalid"},
		{"peers:list", "x", `unexpected argument "x"`},
		{"peers:list", "--jsno", `unknown flag "--jsno"`},
		{"peers:pause", "--json", "missing argument"},
		{"sync:pull", "a b", `unexpected argument "b"`},
		{"log:show", "-1", "not a position"},
		{"log:show", "one", "not a position"},
		{"log:replay", "a b", "not a position"},
		{"log:verify", "x y", "unexpected argument"},
		{"modules:add", "example.com/m", "not of the form module@version"},
		{"modules:add", "example.com/m@", "not of the form module@version"},
		{"modules:add", "@v1.0.0", "malformed module path"},
		{"modules:deprecate", "example.com/m@v1.0.0", "missing argument"},
		{"modules:delete", "example.com/m@v1.0.0", "missing argument"},
		{"modules:import", "", "missing argument"},
		{"modules:import", "nowhere", "neither a directory nor"},
		{"modules:import", "ftp://a", "neither a directory nor"},
		{"modules:import", ". --versions go.sum", "goes with a URL"},
		{"modules:import", "http://a --versions", "needs a value"},
		{"modules:import", ". --check=yes", "unknown flag"},
		{"key:show", "x", "unexpected argument"},
		{"key:generate", "a b", "unexpected argument"},
		{"key:rotate", "168h", "unexpected argument"},
	} {
		out, _, err := s.run(test.name, strings.Fields(test.args)...)
		var misused *UsageError
		require.ErrorAs(t, err, &misused, "%s %s", test.name, test.args)
		require.ErrorContains(t, err, test.want)
		require.True(t, strings.HasPrefix(misused.Usage, "olympus task "+test.name), misused.Usage)
		require.Empty(t, out)
	}
	require.Zero(t, s.opened, "nothing must be opened for what is wrong anyway")
}

func TestTaskFailsWithoutItsDeployment(t *testing.T) {
	t.Parallel()
	broken := errors.New("the database is down")
	env := Env{Open: func(context.Context) (*worker.Deployment, func() error, error) { return nil, nil, broken }, Stdout: io.Discard}
	_, key, err := signature.GenerateKey("om.example.com")
	require.NoError(t, err)
	for _, task := range tasks() {
		if task.namespace == "key" {
			continue
		}
		args := map[string][]string{
			"URL [KEY]": {"http://127.0.0.1:1"}, "NAME": {"om.example.com"}, "NAME [KEY]": {"om.example.com"}, "M@V": {"example.com/m@v1.0.0"},
			"M@V REASON...":      {"example.com/m@v1.0.0", "why"},
			"NAME KEY [OVERLAP]": {"om.example.com", key},
			"DIR|URL":            {"."},
		}[task.args]
		require.GreaterOrEqual(t, len(args), task.least, "this test has no arguments for %s %s", task, task.args)
		require.ErrorIs(t, task.call(t.Context(), env, args), broken, task.String())
	}
}

// grift keeps one registry for the process, so this test is not parallel to itself; the others go past it.
func TestLoadAndRun(t *testing.T) {
	require.Subset(t, grift.List(), []string{"log:verify", "peers:add"}, "what buffalo task list shows")
	require.ErrorIs(t, grift.Run("log:verify", grift.NewContext("log:verify")), errElsewhere)

	s := newSite(t, "om.example.com")
	var out bytes.Buffer
	calls := 0
	env := Env{Config: func() (*config.Config, error) { calls++; return s.settings, nil }, Stdout: &out}
	require.NoError(t, Load(env))
	require.NoError(t, Load(env))
	require.NoError(t, Run(t.Context(), env, "key:show", []string{"--json"}))
	require.Equal(t, 1, calls, "loaded twice, run once")
	require.Contains(t, out.String(), `"name":"om.example.com"`)

	var misused *UsageError
	require.ErrorAs(t, Run(t.Context(), env, "key:shwo", nil), &misused)
	require.ErrorAs(t, Run(t.Context(), env, "list", []string{"x"}), &misused)
	require.Len(t, grift.List(), len(tasks()))

	out.Reset()
	require.NoError(t, Run(t.Context(), env, "list", []string{"--json"}))
	lines := parse[[]map[string]string](t, out.String())
	require.Len(t, lines, len(tasks()))
	for i, task := range tasks() {
		require.Equal(t, task.String(), lines[i]["name"])
		require.NotEmpty(t, lines[i]["description"])
	}
	out.Reset()
	require.NoError(t, Run(t.Context(), env, "list", nil))
	require.Equal(t, len(tasks()), strings.Count(out.String(), "\n"))
}

func TestKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	signer, err := signature.NewSigner(s.settings.SigningKey)
	require.NoError(t, err)
	shown := s.object("key:show")
	require.Equal(t, map[string]any{
		"name": "om.example.com", "key": signer.VerifierKey(), "key_id": signer.KeyID(), "fingerprint": signature.Fingerprint(signer.VerifierKey()),
	}, shown)
	text := s.must("key:show")
	require.Contains(t, text, signer.VerifierKey())
	require.NotContains(t, text, "PRIVATE")

	s.loadErr = config.ErrNoSigningKey
	_, _, err = s.run("key:show")
	require.ErrorIs(t, err, config.ErrNoSigningKey)
	for _, args := range [][]string{nil, {"oa.example.com"}} {
		made := s.object("key:generate", args...)
		name := strings.Join(append(args, "om.example.com")[:1], "")
		require.Equal(t, name, made["name"])
		signer, err := signature.NewSigner(made["signing_key"].(string))
		require.NoError(t, err)
		require.Equal(t, signer.VerifierKey(), made["key"])
		require.NotEqual(t, made["key"], s.object("key:generate", args...)["key"])
	}
	_, _, err = s.run("key:generate", "not a name")
	require.Error(t, err)
	s.settings = nil // wrong settings altogether
	_, _, err = s.run("key:generate")
	require.ErrorIs(t, err, config.ErrNoSigningKey)
	require.Contains(t, s.must("key:generate", "oa.example.com"), "PRIVATE+KEY+oa.example.com+")
	require.Zero(t, s.opened, "keys need no database")
}
