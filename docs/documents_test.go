package docs

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scenario is somebody who follows documents: the blocks that are run one after the other on one machine.
type scenario struct {
	name   string
	ports  []string       // that the documents speak of
	before func(w *world) // what is there already
	blocks []string       // "TERMINAL: name" for a block with the prompt $
}

var scenarios = []scenario{
	{
		name: "tutorial", ports: []string{"3000", "3001"},
		blocks: []string{
			"tutorial.md, 1. Build, 1", "tutorial.md, 2. Start om, 1", "tutorial.md, 3. Point go at it, 1", "tutorial.md, 4. Start oa, 1",
			"tutorial.md, 5. Make them peers, 1", "tutorial.md, 5. Make them peers, 2", "tutorial.md, 5. Make them peers, 3",
			"tutorial.md, 6. Fetch at om, find it at oa, 1", "tutorial.md, 6. Fetch at om, find it at oa, 2", "tutorial.md, 7. Switch the world off, 1", "tutorial.md, 8. Bar a version, 1",
			"tutorial.md, 9. Clean up, 1",
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
			"operating.md, Modules, 1", "operating.md, Doctor, 1", "oa: operating.md, Peers, 1", "protocol.md, Errors, 1", "protocol.md, Errors of the other routes, 1",
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
			"operating.md, Peers, 2", "DO: oa: olympus task sync:pull", "security.md, Change the signing key, 1", "security.md, Change the signing key, 2",
		},
	},
	{
		name: "first steps", ports: []string{"3000"},
		before: func(w *world) { w.serve("om", "3000") },
		blocks: []string{
			"README.md, Use it, 1", "README.md, A checksum database of your own, 1", "operating.md, Tasks, 1", "operating.md, Keys, 1",
			"packaging.md, Binaries of a release, 1", "upgrading.md, Upgrade, 1", "capacity.md, Disk, 1",
		},
	},
}

// notRun are the blocks that are not run here, and why. That they name what is there is tested all the same.
var notRun = map[string]string{
	"README.md, Run it, 1":                                 "installs Postgres as root, and make test is what runs this",
	"README.md, Run it, 2":                                 "plays for a minute; federation/scenario_test.go plays the same",
	"README.md, Federate two machines, 1":                  "two machines; the tutorial is the same on one",
	"README.md, Federate two machines, 2":                  "two machines",
	"README.md, Federate two machines, 3":                  "asks at a terminal",
	"README.md, Federate two machines, 4":                  "asks at a terminal",
	"README.md, Federate two machines, 5":                  "two machines",
	"CONTRIBUTING.md, Set up, 1":                           "is what runs this, or never ends",
	"CONTRIBUTING.md, Set up, 2":                           "starts a Postgres and tests a package, which takes a minute",
	"backup.md, Back up, 2":                                "copies the whole cluster, and needs the right to replicate",
	"backup.md, Restore, 1":                                "makes a database of a fixed name, and serves; the drill does the same",
	"migrating.md, 1. Run Olympus beside the old proxy, 1": "names another proxy",
	"migrating.md, 2. Import, 1":                           "needs the directory of an Athens: grifts/import_test.go",
	"migrating.md, 2. Import, 2":                           "needs another proxy: grifts/import_test.go",
	"migrating.md, 2. Import, 3":                           "needs the directory of a goproxy with a damaged zip: grifts/import_test.go",
	"migrating.md, 2. Import, 4":                           "needs another proxy: grifts/import_test.go",
	"migrating.md, 3. Point the clients, 1":                "names another machine",
	"migrating.md, 4. Take the old proxy away, 1":          "needs another proxy: grifts/import_test.go",
	"operating.md, Explain, 1":                             "of a version that was pushed, and of one that upstream lacks; the tutorial explains one: federation/explain_test.go",
	"operating.md, Open pages stay up to date, 1":          "never ends: actions/live_test.go",
	"operating.md, Tracing, 1":                             "names a collector: federation/trace_test.go",
	"operating.md, Pulling, 1":                             "the peer is paused in between; the tutorial pulls",
	"operating.md, The log, 1":                             "several deployments, a zip removed by hand and a peer that lies: grifts/log_test.go, federation/proof_test.go",
	"operating.md, Modules, 2":                             "needs the directory of an Athens: grifts/import_test.go",
	"operating.md, Production, 1":                          "needs a deployment behind a proxy that has another URL: grifts/peers_test.go",
	"operating.md, A checksum database of your own, 1":     "changes go.mod of a project; federation/sumdb_test.go, and the tutorial downloads so",
	"operating.md, A checksum database of your own, 2":     "removes what a client remembers after a restore",
	"packaging.md, systemd, 1":                             "needs systemd",
	"packaging.md, Kubernetes, 1":                          "needs helm: packaging/helm_test.go runs it where there is one",
	"packaging.md, Alarms and dashboard, 1":                "needs promtool: packaging/watch_test.go runs it",
	"protocol.md, Event log, 1":                            "the sample is of other events: federation/eventlog_test.go",
	"protocol.md, Tiles, 1":                                "the sample is of a real module: federation/tiles_test.go",
	"protocol.md, Checksum databases, 1":                   "the sample is of a real module: federation/sumdb_test.go",
	"security.md, A key was stolen, 1":                     "names a key that is not there yet: federation/rekey_test.go",
}

// Each block is followed, or said not to be.
func TestEveryBlockIsFollowed(t *testing.T) {
	t.Parallel()
	followed := make(map[string]bool)
	for _, s := range scenarios {
		for _, name := range s.blocks {
			_, name = terminalOf(name)
			followed[name] = true
		}
	}
	there := make(map[string]bool)
	for _, b := range readBlocks(t) {
		there[b.name] = true
		require.True(t, followed[b.name] != (notRun[b.name] != ""), "%q (%s): add it to a scenario, or to notRun with the reason; not to both", b.name, b.steps[0].at)
	}
	for name := range notRun {
		require.True(t, there[name], "notRun names %q, which is not there any more", name)
	}
}

// Whoever follows the documents gets what they show.
func TestDocumentsCanBeFollowed(t *testing.T) {
	t.Parallel()
	blocks := make(map[string]block)
	for _, b := range readBlocks(t) {
		blocks[b.name] = b
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, s.ports...)
			if s.before != nil {
				s.before(w)
			}
			for _, name := range s.blocks {
				if command, found := strings.CutPrefix(name, "DO: "); found {
					in, command, _ := strings.Cut(command, ": ")
					w.must(w.terminals[in], command)
					continue
				}
				in, name := terminalOf(name)
				require.Contains(t, blocks, name, "there is no such block any more")
				w.play(blocks[name], in)
			}
		})
	}
}

// terminalOf is the terminal that a block of a scenario is run in, "om" unless it says another, and the name of the block.
func terminalOf(name string) (terminal, block string) {
	if terminal, block, found := strings.Cut(name, ": "); found {
		return terminal, block
	}
	return "om", name
}
