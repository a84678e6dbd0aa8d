package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func completed(t *testing.T, words ...string) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	require.Zero(t, run(append([]string{"complete"}, words...), &stdout, &stderr), stderr.String())
	return strings.Fields(stdout.String())
}

func TestComplete(t *testing.T) {
	t.Parallel()
	require.Equal(t, commands, completed(t))
	require.Equal(t, commands, completed(t, ""))
	require.Equal(t, []string{"task"}, completed(t, "ta"))
	require.Contains(t, completed(t, "task", ""), "list")
	require.Equal(t, []string{"peers:accept", "peers:add", "peers:approve"}, completed(t, "task", "peers:a"))
	require.Equal(t, []string{"--versions", "--check", "--json"}, completed(t, "task", "modules:import", "--"))
	require.Equal(t, []string{"--versions", "--check"}, completed(t, "task", "modules:import", "--json", "--"))
	require.Empty(t, completed(t, "task", "nothing", "--"))
	require.Empty(t, completed(t, "version", ""))
}

// Bash completes what is typed, task names with their colon included.
func TestCompletionInBash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	// In place of the binary: the same answers, without building it.
	fake := "#!/bin/sh\n[ \"$1\" = complete ] || exit 1\nshift\nprintf '%s.' \"$@\" >>" + filepath.Join(dir, "asked") + "\nprintf 'peers:accept\\npeers:add\\n'\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "olympus"), []byte(fake), 0o700))
	var script, stderr bytes.Buffer
	require.Zero(t, run([]string{"completion", "bash"}, &script, &stderr))
	script.WriteString("\nCOMP_LINE='olympus task peers:a' COMP_POINT=20; _olympus; printf '%s\\n' \"${COMPREPLY[@]}\"")
	script.WriteString("\nCOMP_LINE='olympus task ' COMP_POINT=13; _olympus; printf '%s\\n' \"${COMPREPLY[@]}\"")
	cmd := exec.Command("bash", "-c", script.String())
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, []string{"accept", "add", "peers:accept", "peers:add"}, strings.Fields(string(out)))
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	require.NoError(t, err)
	require.Equal(t, "task.peers:a.task..", string(asked))
	require.Equal(t, 2, run([]string{"completion", "tcsh"}, &script, &stderr))
}
