package docs

import (
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
			"tutorial.md, 6. Fetch at om, find it at oa, 1", "tutorial.md, 7. Switch the world off, 1", "tutorial.md, 8. Bar a version, 1",
			"tutorial.md, 9. Clean up, 1",
		},
	},
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
