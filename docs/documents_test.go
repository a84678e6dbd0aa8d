package docs

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// afterwards are the blocks that continuous integration runs after these tests, or to run these tests: they take minutes, and fixed ports.
var afterwards = []string{"README.md, Run it, 1", "README.md, Run it, 2", "CONTRIBUTING.md, Set up, 1", "CONTRIBUTING.md, Set up, 2"}

// Each block is followed by a scenario, or by continuous integration.
func TestEveryBlockIsFollowed(t *testing.T) {
	t.Parallel()
	followed := make(map[string]bool)
	for _, s := range scenarios {
		for _, name := range s.blocks {
			_, name = terminalOf(name)
			followed[name] = true
		}
	}
	script, err := os.ReadFile("../scripts/firststeps.sh")
	require.NoError(t, err)
	integration, err := os.ReadFile("../.ci/run")
	require.NoError(t, err)
	require.Contains(t, string(integration), "\nscripts/firststeps.sh\n")
	there := make(map[string]bool)
	for _, b := range readBlocks(t) {
		there[b.name] = true
		require.True(t, followed[b.name] != slices.Contains(afterwards, b.name), "%q (%s): add it to a scenario, or to afterwards; not to both", b.name, b.steps[0].at)
		if !followed[b.name] {
			for _, s := range b.steps {
				command, _, _ := strings.Cut(s.command, " #")
				require.Regexp(t, `(?m)^(serves )?`+regexp.QuoteMeta(strings.TrimSpace(command))+`$`, string(integration)+string(script), s.at)
			}
		}
	}
	for _, name := range afterwards {
		require.True(t, there[name], "afterwards names %q, which is not there any more", name)
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
				if err := exec.Command("sh", "-c", s.needs).Run(); err != nil {
					t.Skipf("%s: %s", s.needs, s.lacks)
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
