package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testbin"
)

func TestMain(m *testing.M) { testbin.Main(m) }

// The short form: real processes and databases, most kinds of faults once, and no promise broken.
func TestChaos(t *testing.T) {
	t.Parallel()
	var report bytes.Buffer
	err := play(t.Context(), settings{
		root: "..", binary: testbin.Path(t), seed: 4, duration: 40 * time.Second, gap: 2 * time.Second, rate: 3, weather: rough, verbose: true, out: &report,
	})
	t.Log(report.String())
	require.NoError(t, err)
}
