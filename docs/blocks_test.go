// Package docs tests the documents: every command in them is run, and what it prints is compared with what they show.
package docs

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// block is a fenced block of commands, named by its document, its heading and its number below that.
type block struct {
	name  string
	steps []step
}

// step is a command and what the document shows of its output.
type step struct {
	at       string // file and line
	terminal string // of the prompt, such as om for om$; empty for $
	command  string
	output   []string
	shown    bool // the document shows the output, which may be empty: a console
}

var (
	fence  = regexp.MustCompile("^\\s*```(\\w*)\\s*$")
	prompt = regexp.MustCompile(`^(\w*)\$ (.*)$`)
)

// readBlocks returns the blocks of all documents in order.
func readBlocks(t *testing.T) []block {
	t.Helper()
	documents := []string{"../README.md", "../CONTRIBUTING.md"}
	others, err := filepath.Glob("*.md")
	require.NoError(t, err)
	var all []block
	for _, document := range append(documents, others...) {
		all = append(all, blocksOf(t, document)...)
	}
	return all
}

func blocksOf(t *testing.T, document string) (all []block) {
	t.Helper()
	file, err := os.Open(document)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	name := strings.TrimPrefix(document, "../")
	heading, numbers, language, indent := "", map[string]int{}, "", ""
	inside := false
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if found := fence.FindStringSubmatch(line); found != nil {
			if inside = !inside; inside {
				language, indent = found[1], line[:strings.Index(line, "`")]
			}
			if inside && (language == "sh" || language == "console") {
				numbers[heading]++
				all = append(all, block{name: name + ", " + heading + ", " + strconv.Itoa(numbers[heading])})
			}
			continue
		}
		if !inside {
			if text := strings.TrimLeft(line, "#"); text != line && strings.HasPrefix(text, " ") {
				heading = strings.TrimSpace(text)
			}
			continue
		}
		line = strings.TrimPrefix(line, indent)
		at := name + ":" + strconv.Itoa(number)
		switch language {
		case "sh":
			if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
				last := &all[len(all)-1]
				last.steps = append(last.steps, step{at: at, command: line})
			}
		case "console":
			last := &all[len(all)-1]
			if found := prompt.FindStringSubmatch(line); found != nil {
				last.steps = append(last.steps, step{at: at, terminal: found[1], command: found[2], shown: true})
				continue
			}
			if strings.TrimSpace(line) == "" {
				continue
			}
			require.NotEmpty(t, last.steps, "%s: an output without a command", at)
			s := &last.steps[len(last.steps)-1]
			s.output = append(s.output, line)
		}
	}
	require.NoError(t, lines.Err())
	require.False(t, inside, "%s: a block does not end", document)
	return all
}
