package config

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// source is what settings come from.
type source struct {
	environ   []string // NAME=value
	goCommand string   // path of the go command, or empty
	// defaults are the proxies and the checksum database that the go command has built in.
	defaults func(context.Context) (proxies, checksumDB string, err error)
}

// inheritFromGo fills in what was not set from the go command's own settings, so that a deployment
// fills misses from where the go command on this machine would get them.
func (c *Config) inheritFromGo(s source) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	// Without a go command, or with a broken one, there is nothing to inherit and the built-in
	// defaults apply.
	goEnv, err := askGo(ctx, s.goCommand, c.GoEnv)
	if err != nil {
		goEnv = map[string]string{}
	}
	if c.Private == "" {
		c.Private = union(goEnv["GOPRIVATE"], goEnv["GONOPROXY"], goEnv["GONOSUMDB"])
	}
	proxies, checksumDB := goEnv["GOPROXY"], goEnv["GOSUMDB"]
	if c.Upstream == "" && proxies == "" || c.SumDB == "" && checksumDB == "" {
		builtinProxies, builtinDB, err := s.defaults(ctx)
		if err != nil {
			return fmt.Errorf("find Go's default proxy and checksum database (set OLYMPUS_UPSTREAM and OLYMPUS_SUMDB instead): %w", err)
		}
		proxies, checksumDB = orElse(proxies, builtinProxies), orElse(checksumDB, builtinDB)
	}
	c.Upstream, c.SumDB = orElse(c.Upstream, proxies), orElse(c.SumDB, checksumDB)
	return nil
}

// askGo runs go env.
func askGo(ctx context.Context, goCommand string, environ []string) (map[string]string, error) {
	if goCommand == "" {
		return nil, exec.ErrNotFound
	}
	cmd := exec.CommandContext(ctx, goCommand, "env", "-json", "GOPROXY", "GOSUMDB", "GOPRIVATE", "GONOPROXY", "GONOSUMDB")
	// In a directory without a go.mod, and told to be itself: a go.mod or go.work could make it
	// download another toolchain first.
	cmd.Dir = os.TempDir()
	cmd.Env = append(slices.Clone(environ), "GOTOOLCHAIN=local", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go env: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	values := map[string]string{}
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("go env: %w", err)
	}
	return values, nil
}

// withoutSecrets drops what programs that fetch code from the network have no business to know.
func withoutSecrets(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool {
		name, _, _ := strings.Cut(pair, "=")
		return strings.HasPrefix(name, "OLYMPUS_") || strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "OTEL_") ||
			name == "DATABASE_URL" || name == "TEST_DATABASE_URL"
	})
}

// union joins lists of patterns. The go command tells modules that no proxy may know from those that no
// checksum database may know. Here they are one list, and a module in either is kept from both.
func union(lists ...string) string {
	var patterns []string
	for _, list := range lists {
		for pattern := range strings.SplitSeq(list, ",") {
			pattern = strings.TrimSpace(pattern)
			if pattern != "" && pattern != "none" && !slices.Contains(patterns, pattern) {
				patterns = append(patterns, pattern)
			}
		}
	}
	return strings.Join(patterns, ",")
}

func orElse(value, fallback string) string {
	if value != "" {
		return value
	}
	return fallback
}
