package docs

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// scenario is somebody who follows documents: the blocks that are run one after the other on one machine.
type scenario struct {
	name   string
	ports  []string       // that the documents speak of, and machines with theirs
	needs  string         // what not every machine can do, a command that tells
	lacks  string         // why
	before func(w *world) // what is there already
	blocks []string       // "TERMINAL: name" for a block with the prompt $
}

var scenarios = []scenario{
	{
		name: "tutorial", ports: []string{"3000", "3001"},
		before: func(w *world) {
			w.cluster("", ".data/om/postgres")
			w.cluster("", ".data/oa/postgres")
		},
		blocks: []string{
			"tutorial.md, 1. Build, 1", "tutorial.md, 2. Start om, 1", "tutorial.md, 3. Point go at it, 1", "tutorial.md, 4. Start oa, 1",
			"tutorial.md, 5. Make them peers, 1", "tutorial.md, 5. Make them peers, 2", "tutorial.md, 5. Make them peers, 3",
			"tutorial.md, 6. Fetch at om, find it at oa, 1", "tutorial.md, 6. Fetch at om, find it at oa, 2", "tutorial.md, 7. Switch the world off, 1", "tutorial.md, 8. Bar a version, 1",
			"tutorial.md, 9. Clean up, 1",
		},
	},
	{
		name: "two machines", ports: []string{"om.example.com:3000", "oa.example.com:3000"},
		before: func(w *world) {
			w.machine("om")
			w.machine("oa")
		},
		blocks: []string{
			"README.md, Federate two machines, 1", "om: README.md, Federate two machines, 2", "oa: README.md, Federate two machines, 2",
			"README.md, Federate two machines, 3", "README.md, Federate two machines, 4", "README.md, Federate two machines, 5",
		},
	},
	{
		name: "restore", ports: []string{"3000", "3001"},
		before: func(w *world) {
			om := w.serve("om", "3000", "OLYMPUS_PULL_INTERVAL=1s")
			oa := w.serve("oa", "3001", "OLYMPUS_PULL_INTERVAL=1s")
			w.knows("om", "oa")
			w.knows("oa", "om")
			w.must(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
			w.must(oa, "olympus task sync:pull")
			w.t.Cleanup(func() {
				_, _ = w.terminal("end").run("end", `psql -q "`+os.Getenv("TEST_DATABASE_URL")+`" -c 'DROP DATABASE IF EXISTS `+w.restored+` WITH (FORCE)'`)
			})
		},
		blocks: []string{"backup.md, Back up, 1", "backup.md, A drill, 1", "DO: oa: olympus task sync:pull", "DO: om: kill $!; wait", "backup.md, A drill, 2", "backup.md, A drill, 3"},
	},
	{
		name: "operating", ports: []string{"3950", "3951"},
		before: func(w *world) {
			om := w.serve("om", "3950")
			w.serve("oa", "3951", "OLYMPUS_FETCH=lazy")
			w.knows("om", "oa")
			w.must(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
		},
		blocks: []string{
			"operating.md, Modules, 1", "operating.md, The log, 1", "protocol.md, Event log, 1", "protocol.md, Tiles, 1", "protocol.md, Checksum databases, 1", "operating.md, Doctor, 1", "oa: operating.md, Peers, 1", "protocol.md, Errors, 1", "protocol.md, Errors of the other routes, 1",
			"protocol.md, Feed of versions, 1", "operating.md, Administration over HTTP, 1", "operating.md, Administration over HTTP, 2",
		},
	},
	{
		name: "peers", ports: []string{"3000", "3001"},
		before: func(w *world) {
			om, oa := w.serve("om", "3000"), w.serve("oa", "3001")
			w.must(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
			w.learn(strings.Split(w.must(om, "olympus task key:show"), "\n"))
			w.must(oa, "olympus task peers:join http://127.0.0.1:"+w.ports["3000"]+" "+w.keys["om.example.com"])
		},
		blocks: []string{
			"operating.md, Peers, 2", "oa: operating.md, Pulling, 1", "DO: oa: olympus task peers:resume om.example.com; olympus task sync:pull",
			"security.md, Change the signing key, 1", "security.md, Change the signing key, 2",
			"DO: om: olympus task key:generate om.example.com | tee another", "security.md, A key was stolen, 1",
			"DO: om: kill $!; wait; export OLYMPUS_SIGNING_KEY=$(sed -n 's/^signing key (secret)  *//p' another)", "DO: om: olympus", "DO: oa: olympus task sync:pull",
		},
	},
	{
		name: "first steps", ports: []string{"3000", "3952", "3957"},
		before: func(w *world) {
			w.serve("om", "3000")
			dx := w.serve("dx", "3952", "OLYMPUS_URL=http://127.0.0.1:"+w.ports["3957"]+"/olympus")
			w.do(dx, "olympus task key:show")
		},
		blocks: []string{
			"README.md, Use it, 1", "README.md, A checksum database of your own, 1", "operating.md, Tasks, 1", "operating.md, Keys, 1",
			"packaging.md, Binaries of a release, 1", "upgrading.md, Upgrade, 1", "capacity.md, Disk, 1", "operating.md, Production, 1",
		},
	},
	{
		name: "migrating", ports: []string{"olympus.example.com"},
		before: func(w *world) {
			hello, newer := testmod.Module{Path: "example.com/hello", Version: "v1.0.0"}, testmod.Module{Path: "example.com/hello", Version: "v1.1.0"}
			lint := testmod.Module{Path: "example.com/Tools/lint", Version: "v0.0.0-20260102030405-abcdefabcdef"}
			testmod.Athens(w.t, filepath.Join(w.dir, "srv/athens"), hello, newer, lint)
			testmod.Tree(w.t, filepath.Join(w.dir, "srv/goproxy"), hello, newer, lint)
			old := portOf(w.t, testmod.NewUpstream(w.t, hello, newer).URL)
			w.ports["8081"], w.ports["athens.example.com:3000"] = old, old
			w.write("go.sum", testmod.GoSum(w.t, newer))
			for _, name := range []string{"om", "oa", "og", "dx"} { // from a goproxy, an Athens, any server; and once more from an Athens
				w.deployment(name, "olympus.example.com")
			}
		},
		blocks: []string{
			"oa: migrating.md, 2. Import, 1", "oa: migrating.md, 2. Import, 4", "og: migrating.md, 2. Import, 2", "dx: operating.md, Modules, 2",
			"migrating.md, 1. Run Olympus beside the old proxy, 1", "DO: om: olympus",
			`DO: om: export LINT="srv/goproxy/example.com/!tools/lint/@v/v0.0.0-20260102030405-abcdefabcdef.zip"`,
			`DO: om: mv "$LINT" whole.zip; head -c 100 whole.zip > "$LINT"; ! olympus task modules:import /srv/goproxy`, "migrating.md, 2. Import, 3",
			`DO: om: cp whole.zip "$LINT"; olympus task modules:import /srv/goproxy`,
			"DO: client: mkdir project; cd project; go mod init example.com/project", "client: migrating.md, 3. Point the clients, 1",
			"migrating.md, 4. Take the old proxy away, 1",
		},
	},
	{
		name: "explain", ports: []string{"3000", "3001"},
		before: func(w *world) {
			w.serve("om", "3000")
			oa := w.serve("oa", "3001", "OLYMPUS_UPSTREAM=off")
			w.knows("om", "oa")
			w.knows("oa", "om")
			w.do(w.terminal("client"), "GOPROXY=http://127.0.0.1:3000 go mod download golang.org/x/mod@v0.42.0")
			w.do(oa, "olympus task sync:pull")
			w.do(oa, "until olympus task explain golang.org/x/mod@v0.42.0 | grep 'it came from om'; do :; done")
			w.do(oa, "GOMODCACHE=$PWD/another GOPROXY=http://127.0.0.1:3001 go mod download golang.org/x/mod@v0.42.0")
		},
		blocks: []string{"oa: operating.md, Explain, 1"},
	},
	{
		name: "another history", ports: []string{"3000", "3001"},
		before: func(w *world) {
			om, oa := w.serve("om", "3000"), w.serve("oa", "3001")
			for _, task := range []string{
				"modules:add golang.org/x/mod@v0.42.0", "modules:add github.com/google/uuid@v1.6.0",
				"modules:deprecate golang.org/x/mod@v0.42.0 use a newer one", "modules:delete example.com/leaked@v1.0.0 holds a credential",
			} {
				w.do(om, "olympus task "+task)
			}
			w.knows("oa", "om")
			w.do(oa, "olympus task sync:pull")
			w.deployment("dx", "3000", "OLYMPUS_NAME=om.example.com") // an om that has lost all but its key
		},
		blocks: []string{
			"oa: operating.md, The log, 3", "DO: om: kill $!; wait", `DO: om: rm "$(find "$OLYMPUS_DATA_DIR/blobs" -type f -size +50k)"`, "operating.md, The log, 2",
			"DO: dx: mkdir -p $OLYMPUS_DATA_DIR; cp .data/om/signing.key $OLYMPUS_DATA_DIR", "DO: dx: olympus",
			"DO: dx: for V in 1 2 3 4; do olympus task modules:deprecate example.com/other@v1.0.$V why; done", "oa: operating.md, The log, 4",
		},
	},
	{
		name: "conflict", ports: []string{"3000", "3001", "3002"},
		before: func(w *world) {
			hello := testmod.Module{Path: "example.com/hello", Version: "v1.1.0"}
			right := testmod.Tree(w.t, filepath.Join(w.dir, "right"), hello)
			hello.Files = map[string]string{"hello.go": "package hello // altered\n"}
			wrong := testmod.Tree(w.t, filepath.Join(w.dir, "wrong"), hello)
			om, oa, og := w.serve("om", "3000", "OLYMPUS_UPSTREAM="+wrong), w.serve("oa", "3001", "OLYMPUS_UPSTREAM="+right), w.serve("og", "3002", "OLYMPUS_UPSTREAM="+right)
			for _, term := range []*terminal{om, oa, og} {
				w.do(term, "olympus task modules:add example.com/hello@v1.1.0")
			}
			w.knows("om", "oa")
			w.do(om, "olympus task sync:pull")
			w.do(og, "olympus task key:show")
			w.do(om, `export OLYMPUS_SUMDB="`+w.keys["og.example.com"]+` http://127.0.0.1:3002/sumdb/og.example.com"`)
		},
		blocks: []string{"operating.md, The log, 5"},
	},
	{
		name: "own checksum database", ports: []string{"3980"},
		before: func(w *world) {
			om := w.serve("om", "3980")
			w.do(om, "olympus task key:show")
			w.deployment("dx", "3980")
			w.do(w.terminal("client"), "unset GOPROXY GOSUMDB; mkdir project; cd project; go mod init example.com/project")
		},
		blocks: []string{
			"client: operating.md, A checksum database of your own, 1",
			"DO: om: kill $!; wait; export DATABASE_URL=$(scripts/postgres.sh start .data/dx/postgres)", "DO: om: olympus",
			"DO: client: ! go get golang.org/x/mod@v0.42.0 2> refused && grep 'SECURITY ERROR' refused",
			"client: operating.md, A checksum database of your own, 2", "DO: client: go get golang.org/x/mod@v0.42.0",
		},
	},
	{
		name: "serving", ports: []string{"3000"},
		before: func(w *world) {
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/traces" {
					w.write("traced", "")
				}
			}))
			w.t.Cleanup(collector.Close)
			w.ports["4318"] = portOf(w.t, collector.URL)
			w.deployment("om", "3000", "OTEL_BSP_SCHEDULE_DELAY=10")
		},
		blocks: []string{
			"operating.md, Tracing, 1", "DO: om: curl -f $OLYMPUS_URL/golang.org/x/mod/@v/v0.42.0.info; until [ -e traced ]; do sleep 0.1; done",
			"operating.md, Open pages stay up to date, 1",
		},
	},
	{
		name: "own cluster", ports: []string{"3000"},
		before: func(w *world) {
			script, err := filepath.Abs("../scripts/postgres.sh")
			require.NoError(w.t, err)
			om := w.deployment("om", "3000")
			w.t.Cleanup(func() { _ = exec.Command(script, "remove", filepath.Join(w.dir, "cluster")).Run() })
			w.do(om, "export DATABASE_URL=$("+script+" start cluster 0 fsync=off)")
			w.do(om, `export PGHOST=127.0.0.1 PGUSER=postgres PGPORT=$(echo "$DATABASE_URL" | sed 's/.*:\([0-9]*\)\/.*/\1/')`)
			w.do(om, "olympus")
			w.do(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
		},
		blocks: []string{
			"backup.md, Back up, 1", "backup.md, Back up, 2", "DO: om: kill $!; wait; dropdb olympus", "backup.md, Restore, 1",
			"DO: om: olympus task log:verify",
		},
	},
	{
		name:   "watching",
		before: packages,
		blocks: []string{"packaging.md, Alarms and dashboard, 1"},
	},
	{
		name: "packaging with systemd", needs: "systemd-analyze --offline=yes --root=/ --help",
		lacks: "there is no systemd 250, whose checks of a unit need no system that it runs",
		before: func(w *world) {
			packages(w)
			w.must(w.terminal("om"), `export LC_ALL=C.UTF-8; mkdir -p etc/systemd/system usr/lib/systemd usr/local/bin; ln -s usr/lib lib
				cp -r /lib/systemd/system usr/lib/systemd; cp packaging/systemd/olympus.service etc/systemd/system; cp bin/olympus usr/local/bin`)
		},
		blocks: []string{"packaging.md, systemd, 1"},
	},
	{
		name: "packaging with helm", needs: "helm version", lacks: "Debian has no package of it",
		before: packages,
		blocks: []string{"packaging.md, Kubernetes, 1"},
	},
}

// packages makes the directory of packages a part of the clone.
func packages(w *world) {
	dir, err := filepath.Abs("../packaging")
	require.NoError(w.t, err)
	require.NoError(w.t, os.Symlink(dir, filepath.Join(w.dir, "packaging")))
}
