package protocol

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/module"
)

// Kind says what an event states about its module version.
type Kind string

const (
	KindAdd       Kind = "add"       // the version exists and has these hashes
	KindDeprecate Kind = "deprecate" // the version is no longer offered, and still served
	KindDelete    Kind = "delete"    // the version is barred for good (a tombstone)
)

// Event is one fact about one module version. The package comment gives the
// rules for each field; the db tags name the columns of table events.
type Event struct {
	Kind      Kind      `db:"kind"`
	Module    string    `db:"module"`     // module path, unescaped
	Version   string    `db:"version"`    // canonical
	Origin    string    `db:"origin"`     // name of the deployment whose log held it first
	Time      time.Time `db:"time"`       // microseconds; UTC when parsed
	ZipHash   string    `db:"zip_hash"`   // h1:…, empty unless add
	ZipSHA256 string    `db:"zip_sha256"` // 64 lower-case hex digits, empty unless add
	ZipSize   int64     `db:"zip_size"`   // bytes, 0 unless add
	ModHash   string    `db:"mod_hash"`   // h1:… of the go.mod, empty unless add
	Info      string    `db:"info"`       // exact text of .info, empty unless add
	Mod       string    `db:"mod"`        // exact text of .mod, empty unless add
	Reason    string    `db:"reason"`     // empty if add, optional otherwise
}

// Logged is an event with its position in one deployment's log, from 1.
type Logged struct {
	Position int64 `db:"position"`
	Event
}

// Validate checks an event against the rules of the package comment, hash of
// the go.mod included. It compares times as instants, in whatever zone, and
// refuses one finer than a microsecond, which would not survive the wire. The
// error is a *MalformedError.
func (e Event) Validate() error {
	return new(parser).validate(&e)
}

// validate does the work of Event.Validate, reusing the parser's memory.
func (p *parser) validate(e *Event) error {
	if err := e.checkVersion(); err != nil {
		return err
	}
	if fault := nameFault(e.Origin); fault != "" {
		return malformed("origin", e.Origin, fault)
	}
	if err := e.checkTime(); err != nil {
		return err
	}
	switch e.Kind {
	case KindAdd:
		if e.Reason != "" {
			return malformed("reason", e.Reason, "an add has none")
		}
		if err := p.checkHashes(e); err != nil {
			return err
		}
		return p.checkInfo(e)
	case KindDeprecate, KindDelete:
		return e.checkBare()
	default:
		return malformed("kind", string(e.Kind), "not add, deprecate or delete")
	}
}

func (e *Event) checkVersion() error {
	// The lengths come first: x/mod has no limits of its own.
	if len(e.Module) > MaxPathBytes {
		return malformed("module", e.Module, "longer than 1024 bytes")
	}
	if len(e.Version) > MaxVersionBytes {
		return malformed("version", e.Version, "longer than 256 bytes")
	}
	if err := module.CheckPath(e.Module); err != nil {
		return malformed("module", e.Module, innermost(err))
	}
	if err := module.Check(e.Module, e.Version); err != nil {
		return malformed("version", e.Version, innermost(err))
	}
	if module.CanonicalVersion(e.Version) != e.Version {
		return malformed("version", e.Version, "not canonical")
	}
	return nil
}

func (e *Event) checkTime() error {
	if e.Time.IsZero() {
		return malformed("time", "", "missing")
	}
	if year := e.Time.UTC().Year(); year < 1 || year > 9999 {
		return malformed("time", e.Time.String(), "year not in 1 to 9999")
	}
	if e.Time.Nanosecond()%1000 != 0 {
		return malformed("time", e.Time.String(), "finer than a microsecond")
	}
	return nil
}

// checkHashes checks what an add tells about the bytes of its version, except
// for info.
func (p *parser) checkHashes(e *Event) error {
	if !isH1(e.ZipHash) {
		return malformed("zip_hash", e.ZipHash, "not an h1 hash")
	}
	if !isSHA256(e.ZipSHA256) {
		return malformed("zip_sha256", e.ZipSHA256, "not 64 lower-case hexadecimal digits")
	}
	if e.ZipSize < 1 || e.ZipSize > maxInteger {
		return malformed("zip_size", string(appendInt(nil, e.ZipSize)), "not in 1 to 2^62")
	}
	if len(e.Mod) > MaxModBytes {
		return malformed("mod", e.Mod, "longer than 2 MiB")
	}
	if fault := textFault(e.Mod); fault != "" {
		return malformed("mod", e.Mod, fault)
	}
	if !isH1(e.ModHash) {
		return malformed("mod_hash", e.ModHash, "not an h1 hash")
	}
	p.text = append(p.text[:0], e.Mod...)
	if hash := modHash(p.text); string(hash[:]) != e.ModHash {
		return malformed("mod_hash", e.ModHash, "mod has hash "+string(hash[:]))
	}
	return nil
}

// checkInfo checks the .info of an add.
func (p *parser) checkInfo(e *Event) error {
	if len(e.Info) > MaxInfoBytes {
		return malformed("info", e.Info, "longer than 64 KiB")
	}
	if fault := textFault(e.Info); fault != "" {
		return malformed("info", e.Info, fault)
	}
	if err := p.info(e.Version, e.Info); err != nil {
		return malformed("info", e.Info, err.Error())
	}
	return nil
}

// checkBare checks that an event without hashes has none, and its reason.
func (e *Event) checkBare() error {
	for _, f := range [...]struct{ name, value string }{
		{"zip_hash", e.ZipHash}, {"zip_sha256", e.ZipSHA256}, {"mod_hash", e.ModHash},
		{"info", e.Info}, {"mod", e.Mod},
	} {
		if f.value != "" {
			return malformed(f.name, f.value, "only an add has it")
		}
	}
	if e.ZipSize != 0 {
		return malformed("zip_size", string(appendInt(nil, e.ZipSize)), "only an add has it")
	}
	if len(e.Reason) > MaxReasonBytes {
		return malformed("reason", e.Reason, "longer than 1024 bytes")
	}
	if !utf8.ValidString(e.Reason) {
		return malformed("reason", e.Reason, "invalid UTF-8")
	}
	if strings.ContainsFunc(e.Reason, unicode.IsControl) {
		return malformed("reason", e.Reason, "has control characters")
	}
	return nil
}

// textFault says why s cannot be a JSON string that Postgres stores, or nothing.
func textFault(s string) string {
	switch {
	case !utf8.ValidString(s):
		return "invalid UTF-8"
	case strings.IndexByte(s, 0) >= 0:
		return "has a NUL"
	}
	return ""
}
