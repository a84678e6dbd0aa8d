package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The short form: real processes and databases, most kinds of faults once, and no promise broken.
func TestChaos(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "olympus")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "olympus").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var report bytes.Buffer
	err = play(t.Context(), settings{
		root: "..", binary: binary, seed: 4, duration: 40 * time.Second, gap: 2 * time.Second, rate: 3, weather: rough, verbose: true, out: &report,
	})
	t.Log(report.String())
	require.NoError(t, err)
}
