package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

// sample is a real module that the scenario is played with.
type sample struct {
	path, version string
	letter        string // x, y or z
	cached        string // absolute path, without extension, of its files in the module cache
}

func (m sample) String() string { return m.path + "@" + m.version }

// label is what the scenario calls the version: MxV1 is module x at version 1.
func (m sample) label() string { return "M" + m.letter + "V1" }

// chooseSamples picks three requirements of the project's go.mod. They are in the module cache, where building the project has put them.
func chooseSamples(ctx context.Context, root string) ([]sample, error) {
	required, err := requirements(filepath.Join(root, "go.mod"))
	if err != nil {
		return nil, err
	}
	cache, err := goCommand(ctx, root, "env", "GOMODCACHE")
	if err != nil {
		return nil, err
	}
	var samples []sample
	for _, m := range required {
		cached, err := cachePath(strings.TrimSpace(cache), m)
		if err != nil {
			return nil, err
		}
		if !isCached(cached) {
			if _, err := goCommand(ctx, root, "mod", "download", m.Path); err != nil {
				return nil, fmt.Errorf("%s %s is not in the module cache: %w", m.Path, m.Version, err)
			}
		}
		samples = append(samples, sample{m.Path, m.Version, "xyz"[len(samples):][:1], cached})
		if len(samples) == 3 {
			return samples, nil
		}
	}
	return nil, fmt.Errorf("go.mod requires %d modules: want three", len(samples))
}

// requirements returns what a go.mod requires, the preferred ones first, the indirect ones last.
func requirements(file string) ([]module.Version, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	parsed, err := modfile.Parse(file, content, nil)
	if err != nil {
		return nil, err
	}
	// These are small. Any other would do.
	preferred := []string{"github.com/gobuffalo/envy", "github.com/stretchr/testify", "github.com/dunglas/httpsfv"}
	rank := func(r *modfile.Require) int {
		if i := slices.Index(preferred, r.Mod.Path); i >= 0 {
			return i
		}
		if !r.Indirect {
			return len(preferred)
		}
		return len(preferred) + 1
	}
	slices.SortStableFunc(parsed.Require, func(a, b *modfile.Require) int { return cmp.Compare(rank(a), rank(b)) })
	versions := make([]module.Version, len(parsed.Require))
	for i, r := range parsed.Require {
		versions[i] = r.Mod
	}
	return versions, nil
}

// cachePath is where the module cache keeps the files of a version, without their extensions. Below cache/download it is laid out as a
// module proxy's paths are.
func cachePath(cache string, m module.Version) (string, error) {
	path, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(m.Version)
	return filepath.Join(cache, "cache", "download", filepath.FromSlash(path), "@v", version), err
}

func isCached(path string) bool {
	for _, extension := range []string{".info", ".mod", ".zip"} {
		if _, err := os.Stat(path + extension); errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

// copyTo puts the version into a tree that a GOPROXY or an upstream may name as file://.
func (m sample) copyTo(tree string) error {
	path, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	dir := filepath.Join(tree, filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, extension := range []string{".info", ".mod", ".zip"} {
		content, err := os.ReadFile(m.cached + extension)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(m.cached)+extension), content, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "list"), []byte(m.version+"\n"), 0o600)
}

// goCommand runs the go command and returns what it prints.
func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return string(output), nil
}
