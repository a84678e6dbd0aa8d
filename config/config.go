// Package config turns the environment into a Config. It is the only place that reads environment
// variables, and it gives everything else its settings: it opens the database and builds the logger,
// but keeps nothing and decides nothing about how they are used.
//
// Variables come from the process and from a file .env in the working directory, which wins where it
// names the same variable. An empty variable counts as unset.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gobuffalo/envy"
	"golang.org/x/net/http/httpproxy"

	"olympus/internal/signature"
	"olympus/internal/upstream"
)

// The values of Config.Env.
const (
	Development = "development"
	Test        = "test"
	Production  = "production"
)

// The values of Config.RemoteZip.
const (
	Stream   = "stream"   // through us, verified, and stored on the way
	Redirect = "redirect" // 302 to the peer
)

// The values of Config.Fetch.
const (
	Eager = "eager" // every remote zip, in the background
	Lazy  = "lazy"  // on the first request
)

// The values of Config.Role.
const (
	RoleAll    = "all"
	RoleWeb    = "web"    // serves, and works no jobs
	RoleWorker = "worker" // works jobs, and serves only health and metrics
)

// ErrNoSigningKey is wrapped by the error of Load in production when no signing key is set. The Config
// is complete but for the key then, for the commands that need none: making one, and migrating.
var ErrNoSigningKey = errors.New("no signing key")

// Config holds every setting of one process. Each field names its variable.
type Config struct {
	Env  string // GO_ENV: Development, Test or Production
	Addr string // ADDR: host name or IP address to listen on
	Port int    // PORT: TCP port to listen on; 0, in tests only, is any free one

	DatabaseURL string // DATABASE_URL: Postgres; empty if database.yml decides

	Name       string // OLYMPUS_NAME: the deployment, host[/path]
	URL        string // OLYMPUS_URL: where peers and clients reach it, without a slash at the end
	SigningKey string // OLYMPUS_SIGNING_KEY, OLYMPUS_SIGNING_KEY_FILE: PRIVATE+KEY+name+hash+key; secret

	// SigningKeyFile is the file that the signing key is in; empty if it is in the environment.
	SigningKeyFile string

	// OldSigningKey is the key before that one, which still signs checkpoints: OLYMPUS_OLD_SIGNING_KEY, …_FILE, else what is beside the file of the
	// present one, with .old after its name; empty for none; secret.
	OldSigningKey string

	DataDir    string // OLYMPUS_DATA_DIR: absolute path of the directory for the key and default blobs
	StorageURL string // OLYMPUS_STORAGE_URL: blob store

	Upstream string        // OLYMPUS_UPSTREAM: where misses are filled from, in the syntax of GOPROXY
	ListTTL  time.Duration // OLYMPUS_LIST_TTL: how long an upstream's list is fresh
	SumDB    string        // OLYMPUS_SUMDB: checksum database, in the syntax of GOSUMDB
	Private  string        // OLYMPUS_PRIVATE: patterns in the syntax of GOPRIVATE

	// Proxy is HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in capitals or not: how upstreams are reached, as the go command reaches them.
	Proxy httpproxy.Config

	AdminToken string // OLYMPUS_ADMIN_TOKEN: bearer token, empty if HTTP administration is off; secret

	PullInterval time.Duration // OLYMPUS_PULL_INTERVAL: tick; 0 is only on demand
	PushAttempts int           // OLYMPUS_PUSH_ATTEMPTS: before a push is dropped
	PushBackoff  time.Duration // OLYMPUS_PUSH_BACKOFF: delay before the second attempt
	PageSize     int           // OLYMPUS_PAGE_SIZE: events per page asked for when pulling
	MaxZip       int64         // OLYMPUS_MAX_ZIP: largest zip accepted, in bytes

	RemoteZip     string        // OLYMPUS_REMOTE_ZIP: Stream or Redirect
	Fetch         string        // OLYMPUS_FETCH: Eager or Lazy
	ScrubInterval time.Duration // OLYMPUS_SCRUB_INTERVAL: within which each held zip is read again; 0 is never
	DrainDelay    time.Duration // OLYMPUS_DRAIN_DELAY: how long a terminated process serves on, saying that it is not ready

	Role string // OLYMPUS_ROLE: RoleAll, RoleWeb or RoleWorker

	Traces Traces // OTEL_…: where traces go

	LogLevel  slog.Level // LOG_LEVEL
	LogFormat string     // LOG_FORMAT: text or json

	// GoEnv is the environment for the go command and the version control tools it runs, when a miss
	// is filled directly: that of this process without the secrets in it.
	GoEnv []string
}

// Load reads the environment. Its errors are one line that names the variable and, unless it is a
// secret, the value. In development and test it makes a signing key if there is none.
func Load() (*Config, error) {
	goCommand, _ := exec.LookPath("go") // optional: without it, Go's built-in defaults apply
	return load(source{environ: envy.Environ(), goCommand: goCommand, defaults: upstream.Defaults})
}

// TestDatabaseURL is the Postgres that tests make their databases in: TEST_DATABASE_URL, else
// DATABASE_URL, else empty.
func TestDatabaseURL() string {
	return envy.Get("TEST_DATABASE_URL", envy.Get("DATABASE_URL", ""))
}

// Listen is the address to listen on.
func (c *Config) Listen() string { return net.JoinHostPort(c.Addr, strconv.Itoa(c.Port)) }

// load is Load of a given environment.
func load(s source) (*Config, error) {
	v := newVariables(s.environ)
	c := &Config{Env: v.oneOf("GO_ENV", Development, Test, Production)}

	addr, lowestPort, format := "0.0.0.0", 1, "json"
	switch c.Env {
	case Development:
		addr, format = "127.0.0.1", "text"
	case Test:
		lowestPort = 0
	}
	c.Addr = v.host("ADDR", addr)
	c.Port = v.integer("PORT", 3000, lowestPort, 65535)
	c.LogLevel = v.level("LOG_LEVEL")
	c.LogFormat = v.oneOf("LOG_FORMAT", format, "text", "json")
	c.DatabaseURL = v.postgres("DATABASE_URL")

	c.Name = v.name("OLYMPUS_NAME", "olympus.localhost")
	c.URL = v.baseURL("OLYMPUS_URL", "http://127.0.0.1:"+strconv.Itoa(c.Port))
	key, keyFile := v.text("OLYMPUS_SIGNING_KEY", ""), v.text("OLYMPUS_SIGNING_KEY_FILE", "")
	oldKey, oldKeyFile := v.text("OLYMPUS_OLD_SIGNING_KEY", ""), v.text("OLYMPUS_OLD_SIGNING_KEY_FILE", "")
	c.DataDir = v.directory("OLYMPUS_DATA_DIR", ".data")
	c.StorageURL = v.storage("OLYMPUS_STORAGE_URL", filepath.Join(c.DataDir, "blobs"))

	c.Upstream = v.proxies("OLYMPUS_UPSTREAM")
	c.ListTTL = v.duration("OLYMPUS_LIST_TTL", time.Minute)
	c.SumDB = v.text("OLYMPUS_SUMDB", "")
	c.Private = v.patterns("OLYMPUS_PRIVATE")
	c.Proxy = httpproxy.Config{HTTPProxy: v.either("HTTP_PROXY"), HTTPSProxy: v.either("HTTPS_PROXY"), NoProxy: v.either("NO_PROXY")}
	c.AdminToken = v.token("OLYMPUS_ADMIN_TOKEN", c.Env == Production)

	c.PullInterval = v.duration("OLYMPUS_PULL_INTERVAL", 30*time.Second)
	c.PushAttempts = v.integer("OLYMPUS_PUSH_ATTEMPTS", 5, 1, 1000)
	c.PushBackoff = v.duration("OLYMPUS_PUSH_BACKOFF", time.Second)
	c.PageSize = v.integer("OLYMPUS_PAGE_SIZE", 1000, 1, 10_000)
	c.MaxZip = v.bytes("OLYMPUS_MAX_ZIP", 500<<20)
	c.RemoteZip = v.oneOf("OLYMPUS_REMOTE_ZIP", Stream, Redirect)
	c.Fetch = v.oneOf("OLYMPUS_FETCH", Eager, Lazy)
	c.ScrubInterval = v.duration("OLYMPUS_SCRUB_INTERVAL", 24*time.Hour)
	c.DrainDelay = v.duration("OLYMPUS_DRAIN_DELAY", 3*time.Second)
	c.Role = v.oneOf("OLYMPUS_ROLE", RoleAll, RoleWeb, RoleWorker)
	c.Traces = v.traces()

	if err := v.finish(); err != nil {
		return nil, err
	}
	c.GoEnv = withoutSecrets(s.environ)
	if err := c.inheritFromGo(s); err != nil {
		return nil, err
	}
	// Last, because it may write a file: not for an environment that is wrong anyway.
	if err := c.loadSigningKey(key, keyFile); err != nil {
		return c, err
	}
	return c, c.loadOldSigningKey(oldKey, oldKeyFile)
}

// either reads a variable that others write in capitals or in small letters.
func (v *variables) either(name string) string {
	return v.text(name, v.text(strings.ToLower(name), ""))
}

// baseURL accepts what signatures can be made for.
func (v *variables) baseURL(name, fallback string) string {
	s := v.text(name, "")
	if s == "" {
		return fallback
	}
	u, err := signature.BaseURL(s)
	if err != nil {
		v.fail(fmt.Errorf("%s: %w", name, err))
	}
	return u
}
