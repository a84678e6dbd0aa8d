// Package packaging tests what Olympus is shipped and watched with, as far as it can be tested without a container engine or a cluster:
// that the files parse, and that what they name exists. It holds nothing but tests.
package packaging

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
	"olympus/internal/testbin"
)

func TestMain(m *testing.M) { testbin.Main(m) }

// command is olympus with these settings and no others, in a directory of its own.
func command(t *testing.T, settings []string, args ...string) *exec.Cmd {
	t.Helper()
	binary := testbin.Path(t)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + cmd.Dir}, settings...)
	return cmd
}

// olympus runs it and returns what it printed.
func olympus(t *testing.T, settings []string, args ...string) (string, error) {
	t.Helper()
	out, err := command(t, settings, args...).CombinedOutput()
	return string(out), err
}

// newKey makes a signing key.
func newKey(t *testing.T, name string) string {
	t.Helper()
	key, _, err := signature.GenerateKey(name)
	require.NoError(t, err)
	return key + "\n"
}

func TestVersion(t *testing.T) {
	t.Parallel()
	out, err := olympus(t, nil, "version")
	require.NoError(t, err, out)
	require.Equal(t, fmt.Sprintf("olympus %s commit %s %s %s/%s\n", testbin.Version, testbin.Commit, runtime.Version(), runtime.GOOS, runtime.GOARCH), out)
}

// files are all files here but the tests, by their paths.
func files(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) == ".go" {
			return err
		}
		content, err := os.ReadFile(path)
		found[path] = string(content)
		return err
	}))
	return found
}

// read parses a file of YAML.
func read(t *testing.T, path string, into any) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(content, into), path)
}

func TestFilesParse(t *testing.T) {
	t.Parallel()
	parsed := 0
	for path, content := range files(t) {
		var into any
		switch {
		case strings.Contains(path, "/templates/"):
			continue // parsed once they are filled in, by TestHelmChart
		case filepath.Ext(path) == ".yaml":
			require.NoError(t, yaml.Unmarshal([]byte(content), &into), path)
		case filepath.Ext(path) == ".json":
			require.NoError(t, json.Unmarshal([]byte(content), &into), path)
		default:
			continue
		}
		require.NotEmpty(t, into, path)
		parsed++
	}
	require.Greater(t, parsed, 6)
}

// Olympus does not start with a setting that it does not know: whatever a file here names is one.
func TestSettingsAreKnown(t *testing.T) {
	t.Parallel()
	setting := regexp.MustCompile(`\bOLYMPUS_[A-Z_]*[A-Z]\b`)
	named := make(map[string]bool)
	for _, content := range files(t) {
		for _, name := range setting.FindAllString(content, -1) {
			named[name] = true
		}
	}
	require.Greater(t, len(named), 8)
	var settings []string
	for name := range named {
		settings = append(settings, name+"=") // counts as unset, but must be known
	}
	out, err := olympus(t, settings, "task", "key:show")
	require.NoError(t, err, out)
	out, err = olympus(t, append(settings, "OLYMPUS_NO_SUCH_THING="), "task", "key:show")
	require.Error(t, err)
	require.Contains(t, out, "OLYMPUS_NO_SUCH_THING is not a setting")
}

// The unit must leave a process the time that it takes to stop, and its settings and those of the environment file must be valid together.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	unit := files(t)[filepath.Join("systemd", "olympus.service")]
	require.Contains(t, unit, "\nTimeoutStopSec=40s\n", "3 s of OLYMPUS_DRAIN_DELAY, 15 s for requests and 8 s for jobs fit into it")
	var settings []string
	for line := range strings.Lines(files(t)[filepath.Join("systemd", "olympus.env")]) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			settings = append(settings, strings.ReplaceAll(line, "'", ""))
		}
	}
	keyFile := filepath.Join(t.TempDir(), "signing.key")
	require.NoError(t, os.WriteFile(keyFile, []byte(newKey(t, "om.example.com")), 0o600))
	out, err := olympus(t, append(settings, "OLYMPUS_SIGNING_KEY_FILE="+keyFile), "task", "key:show")
	require.NoError(t, err, out)
	require.Contains(t, out, "om.example.com+")
}

func TestScripts(t *testing.T) {
	t.Parallel()
	for path, content := range files(t) {
		if strings.HasPrefix(content, "#!/bin/sh\n") {
			out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput()
			require.NoError(t, err, "%s: %s", path, out)
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NotZero(t, info.Mode()&0o111, "%s cannot be executed", path)
		}
	}
}

// tool runs a program that checks files, and fails with what it says.
func tool(ctx context.Context, t *testing.T, name string, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "%s %v: %s%s", name, args, &stdout, &stderr)
	return stdout.Bytes()
}
