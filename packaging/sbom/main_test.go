package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBillOfThisBinary(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	require.NoError(t, err)
	content, err := os.ReadFile(binary)
	require.NoError(t, err)
	var first, second bytes.Buffer
	require.NoError(t, run(&first, "olympus", "v1.2.3", binary))
	require.NoError(t, run(&second, "olympus", "v1.2.3", binary))
	require.Equal(t, first.String(), second.String())

	var b bom
	require.NoError(t, json.Unmarshal(first.Bytes(), &b))
	require.Equal(t, "CycloneDX", b.Format)
	sum := sha256.Sum256(content)
	require.Equal(t, []hash{{"SHA-256", hex.EncodeToString(sum[:])}}, b.Metadata.Component.Hashes)
	require.Contains(t, b.Metadata.Component.Properties, property{"go:GOOS", runtime.GOOS})
	require.Equal(t, strings.TrimPrefix(runtime.Version(), "go"), b.Components[0].Version)
}

func TestModules(t *testing.T) {
	t.Parallel()
	b := describe(&debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "example.com/a", Version: "v1.0.0", Sum: "h1:a="},
		{Path: "example.com/b", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/c", Version: "v2.0.0+incompatible"}},
	}}, "olympus", "v1.2.3", "0123")
	refs := []string{"pkg:golang/std@1.26.8", "pkg:golang/example.com/a@v1.0.0", "pkg:golang/example.com/c@v2.0.0%2Bincompatible"}
	require.Len(t, b.Components, len(refs))
	for i, c := range b.Components {
		require.Equal(t, refs[i], c.Ref)
		require.Equal(t, refs[i], c.PURL)
	}
	require.Equal(t, []property{{"go:sum", "h1:a="}}, b.Components[1].Properties)
	require.Equal(t, "example.com/c", b.Components[2].Name, "what was compiled in, not what it replaced")
	require.Equal(t, []dependency{{"olympus@v1.2.3", refs}}, b.Dependencies)
}

func TestNoBinary(t *testing.T) {
	t.Parallel()
	require.Error(t, run(&bytes.Buffer{}, "olympus", "v1.2.3", "main.go"))
}
