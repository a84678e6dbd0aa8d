package main

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"

	"olympus/grifts"
)

// The scripts ask "olympus complete" for what may stand in place of the last word.
var (
	//go:embed scripts/completion.bash
	completionBash string
	//go:embed scripts/completion.zsh
	completionZsh string
	//go:embed scripts/completion.fish
	completionFish string
)

var commands = []string{"completion", "help", "migrate", "task", "version"}

// printCompletion prints what makes a shell complete the command line of olympus.
func printCompletion(args []string, stdout io.Writer) error {
	scripts := map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish}
	script := ""
	if len(args) == 1 {
		script = scripts[args[0]]
	}
	if script == "" {
		return &grifts.UsageError{Reason: "completion for which shell?", Usage: "olympus completion bash|zsh|fish"}
	}
	_, err := io.WriteString(stdout, script)
	return err
}

// complete prints, a line each, what may stand in place of the last of the words after olympus. It reads no settings and no database.
func complete(words []string, stdout io.Writer) error {
	var candidates []string
	switch {
	case len(words) <= 1:
		candidates = commands
	case words[0] == "completion" && len(words) == 2:
		candidates = []string{"bash", "fish", "zsh"}
	case words[0] == "task" && len(words) == 2:
		candidates = append(grifts.Names(), "list")
	case words[0] == "task":
		candidates = grifts.Flags(words[1])
	}
	last := ""
	if len(words) > 0 {
		last = words[len(words)-1]
	}
	for _, c := range candidates {
		if strings.HasPrefix(c, last) && !slices.Contains(words[:max(len(words)-1, 0)], c) {
			if _, err := fmt.Fprintln(stdout, c); err != nil {
				return err
			}
		}
	}
	return nil
}
