package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/net/http/httpproxy"

	"olympus/internal/signature"
)

// settings loads an environment of the given variables in an empty data directory, with a Go that has
// no command and the defaults "https://proxy.example" and "sum.example".
func settings(t *testing.T, environ ...string) (*Config, error) {
	t.Helper()
	return load(testSource(t, environ...))
}

func testSource(t *testing.T, environ ...string) source {
	t.Helper()
	return source{
		environ: append([]string{"OLYMPUS_DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "HOME=/nowhere"}, environ...),
		defaults: func(context.Context) (string, string, error) {
			return "https://proxy.example,direct", "sum.example", nil
		},
	}
}

func newKey(t *testing.T, name string) string {
	t.Helper()
	key, _, err := signature.GenerateKey(name)
	require.NoError(t, err)
	return key
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]Config{
		"":                   {Env: Development, Addr: "127.0.0.1", LogFormat: "text"},
		"GO_ENV=development": {Env: Development, Addr: "127.0.0.1", LogFormat: "text"},
		"GO_ENV=test":        {Env: Test, Addr: "0.0.0.0", LogFormat: "json"},
		"GO_ENV=production":  {Env: Production, Addr: "0.0.0.0", LogFormat: "json"},
	} {
		t.Run(want.Env+"/"+env, func(t *testing.T) {
			t.Parallel()
			key := newKey(t, "olympus.localhost")
			// Empty variables count as unset.
			c, err := settings(t, env, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_URL=", "OLYMPUS_MAX_ZIP= ", "PORT=")
			require.NoError(t, err)
			require.True(t, filepath.IsAbs(c.DataDir))
			want.Port = 3000
			want.Name, want.URL, want.SigningKey = "olympus.localhost", "http://127.0.0.1:3000", key
			want.DataDir = c.DataDir
			want.StorageURL = (&url.URL{Scheme: "file", Path: c.DataDir + "/blobs"}).String()
			want.Upstream, want.SumDB, want.ListTTL = "https://proxy.example,direct", "sum.example", time.Minute
			want.PullInterval, want.PushAttempts, want.PushBackoff = 30*time.Second, 5, time.Second
			want.PageSize, want.MaxZip = 1000, 500<<20
			want.RemoteZip, want.Fetch, want.Role = Stream, Eager, RoleAll
			want.ScrubInterval, want.DrainDelay = 24*time.Hour, 3*time.Second
			want.GoEnv = c.GoEnv
			require.Equal(t, &want, c)
		})
	}
}

func TestEveryVariable(t *testing.T) {
	t.Parallel()
	key, oldKey := newKey(t, "om.example.com/eu"), newKey(t, "om.example.com/eu")
	c, err := settings(t, "GO_ENV=production", "ADDR=[::1]", "PORT=8080", "DATABASE_URL=postgres://u:p@db:5433/o?sslmode=disable",
		"OLYMPUS_NAME=om.example.com/eu", "OLYMPUS_URL=https://om.example.com/eu/", "OLYMPUS_SIGNING_KEY="+key+"\n", "OLYMPUS_OLD_SIGNING_KEY="+oldKey,
		"OLYMPUS_SCRUB_INTERVAL=168h", "OLYMPUS_DRAIN_DELAY=0",
		"OLYMPUS_STORAGE_URL=s3://bucket?region=eu-1", "OLYMPUS_UPSTREAM=https://a.example|b.example, file:///mirror,direct",
		"OLYMPUS_LIST_TTL=90s", "OLYMPUS_SUMDB=off", "OLYMPUS_PRIVATE=*.corp.example,git.example/x", "OLYMPUS_ADMIN_TOKEN=0123456789abcdef",
		"OLYMPUS_PULL_INTERVAL=0", "OLYMPUS_PUSH_ATTEMPTS=7", "OLYMPUS_PUSH_BACKOFF=250ms", "OLYMPUS_PAGE_SIZE=10000",
		"OLYMPUS_MAX_ZIP=1GiB", "OLYMPUS_REMOTE_ZIP=redirect", "OLYMPUS_FETCH=lazy", "OLYMPUS_ROLE=worker",
		"LOG_LEVEL=debug", "LOG_FORMAT=text", "HTTP_PROXY=http://a.example:3128", "https_proxy=http://u:p@b.example", "no_proxy=.corp.example")
	require.NoError(t, err)
	require.Equal(t, &Config{
		Env: Production, Addr: "::1", Port: 8080, DatabaseURL: "postgres://u:p@db:5433/o?sslmode=disable",
		Name: "om.example.com/eu", URL: "https://om.example.com/eu", SigningKey: key, OldSigningKey: oldKey, ScrubInterval: 168 * time.Hour,
		DataDir: c.DataDir, StorageURL: "s3://bucket?region=eu-1",
		Upstream: "https://a.example|b.example, file:///mirror,direct", ListTTL: 90 * time.Second, SumDB: "off",
		Private: "*.corp.example,git.example/x", AdminToken: "0123456789abcdef",
		PushAttempts: 7, PushBackoff: 250 * time.Millisecond, PageSize: 10_000, MaxZip: 1 << 30,
		RemoteZip: Redirect, Fetch: Lazy, Role: RoleWorker, LogLevel: slog.LevelDebug, LogFormat: "text",
		Proxy: httpproxy.Config{HTTPProxy: "http://a.example:3128", HTTPSProxy: "http://u:p@b.example", NoProxy: ".corp.example"},
		GoEnv: c.GoEnv,
	}, c)
	require.NotContains(t, c.String(), "u:p")
	require.NotContains(t, c.String(), "PRIVATE")
	require.Equal(t, "[::1]:8080", c.Listen())
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "1048576": 1 << 20, "12B": 12, "3KiB": 3 << 10, "3 MiB": 3 << 20, "2GiB": 2 << 30, "5KB": 5000, "5MB": 5e6, "1GB": 1e9,
	} {
		c, err := settings(t, "OLYMPUS_MAX_ZIP="+text)
		require.NoError(t, err, text)
		require.Equal(t, want, c.MaxZip, text)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ variable, want string }{
		{"GO_ENV=staging", `GO_ENV="staging": want development, production, test`},
		{"ADDR=127.0.0.1:80", `ADDR="127.0.0.1:80": want a host name or an IP address, without a port`},
		{"ADDR=a b", "ADDR="},
		{"PORT=0", `PORT="0": want a number from 1 to 65535`},
		{"PORT=65536", `PORT="65536": want a number from 1 to 65535`},
		{"PORT=http", `PORT="http"`},
		{"LOG_LEVEL=loud", `LOG_LEVEL="loud": want debug, error, info, warn`},
		{"LOG_FORMAT=xml", `LOG_FORMAT="xml": want json, text`},
		{"DATABASE_URL=mysql://u:hunter2@db/x", "DATABASE_URL: want a URL of the form postgres://"},
		{"DATABASE_URL=postgres://u:hunter2@db:port/x", "DATABASE_URL: want"},
		{"DATABASE_URL=host=db password=hunter2", "DATABASE_URL: want"},
		{"OLYMPUS_NAME=om+1", `OLYMPUS_NAME="om+1": want host[/path]`},
		{"OLYMPUS_NAME=/om", `OLYMPUS_NAME="/om"`},
		{"OLYMPUS_URL=om.example.com", `OLYMPUS_URL: base URL "om.example.com" must begin with http:// or https://`},
		{"OLYMPUS_URL=https://u:hunter2@om.example.com", "OLYMPUS_URL: "},
		{"OLYMPUS_URL=https://om.example.com/?x=1", "OLYMPUS_URL: "},
		{"OLYMPUS_STORAGE_URL=ftp://u:hunter2@x", "OLYMPUS_STORAGE_URL: want file:///path"},
		{"OLYMPUS_STORAGE_URL=/var/lib", "OLYMPUS_STORAGE_URL: want"},
		{"OLYMPUS_UPSTREAM=ftp://u:hunter2@x", `OLYMPUS_UPSTREAM="ftp://…@x": want the syntax of GOPROXY`},
		{"OLYMPUS_UPSTREAM=drect", `OLYMPUS_UPSTREAM="drect"`},
		{"OLYMPUS_UPSTREAM=,|,", `OLYMPUS_UPSTREAM=",|,": want at least one proxy`},
		{"OLYMPUS_LIST_TTL=-1s", `OLYMPUS_LIST_TTL="-1s": want a duration`},
		{"OLYMPUS_PRIVATE=[x", `OLYMPUS_PRIVATE="[x": want the syntax of GOPRIVATE`},
		{"OLYMPUS_ADMIN_TOKEN=hunter2 hunter2 hunter2", "OLYMPUS_ADMIN_TOKEN: want printable ASCII"},
		{"OLYMPUS_PULL_INTERVAL=30", `OLYMPUS_PULL_INTERVAL="30": want a duration`},
		{"OLYMPUS_PUSH_ATTEMPTS=0", `OLYMPUS_PUSH_ATTEMPTS="0": want a number from 1 to 1000`},
		{"OLYMPUS_PUSH_BACKOFF=soon", `OLYMPUS_PUSH_BACKOFF="soon"`},
		{"OLYMPUS_PAGE_SIZE=10001", `OLYMPUS_PAGE_SIZE="10001": want a number from 1 to 10000`},
		{"OLYMPUS_MAX_ZIP=0", `OLYMPUS_MAX_ZIP="0": want a size`},
		{"OLYMPUS_MAX_ZIP=-1MiB", `OLYMPUS_MAX_ZIP="-1MiB"`},
		{"OLYMPUS_MAX_ZIP=MiB", `OLYMPUS_MAX_ZIP="MiB"`},
		{"OLYMPUS_MAX_ZIP=9223372036854775807GiB", "OLYMPUS_MAX_ZIP="},
		{"OLYMPUS_MAX_ZIP=1TiB", "OLYMPUS_MAX_ZIP="},
		{"OLYMPUS_REMOTE_ZIP=proxy", `OLYMPUS_REMOTE_ZIP="proxy": want redirect, stream`},
		{"OLYMPUS_FETCH=never", `OLYMPUS_FETCH="never": want eager, lazy`},
		{"OLYMPUS_ROLE=db", `OLYMPUS_ROLE="db": want all, web, worker`},
		{"OLYMPUS_UPSTRAEM=off", "OLYMPUS_UPSTRAEM is not a setting: did you mean OLYMPUS_UPSTREAM?"},
		{"OLYMPUS_SIGNINGKEY=hunter2", "OLYMPUS_SIGNINGKEY is not a setting: did you mean OLYMPUS_SIGNING_KEY?"},
		{"OLYMPUS_PRIVAT=x", "OLYMPUS_PRIVAT is not a setting: did you mean OLYMPUS_PRIVATE?"},
		{"OLYMPUS_FOO=1", "OLYMPUS_FOO is not a setting"},
		{"OLYMPUS_ENTIRELY_DIFFERENT=1", "OLYMPUS_ENTIRELY_DIFFERENT is not a setting"},
		{"OLYMPUS_=1", "OLYMPUS_ is not a setting"},
		{"OLYMPUS_SIGNING_KEY=PRIVATE+KEY+hunter2", "OLYMPUS_SIGNING_KEY: want a key of the form PRIVATE+KEY+"},
		{"OLYMPUS_SIGNING_KEY_FILE=/no/such/file", "OLYMPUS_SIGNING_KEY_FILE=/no/such/file: open"},
	} {
		t.Run(tc.variable, func(t *testing.T) {
			t.Parallel()
			_, err := settings(t, tc.variable)
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, strings.Contains(tc.want, "did you mean"), strings.Contains(err.Error(), "did you mean"), err)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestProductionNeedsSecrets(t *testing.T) {
	t.Parallel()
	key := "OLYMPUS_SIGNING_KEY=" + newKey(t, "olympus.localhost")
	_, err := settings(t, "GO_ENV=production", key, "OLYMPUS_ADMIN_TOKEN=hunter2")
	require.ErrorContains(t, err, "OLYMPUS_ADMIN_TOKEN has 7 bytes: want at least 16 in production")
	c, err := settings(t, "OLYMPUS_ADMIN_TOKEN=short")
	require.NoError(t, err)
	require.Equal(t, "short", c.AdminToken)

	c, err = settings(t, "GO_ENV=production")
	require.ErrorIs(t, err, ErrNoSigningKey)
	require.ErrorContains(t, err, "OLYMPUS_SIGNING_KEY_FILE")
	require.Equal(t, "olympus.localhost", c.Name, "commands that need no key get everything else")
	require.NoFileExists(t, filepath.Join(c.DataDir, keyFileName))
}

func TestPortZeroOnlyInTests(t *testing.T) {
	t.Parallel()
	c, err := settings(t, "GO_ENV=test", "PORT=0")
	require.NoError(t, err)
	require.Zero(t, c.Port)
}

func TestPrintsNoSecrets(t *testing.T) {
	t.Parallel()
	key := newKey(t, "olympus.localhost")
	c, err := settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_ADMIN_TOKEN=hunter2", "HUNTER=hunter2",
		"DATABASE_URL=postgres://u:hunter2@db/x?password=hunter2", "OLYMPUS_STORAGE_URL=s3://bucket?secret=hunter2",
		"OLYMPUS_UPSTREAM=https://u:hunter2@a.example,https://u:hunter2@b.example|direct", "OLYMPUS_PAGE_SIZE=77")
	require.NoError(t, err)
	var log bytes.Buffer
	for _, format := range []string{"text", "json"} {
		c.LogFormat = format
		c.Logger(&log).Info("starting", "config", c, "again", *c)
	}
	for _, text := range []string{
		c.String(), fmt.Sprint(c), fmt.Sprint(*c), fmt.Sprintf("%v %+v %#v %s", c, *c, *c, c), fmt.Sprintf("%#v", c), log.String(),
	} {
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, key)
		require.Contains(t, text, "a.example")
		require.Contains(t, text, "77")
	}
	require.Contains(t, c.DatabaseURL, "hunter2", "printing must not change the settings")
}

func TestLogger(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ level, format, want string }{
		{"warn", "text", "level=WARN msg=w\n"},
		{"warn", "json", `"level":"WARN","msg":"w"}` + "\n"},
	} {
		c, err := settings(t, "LOG_LEVEL="+tc.level, "LOG_FORMAT="+tc.format)
		require.NoError(t, err)
		var out bytes.Buffer
		log := c.Logger(&out)
		log.Info("i")
		log.Warn("w")
		require.True(t, strings.HasSuffix(out.String(), tc.want), out.String())
		require.Equal(t, 1, strings.Count(out.String(), "\n"))
	}
}

func TestGoEnvHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	c, err := settings(t, "PATH=/bin", "HTTPS_PROXY=http://p", "OLYMPUS_ADMIN_TOKEN=x", "DATABASE_URL=postgres://db/x", "TEST_DATABASE_URL=y", "PGPASSWORD=z")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"HOME=/nowhere", "PATH=/bin", "HTTPS_PROXY=http://p"}, c.GoEnv)
}

// fakeGo is a go command that answers "go env -json" with these lines.
func fakeGo(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "go")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	return path
}

func TestInheritsFromGo(t *testing.T) {
	t.Parallel()
	answers := `echo '{"GOPROXY":"https://go.example","GOSUMDB":"off","GOPRIVATE":"a.example","GONOPROXY":"none","GONOSUMDB":"b.example,a.example"}'`
	for name, tc := range map[string]struct {
		script, variable         string
		upstream, sumDB, private string
	}{
		"all":             {answers, "", "https://go.example", "off", "a.example,b.example"},
		"upstream is set": {answers, "OLYMPUS_UPSTREAM=direct", "direct", "off", "a.example,b.example"},
		"private is set":  {answers, "OLYMPUS_PRIVATE=c.example", "https://go.example", "off", "c.example"},
		"sumdb is set":    {answers, "OLYMPUS_SUMDB=s.example", "https://go.example", "s.example", "a.example,b.example"},
		"fails":           {"echo 'go: broken' >&2; exit 2", "", "https://proxy.example,direct", "sum.example", ""},
		"talks nonsense":  {"echo hello", "", "https://proxy.example,direct", "sum.example", ""},
		"is very old":     {"echo '{}'", "", "https://proxy.example,direct", "sum.example", ""},
		"runs apart from our module and toolchain": {`[ "$GOTOOLCHAIN $GOWORK" = "local off" ] && [ ! -e go.mod ] && ` + answers, "",
			"https://go.example", "off", "a.example,b.example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := testSource(t, "PATH="+os.Getenv("PATH"), tc.variable)
			s.goCommand = fakeGo(t, tc.script)
			c, err := load(s)
			require.NoError(t, err)
			require.Equal(t, []string{tc.upstream, tc.sumDB, tc.private}, []string{c.Upstream, c.SumDB, c.Private})
		})
	}

	s := testSource(t)
	s.defaults = func(context.Context) (string, string, error) { return "", "", errors.New("nowhere to look") }
	_, err := load(s)
	require.ErrorContains(t, err, "nowhere to look")
	require.ErrorContains(t, err, "OLYMPUS_UPSTREAM")
}

func TestKeyIsUsable(t *testing.T) {
	t.Parallel()
	c, err := settings(t, "OLYMPUS_NAME=om.example.com")
	require.NoError(t, err)
	signer, err := note.NewSigner(c.SigningKey)
	require.NoError(t, err)
	require.Equal(t, "om.example.com", signer.Name())
}
