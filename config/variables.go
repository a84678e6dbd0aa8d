package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"olympus/internal/protocol"
)

// variables reads one environment. The first error sticks and ends up in finish, so that reading the
// settings is a plain list.
type variables struct {
	values map[string]string
	known  map[string]bool // what was asked for
	err    error
}

func newVariables(environ []string) *variables {
	v := &variables{values: map[string]string{}, known: map[string]bool{}}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			v.values[name] = value
		}
	}
	return v
}

func (v *variables) fail(err error) {
	if v.err == nil {
		v.err = err
	}
}

func (v *variables) refuse(name, value, want string) {
	v.fail(fmt.Errorf("%s=%.200q: want %s", name, hideUsers(value), want))
}

// finish returns the first error, an unknown variable of ours being the last kind looked for.
func (v *variables) finish() error {
	if v.err != nil {
		return v.err
	}
	var unknown []string
	for name := range v.values {
		if strings.HasPrefix(name, "OLYMPUS_") && !v.known[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	name := slices.Min(unknown)
	if nearest := v.nearest(name); nearest != "" {
		return fmt.Errorf("%s is not a setting: did you mean %s?", name, nearest)
	}
	return fmt.Errorf("%s is not a setting", name)
}

// text is any string; an empty variable counts as unset.
func (v *variables) text(name, fallback string) string {
	v.known[name] = true
	if value := strings.TrimSpace(v.values[name]); value != "" {
		return value
	}
	return fallback
}

// oneOf accepts the words given, the first being the default.
func (v *variables) oneOf(name, fallback string, others ...string) string {
	value := v.text(name, fallback)
	if value != fallback && !slices.Contains(others, value) {
		words := append([]string{fallback}, others...)
		slices.Sort(words)
		v.refuse(name, value, strings.Join(slices.Compact(words), ", "))
	}
	return value
}

func (v *variables) integer(name string, fallback, lowest, highest int) int {
	value := v.text(name, "")
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < lowest || n > highest {
		v.refuse(name, value, fmt.Sprintf("a number from %d to %d", lowest, highest))
	}
	return n
}

func (v *variables) duration(name string, fallback time.Duration) time.Duration {
	value := v.text(name, "")
	if value == "" {
		return fallback
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		v.refuse(name, value, `a duration such as "30s" or "5m", not negative`)
	}
	return d
}

// units of sizes; the empty one last, because every string ends with it.
var units = []struct {
	suffix string
	bytes  int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1}}

func (v *variables) bytes(name string, fallback int64) int64 {
	value := v.text(name, "")
	if value == "" {
		return fallback
	}
	for _, unit := range units {
		digits, ok := strings.CutSuffix(value, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err == nil && n > 0 && n <= (1<<62)/unit.bytes {
			return n * unit.bytes
		}
		break
	}
	v.refuse(name, value, `a size such as "500MiB" or a number of bytes`)
	return 0
}

func (v *variables) level(name string) slog.Level {
	var level slog.Level
	if value := v.text(name, "info"); level.UnmarshalText([]byte(value)) != nil {
		v.refuse(name, value, "debug, error, info, warn")
	}
	return level
}

var hostName = regexp.MustCompile(`^[0-9A-Za-z]([0-9A-Za-z.-]*[0-9A-Za-z])?$`)

// host accepts a name or an IP address, the latter also in brackets.
func (v *variables) host(name, fallback string) string {
	value := v.text(name, fallback)
	bare := strings.TrimSuffix(strings.TrimPrefix(value, "["), "]")
	if _, err := netip.ParseAddr(bare); err == nil {
		return bare
	}
	if !hostName.MatchString(value) {
		v.refuse(name, value, "a host name or an IP address, without a port")
	}
	return value
}

func (v *variables) name(name, fallback string) string {
	value := v.text(name, fallback)
	if err := protocol.ValidateName(value); err != nil {
		v.refuse(name, value, "host[/path], as in the name of a checksum database")
	}
	return value
}

// postgres accepts what the driver can parse. The value may hold a password and is not shown.
func (v *variables) postgres(name string) string {
	value := v.text(name, "")
	if value == "" {
		return ""
	}
	// The driver would take the keyword form too, but pop tells its dialect by the scheme.
	u, err := url.Parse(value)
	if err == nil && (u.Scheme == "postgres" || u.Scheme == "postgresql") {
		if _, err = pgconn.ParseConfig(value); err == nil {
			return value
		}
	}
	v.fail(fmt.Errorf("%s: want a URL of the form postgres://user:password@host:port/database", name))
	return value
}

func (v *variables) directory(name, fallback string) string {
	value := v.text(name, fallback)
	abs, err := filepath.Abs(value)
	if err != nil {
		v.fail(fmt.Errorf("%s=%.200q: %w", name, value, err))
	}
	return abs
}

// storage accepts the schemes of package blob, which checks the rest. The value may hold credentials
// and is not shown.
func (v *variables) storage(name, fallbackDir string) string {
	value := v.text(name, "")
	if value == "" {
		return (&url.URL{Scheme: "file", Path: fallbackDir}).String()
	}
	u, err := url.Parse(value)
	if err != nil || !slices.Contains([]string{"file", "s3", "gs", "azblob"}, u.Scheme) {
		v.fail(fmt.Errorf("%s: want file:///path, s3://bucket, gs://bucket or azblob://container", name))
	}
	return value
}

// proxies accepts the syntax of GOPROXY.
func (v *variables) proxies(name string) string {
	value := v.text(name, "")
	if value == "" {
		return ""
	}
	elements := 0
	for element := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == '|' }) {
		element = strings.TrimSpace(element)
		if element == "" {
			continue
		}
		elements++
		u, err := url.Parse(element)
		switch {
		case element == "direct" || element == "off":
		case err == nil && slices.Contains([]string{"http", "https", "file"}, u.Scheme):
		case err == nil && u.Scheme == "" && strings.ContainsAny(element, ".:/") && element[0] != '/':
			// A host without a scheme, which the go command takes as https.
		default:
			v.refuse(name, value, "the syntax of GOPROXY: URLs (http, https, file), direct and off, separated by commas or bars")
			return value
		}
	}
	if elements == 0 {
		v.refuse(name, value, "at least one proxy, direct or off")
	}
	return value
}

// patterns accepts the syntax of GOPRIVATE.
func (v *variables) patterns(name string) string {
	value := v.text(name, "")
	for pattern := range strings.SplitSeq(value, ",") {
		if _, err := path.Match(pattern, ""); err != nil {
			v.refuse(name, value, "the syntax of GOPRIVATE: glob patterns separated by commas")
		}
	}
	return value
}

// token is a secret and is not shown.
func (v *variables) token(name string, strong bool) string {
	value := v.text(name, "")
	if strong && value != "" && len(value) < 16 {
		v.fail(fmt.Errorf("%s has %d bytes: want at least 16 in production", name, len(value)))
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		v.fail(fmt.Errorf("%s: want printable ASCII without spaces, as a header carries it", name))
	}
	return value
}
