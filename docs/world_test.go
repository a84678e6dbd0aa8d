package docs

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testbin"
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
	homes     map[string]string // of terminals that are machines of their own: what dir is to the others
	ports     map[string]string // of the documents, or addresses of machines, and those that are listened on instead
	restored  string            // the database that the documents call so
	keys      map[string]string // keys of deployments that were shown here, by name
	asked     int               // how often somebody was asked something
}

func TestMain(m *testing.M) { testbin.Main(m) }

var (
	buildCache = outputOf("go", "env", "GOCACHE")
	clients    = outputOf("../scripts/postgres.sh", "find") // where pg_dump and the like are
)

// outputOf runs a command, once, when its output is asked for.
func outputOf(name string, args ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		out, err := exec.Command(name, args...).Output()
		return strings.TrimSpace(string(out)), err
	})
}

// postgres stands for scripts/postgres.sh: a cluster for each of the documents' would take seconds. Its databases are there already.
const postgres = `#!/bin/sh
case $1 in
start) mkdir -p "$2" && cat "$(dirname "$0")/$(echo "$2" | tr / _)" ;;
stop | remove) rm -rf "$2" ;;
esac
`

// maker stands for make: what its targets build is there already. make run serves at the port of OLYMPUS_URL, since each machine of a document
// has all ports to itself.
const maker = `#!/bin/sh
case $* in
build) ;;
run) DATABASE_URL=$(scripts/postgres.sh start .data/postgres) PORT=${OLYMPUS_URL##*:} exec bin/olympus ;;
*) exit 2 ;;
esac
`

func newWorld(t *testing.T, ports ...string) *world {
	t.Helper()
	w := &world{t: t, restored: fmt.Sprintf("olympus_test_restored_%x", rand.Uint64()), dir: t.TempDir(), terminals: make(map[string]*terminal), homes: make(map[string]string), ports: make(map[string]string), keys: make(map[string]string)}
	w.write("programs/make", maker)
	w.write(".curlrc", "silent\n")
	require.NoError(t, os.Symlink(testbin.Path(t), filepath.Join(w.dir, "programs", "olympus")))
	w.clone(w.dir)
	for _, port := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		w.ports[port] = portOf(t, listener.Addr().String())
		require.NoError(t, listener.Close())
	}
	tree := testmod.Tree(t, t.TempDir(),
		testmod.Module{Path: "golang.org/x/mod", Version: "v0.42.0", Files: map[string]string{"mod.go": "package mod\n", "large": large()}},
		testmod.Module{Path: "github.com/google/uuid", Version: "v1.6.0", Files: map[string]string{"uuid.go": "package uuid\n"}},
		testmod.Module{Path: "golang.org/x/sync", Version: "v0.24.0", Files: map[string]string{"sync.go": "package sync\n"}},
		testmod.Module{Path: "example.com/leaked", Version: "v1.0.0", Files: map[string]string{"leaked.go": "package leaked\n"}},
		testmod.Module{Path: "example.com/leaked", Version: "v1.0.1", Files: map[string]string{"leaked.go": "package leaked\n"}})
	cache, err := buildCache()
	require.NoError(t, err)
	programs, err := clients()
	require.NoError(t, err)
	w.env = []string{
		"PATH=" + filepath.Join(w.dir, "programs") + ":" + programs + ":" + os.Getenv("PATH"), "HOME=" + w.dir, "TMPDIR=" + w.dir, "GOPATH=" + filepath.Join(w.dir, "gopath"),
		"GOCACHE=" + cache, "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOSUMDB=off", "GOPROXY=off",
		"OLYMPUS_UPSTREAM=" + tree, "OLYMPUS_SUMDB=off", "OLYMPUS_DRAIN_DELAY=0",
	}
	return w
}

// large is what makes a zip as large as that of the real module: six digits of bytes.
func large() string {
	content := make([]byte, 150_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	return string(content)
}

// write makes a file that can be run.
func (w *world) write(name, content string) {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	require.NoError(w.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(w.t, os.WriteFile(name, []byte(content), 0o755))
}

// clone makes what looks like a clone in which make build has run.
func (w *world) clone(dir string) {
	w.t.Helper()
	in, err := filepath.Rel(w.dir, dir)
	require.NoError(w.t, err)
	w.write(filepath.Join(in, "scripts/postgres.sh"), postgres)
	require.NoError(w.t, os.Mkdir(filepath.Join(dir, "bin"), 0o755))
	require.NoError(w.t, os.Symlink(testbin.Path(w.t), filepath.Join(dir, "bin", "olympus")))
}

// cluster makes the database of a cluster that will be started in a clone.
func (w *world) cluster(in, cluster string) {
	w.t.Helper()
	w.write(filepath.Join(in, "scripts", strings.ReplaceAll(cluster, "/", "_")), testdb.URL(w.t)+"\n")
}

// machine makes the terminal of this name one of another machine.
func (w *world) machine(name string) {
	w.t.Helper()
	w.homes[name] = filepath.Join(w.dir, name)
	w.clone(w.homes[name])
	w.cluster(name, ".data/postgres")
}

func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	require.NoError(t, err)
	return port
}

// terminal returns a terminal by its name, with more settings if it is new.
func (w *world) terminal(name string, settings ...string) *terminal {
	w.t.Helper()
	if w.terminals[name] == nil {
		w.terminals[name] = openTerminal(w.t, cmp.Or(w.homes[name], w.dir), append(w.env[:len(w.env):len(w.env)], settings...))
	}
	return w.terminals[name]
}

// deployment opens a terminal with the settings of a deployment, of its name and with its database, at a port of the documents.
func (w *world) deployment(name, port string, settings ...string) *terminal {
	w.t.Helper()
	w.cluster("", ".data/"+name+"/postgres")
	term := w.terminal(name, append([]string{
		"OLYMPUS_NAME=" + name + ".example.com", "PORT=" + w.ports[port], "OLYMPUS_URL=http://127.0.0.1:" + w.ports[port],
		"OLYMPUS_DATA_DIR=" + filepath.Join(w.dir, ".data", name), "OLYMPUS_ADMIN_TOKEN=let-me-administrate", "B=http://127.0.0.1:" + w.ports[port],
	}, settings...)...)
	w.must(term, "export DATABASE_URL=$(scripts/postgres.sh start .data/"+name+"/postgres)")
	return term
}

// serve starts a deployment in a terminal of its name, at a port of the documents.
func (w *world) serve(name, port string, settings ...string) *terminal {
	w.t.Helper()
	term := w.deployment(name, port, settings...)
	w.start(term, "olympus")
	return term
}

// start runs what serves until it is stopped, and waits until it does. It goes on in the background, as if in another terminal.
func (w *world) start(term *terminal, command string) {
	w.t.Helper()
	w.must(term, command+" >> olympus.$OLYMPUS_NAME.log 2>&1 &")
	w.must(term, "until curl -fs http://127.0.0.1:${PORT:-${OLYMPUS_URL##*:}}/readyz; do sleep 0.1; done")
}

// do runs a command that is in no document, as if it were in one.
func (w *world) do(term *terminal, command string) {
	w.t.Helper()
	if command = w.here(command); serves.MatchString(command) {
		w.start(term, command)
		return
	}
	w.learn(strings.Split(w.must(term, command), "\n"))
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
