package docs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// notRun are the blocks that are not run here, and why. That they name what is there is tested all the same.
var notRun = map[string]string{
	"README.md, Run it, 1":                             "installs Postgres as root, and make test is what runs this",
	"README.md, Run it, 2":                             "plays for a minute; federation/scenario_test.go plays the same",
	"CONTRIBUTING.md, Set up, 1":                       "is what runs this, or never ends",
	"CONTRIBUTING.md, Set up, 2":                       "starts a Postgres and tests a package, which takes a minute",
	"backup.md, Back up, 2":                            "copies the whole cluster, and needs the right to replicate",
	"backup.md, Restore, 1":                            "makes a database of a fixed name, and serves; the drill does the same",
	"operating.md, Explain, 1":                         "of a version that was pushed, and of one that upstream lacks; the tutorial explains one: federation/explain_test.go",
	"operating.md, Open pages stay up to date, 1":      "never ends: actions/live_test.go",
	"operating.md, Tracing, 1":                         "names a collector: federation/trace_test.go",
	"operating.md, Pulling, 1":                         "the peer is paused in between; the tutorial pulls",
	"operating.md, The log, 1":                         "several deployments, a zip removed by hand and a peer that lies: grifts/log_test.go, federation/proof_test.go",
	"operating.md, Production, 1":                      "needs a deployment behind a proxy that has another URL: grifts/peers_test.go",
	"operating.md, A checksum database of your own, 1": "changes go.mod of a project; federation/sumdb_test.go, and the tutorial downloads so",
	"operating.md, A checksum database of your own, 2": "removes what a client remembers after a restore",
	"packaging.md, systemd, 1":                         "needs systemd",
	"packaging.md, Kubernetes, 1":                      "needs helm: packaging/helm_test.go runs it where there is one",
	"packaging.md, Alarms and dashboard, 1":            "needs promtool: packaging/watch_test.go runs it",
	"protocol.md, Event log, 1":                        "the sample is of other events: federation/eventlog_test.go",
	"protocol.md, Tiles, 1":                            "the sample is of a real module: federation/tiles_test.go",
	"protocol.md, Checksum databases, 1":               "the sample is of a real module: federation/sumdb_test.go",
	"security.md, A key was stolen, 1":                 "names a key that is not there yet: federation/rekey_test.go",
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
					w.do(w.terminal(in), command)
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
