package docs

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
	"olympus/internal/testmod"
)

// world is a machine on which somebody follows a document: a directory that looks like a clone in which make build has run, a Postgres for
// whoever asks for one, and an upstream with the modules that the documents name.
type world struct {
	t         *testing.T
	dir       string
	env       []string
	terminals map[string]*terminal
	ports     map[string]string // of the documents, and those that are listened on instead
	restored  string            // the database that the documents call so
	keys      map[string]string // keys of deployments that were shown here, by name
}

var binaries string

func TestMain(m *testing.M) {
	code := m.Run()
	if binaries != "" {
		_ = os.RemoveAll(binaries)
	}
	os.Exit(code)
}

// binary builds the olympus command, once. What go run would run is kept in the build cache, which go build -o would link anew each time.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "olympus-docs-")
	if err != nil {
		return "", err
	}
	binaries = dir
	name := filepath.Join(dir, "olympus")
	out, err := exec.Command("go", "run", "-exec", "cp", "-buildvcs=false", "-ldflags", "-X main.version=v1.2.3 -X main.commit=0123abcd", "olympus", name).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build olympus: %w: %s", err, out)
	}
	return name, err
})

// postgres stands for scripts/postgres.sh: a cluster for each of the documents' would take seconds. Its databases are there already.
const postgres = `#!/bin/sh
case $1 in
start) mkdir -p "$2" && cat "$(dirname "$0")/$(echo "$2" | tr / _)" ;;
stop | remove) rm -rf "$2" ;;
esac
`

// maker stands for make, whose targets the documents need a minute for, or have run already.
const maker = `#!/bin/sh
[ "$*" = build ]
`

func newWorld(t *testing.T, ports ...string) *world {
	t.Helper()
	olympus, err := binary()
	require.NoError(t, err)
	w := &world{t: t, restored: fmt.Sprintf("olympus_test_restored_%x", rand.Uint64()), dir: t.TempDir(), terminals: make(map[string]*terminal), ports: make(map[string]string), keys: make(map[string]string)}
	for name, content := range map[string]string{"scripts/postgres.sh": postgres, "programs/make": maker, ".curlrc": "silent\n"} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o755))
	}
	require.NoError(t, os.Mkdir(filepath.Join(w.dir, "bin"), 0o755))
	for _, name := range []string{"bin/olympus", "programs/olympus"} {
		require.NoError(t, os.Symlink(olympus, filepath.Join(w.dir, name)))
	}
	for _, cluster := range []string{".data/om/postgres", ".data/oa/postgres", ".data/postgres"} {
		file := filepath.Join(w.dir, "scripts", strings.ReplaceAll(cluster, "/", "_"))
		require.NoError(t, os.WriteFile(file, []byte(testdb.URL(t)+"\n"), 0o644))
	}
	for _, port := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		_, w.ports[port], err = net.SplitHostPort(listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, listener.Close())
	}
	tree := testmod.Tree(t, t.TempDir(),
		testmod.Module{Path: "golang.org/x/mod", Version: "v0.42.0", Files: map[string]string{"mod.go": "package mod\n"}},
		testmod.Module{Path: "github.com/google/uuid", Version: "v1.6.0", Files: map[string]string{"uuid.go": "package uuid\n"}},
		testmod.Module{Path: "golang.org/x/sync", Version: "v0.24.0", Files: map[string]string{"sync.go": "package sync\n"}},
		testmod.Module{Path: "example.com/leaked", Version: "v1.0.0", Files: map[string]string{"leaked.go": "package leaked\n"}},
		testmod.Module{Path: "example.com/leaked", Version: "v1.0.1", Files: map[string]string{"leaked.go": "package leaked\n"}})
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	clients, err := exec.Command("../scripts/postgres.sh", "find").Output() // pg_dump and the like
	require.NoError(t, err)
	w.env = []string{
		"PATH=" + filepath.Join(w.dir, "programs") + ":" + strings.TrimSpace(string(clients)) + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "GOPATH=" + filepath.Join(w.dir, "gopath"),
		"GOCACHE=" + strings.TrimSpace(string(cache)), "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOSUMDB=off", "GOPROXY=off",
		"OLYMPUS_UPSTREAM=" + tree, "OLYMPUS_SUMDB=off", "OLYMPUS_DRAIN_DELAY=0",
	}
	return w
}

// terminal returns a terminal by its name, with more settings if it is new.
func (w *world) terminal(name string, settings ...string) *terminal {
	w.t.Helper()
	if w.terminals[name] == nil {
		w.terminals[name] = openTerminal(w.t, w.dir, append(w.env[:len(w.env):len(w.env)], settings...))
	}
	return w.terminals[name]
}

// serve starts a deployment in a terminal of its name, at a port of the documents.
func (w *world) serve(name, port string, settings ...string) *terminal {
	w.t.Helper()
	term := w.terminal(name, append([]string{
		"OLYMPUS_NAME=" + name + ".example.com", "PORT=" + w.ports[port], "OLYMPUS_URL=http://127.0.0.1:" + w.ports[port],
		"OLYMPUS_DATA_DIR=" + filepath.Join(w.dir, ".data", name), "OLYMPUS_ADMIN_TOKEN=let-me-administrate", "B=http://127.0.0.1:" + w.ports[port],
	}, settings...)...)
	w.must(term, "export DATABASE_URL=$(scripts/postgres.sh start .data/"+name+"/postgres)")
	w.must(term, "olympus > "+name+".log 2>&1 &")
	w.must(term, "until curl -fs $OLYMPUS_URL/readyz; do sleep 0.1; done")
	return term
}

// must runs a command that is in no document.
func (w *world) must(term *terminal, command string) string {
	w.t.Helper()
	output, code := term.run("before", command)
	require.Zero(w.t, code, "%s: %s", command, strings.Join(output, "\n"))
	return strings.Join(output, "\n")
}

// knows makes a deployment a peer of another, and learns its key.
func (w *world) knows(a, b string) {
	w.t.Helper()
	w.learn(strings.Split(w.must(w.terminals[b], "olympus task key:show"), "\n"))
	url := w.must(w.terminals[b], "echo $OLYMPUS_URL")
	w.must(w.terminals[a], "olympus task peers:add "+url+" "+w.keys[b+".example.com"])
}

// learn takes the keys of deployments from an output.
func (w *world) learn(output []string) {
	for _, line := range output {
		if found := aKey.FindStringSubmatch(line); found != nil && !strings.Contains(line, "secret") {
			w.keys[found[1]] = found[0]
		}
	}
}

var (
	aPort = regexp.MustCompile(`\b3[0-9]{3}\b`)
	aKey  = regexp.MustCompile(`\b(o[amg]\.example\.com)\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,44}=?`)
)

// here is a command of a document as it is typed here: with the ports and keys of this machine.
func (w *world) here(command string) string {
	command = aKey.ReplaceAllStringFunc(command, func(written string) string {
		name, _, _ := strings.Cut(written, "+")
		if key := w.keys[name]; key != "" {
			return key
		}
		return written
	})
	command = strings.ReplaceAll(strings.ReplaceAll(command, "/restored?", "/"+w.restored+"?"), "DATABASE restored", "DATABASE "+w.restored)
	return aPort.ReplaceAllStringFunc(command, func(port string) string {
		if w.ports[port] != "" {
			return w.ports[port]
		}
		return port
	})
}

// play runs the commands of a block, and compares what they print with what the document shows. in is the terminal of the prompt $.
func (w *world) play(b block, in string) {
	w.t.Helper()
	for _, s := range b.steps {
		name := s.terminal
		if name == "" {
			name = in
		}
		output, code := w.terminal(name).run(s.at, w.here(s.command))
		w.learn(output)
		if s.shown {
			want, got := shape(s.output), shape(output)
			if strings.Contains(s.command, "task explain ") {
				slices.Sort(want)
				got = w.settled(s, name, want)
			}
			require.Equal(w.t, strings.Join(want, "\n"), strings.Join(got, "\n"), "%s: %s", s.at, s.command)
		}
		if code != 0 {
			require.NotEmpty(w.t, s.output, "%s: %s fails: %s", s.at, s.command, strings.Join(output, "\n"))
		}
	}
}

// settled asks for the life of a version until it is as the document tells it: jobs may be at it still. The lines are sorted, as want must be:
// what happens at the same moment is told in either order.
func (w *world) settled(s step, terminal string, want []string) (got []string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !slices.Equal(want, got) && time.Now().Before(deadline); {
		output, _ := w.terminal(terminal).run(s.at, w.here(s.command))
		got = slices.Sorted(slices.Values(shape(output)))
	}
	return got
}

var shapes = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`(PRIVATE\+KEY\+)?(o[amg]\.example\.com)\+[0-9a-f]{8}(\+[A-Za-z0-9+/]{43,44}=?)?`), "KEY of $2"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "FINGERPRINT"},
	{regexp.MustCompile(`h1:[A-Za-z0-9+/]{43}=`), "HASH"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+|o[amg]\.example\.com:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\S+/signing\.key\b`), "FILE"},
	{regexp.MustCompile(`upstream, \S+`), "upstream"},
	{regexp.MustCompile(`zip of \d+ bytes`), "zip of N bytes"},
	{regexp.MustCompile(`pushed by |pulled from `), "from "}, // whichever is first
	{regexp.MustCompile(`[0-9.]+ [KMG]iB`), "SIZE"},
	{regexp.MustCompile(`pulled \d+, appended \d+`), "pulled N, appended N"}, // a push or the last tick may have been faster
	{regexp.MustCompile(`olympus v\S+( commit \S+)? go\S+ \S+/\S+`), "olympus VERSION"},
	{regexp.MustCompile(`\d+ migrations applied`), "N migrations applied"},
	{regexp.MustCompile(`Content-Length: \d+|^Date: .*`), ""},
	{regexp.MustCompile(`\s+`), " "},
}

// shape is an output without what differs from machine to machine and from day to day.
func shape(output []string) (lines []string) {
	for _, line := range output {
		for _, s := range shapes {
			line = s.pattern.ReplaceAllString(line, s.as)
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
