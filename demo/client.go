package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// downloaded is what the go command got.
type downloaded struct {
	sum    string // h1:…, of the contents
	sha256 string // hex, of the zip
	size   int64  // bytes, of the zip
	took   time.Duration
}

// download downloads a version from a deployment, with the real go command and an empty module cache. It asks nobody else: the deployment
// is its only proxy, and the version is compared with upstream's file in the end, instead of with the checksum database.
func (s *stage) download(ctx context.Context, d *deployment, m sample) (*downloaded, error) {
	s.downloads++
	dir := filepath.Join(s.data, "go", strconv.Itoa(s.downloads))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", m.String())
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		// None of the user's own settings.
		"GOENV=off", "GOWORK=off", "GOPRIVATE=", "GONOPROXY=", "GONOSUMDB=", "GOTOOLCHAIN=local",
		"GOPROXY="+d.url, "GOSUMDB=off", "GOMODCACHE="+filepath.Join(dir, "mod"), "GOFLAGS=-modcacherw",
	)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	started := time.Now()
	output, err := cmd.Output()
	took := time.Since(started)
	var answer struct{ Zip, Sum, Error string }
	if parseErr := json.Unmarshal(output, &answer); err == nil {
		err = parseErr
	}
	if err != nil {
		return nil, fmt.Errorf("GOPROXY=%s go mod download %s: %w: %s%s", d.url, m, err, answer.Error, strings.TrimSpace(stderr.String()))
	}
	hash, err := fileSHA256(answer.Zip)
	if err != nil {
		return nil, err
	}
	file, err := os.Stat(answer.Zip)
	if err != nil {
		return nil, err
	}
	return &downloaded{answer.Sum, hash, file.Size(), took}, nil
}

// fetch shows a client that downloads a version.
func (s *stage) fetch(ctx context.Context, d *deployment, m sample) error {
	got, err := s.download(ctx, d, m)
	if err != nil {
		return err
	}
	s.out.command("GOPROXY=" + d.url + " go mod download " + m.String())
	s.out.say("  %s, %s, after %.1f s", got.sum, size(got.size), got.took.Seconds())
	return nil
}
