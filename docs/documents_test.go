package docs

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// notRun are the blocks that are not run here, and why. That they name what is there is tested all the same.
var notRun = map[string]string{
	"README.md, Run it, 1":       "installs Postgres as root, and make test is what runs this",
	"README.md, Run it, 2":       "plays for a minute; federation/scenario_test.go plays the same",
	"CONTRIBUTING.md, Set up, 1": "is what runs this, or never ends",
	"CONTRIBUTING.md, Set up, 2": "starts a Postgres and tests a package, which takes a minute",
	"packaging.md, systemd, 1":   "needs systemd",
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
			if s.needs != "" {
				if _, err := exec.LookPath(s.needs); err != nil {
					t.Skipf("there is no %s: Debian has no package of it", s.needs)
				}
			}
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
