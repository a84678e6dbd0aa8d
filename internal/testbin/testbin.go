// Package testbin builds the olympus command for tests that run it as a process. It is for tests only.
package testbin

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Version and Commit are what the command says that it was built from.
const (
	Version = "v1.2.3"
	Commit  = "0123abcd"
)

// dir is where the command is; Main makes it.
var dir string

// Main runs the tests of a package and ends the process: TestMain of a package that calls Path is no more than this.
func Main(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "olympus-testbin-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// Path returns where the command is, in a directory with nothing else. The first call builds it, as the Makefile does.
func Path(t testing.TB) string {
	t.Helper()
	require.NotEmpty(t, dir, "TestMain must call testbin.Main")
	path, err := build()
	require.NoError(t, err)
	return path
}

// build has go run put the command in place, not go build, which would link it anew for each package: what go run runs is in the build cache.
var build = sync.OnceValues(func() (string, error) {
	path := filepath.Join(dir, "olympus")
	out, err := exec.Command("go", "run", "-exec", "cp", "-trimpath", "-buildvcs=false",
		"-ldflags", "-X main.version="+Version+" -X main.commit="+Commit, "olympus", path).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build olympus: %w: %s", err, out)
	}
	return path, nil
})
