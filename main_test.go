package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain keeps pop quiet in all tests, as main does; its logger is one for the process.
func TestMain(m *testing.M) {
	quietPop(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   string
		code   int
		stdout string // beginning
		stderr string // all; "…" at the end: its beginning
	}{
		{"help", 0, "usage: olympus ", ""},
		{"--help", 0, "usage: olympus ", ""},
		{"version", 0, "olympus devel go1.", ""},
		{"task list", 0, "doctor ", ""},
		{"task list --json", 0, `[{"name":"doctor"`, ""},
		{"task key:generate oa.example.com", 0, "signing key (secret)", ""},
		{"serve", 2, "", "olympus: there is no command \"serve\" (olympus help tells what there is)\n"},
		{"version please", 2, "", "olympus: unexpected argument \"please\" (olympus help tells what there is)\n"},
		{"migrate down", 2, "", "olympus: unexpected argument \"down\" (olympus help tells what there is)\n"},
		{"task", 2, "", "olympus: which task?\nusage: olympus task NAME …"},
		{"task peers:ad", 2, "", "olympus: there is no task \"peers:ad\"\nusage: olympus task NAME …"},
		{"task peers:add", 2, "", "olympus: peers:add: missing argument\nusage: olympus task peers:add URL [KEY] [--json]\n"},
		{"task key:generate not+a+name", 1, "", "olympus: generate a key: …"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(strings.Fields(test.args), &stdout, &stderr)
		require.Equal(t, test.code, code, test.args)
		require.True(t, strings.HasPrefix(stdout.String(), test.stdout), "%s: %s", test.args, stdout.String())
		if beginning, ok := strings.CutSuffix(test.stderr, "…"); ok {
			require.True(t, strings.HasPrefix(stderr.String(), beginning), "%s: %s", test.args, stderr.String())
		} else {
			require.Equal(t, test.stderr, stderr.String(), test.args)
		}
		if code != 0 {
			require.Empty(t, stdout.String(), test.args)
		}
		if code == 1 {
			require.Equal(t, 1, strings.Count(stderr.String(), "\n"), "a failure is one line")
		}
	}
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	err := errors.Join(errors.New("first:\r\n\tsecond  line"), io.EOF)
	require.Equal(t, "first:; second line; EOF", oneLine(err))
}
