package protocol

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The names of an event, in the order in which they are written. A line of a
// page has all of them, an event in a push has no position.
var (
	lineNames = []string{
		"kind", "module", "version", "origin", "time",
		"zip_hash", "zip_sha256", "zip_size", "mod_hash", "info", "mod",
		"reason", "position",
	}
	eventNames = lineNames[:namePosition]

	infoNames = []string{"Version", "Time"}
)

// Indices in lineNames.
const (
	nameKind = iota
	nameModule
	nameVersion
	nameOrigin
	nameTime
	nameZipHash
	nameZipSHA256
	nameZipSize
	nameModHash
	nameInfo
	nameMod
	nameReason
	namePosition
)

// Sets of names, a bit for each index.
const (
	namesCommon = 1<<nameKind | 1<<nameModule | 1<<nameVersion | 1<<nameOrigin | 1<<nameTime
	namesAdd    = 1<<nameZipHash | 1<<nameZipSHA256 | 1<<nameZipSize | 1<<nameModHash | 1<<nameInfo | 1<<nameMod
)

// parser reads events. It keeps its memory from one to the next.
type parser struct {
	scanner            // of the push or line
	inner      scanner // of the .info inside an event
	infoText   []byte
	lastOrigin string // most events of a page share a few origins: saves copies
}

// event reads one event and checks it. Names says whether it has a position.
func (p *parser) event(l *Logged, names []string) error {
	if err := p.open("event", jsontext.KindBeginObject); err != nil {
		return err
	}
	// Where the strings go, by index of the name.
	texts := [...]*string{
		nameKind: (*string)(&l.Kind), nameModule: &l.Module, nameVersion: &l.Version,
		nameZipHash: &l.ZipHash, nameZipSHA256: &l.ZipSHA256, nameModHash: &l.ModHash,
		nameInfo: &l.Info, nameMod: &l.Mod, nameReason: &l.Reason,
	}
	seen := 0
	for {
		i, err := p.name(names)
		if err != nil {
			return err
		}
		switch i {
		case endOfObject:
			if err := checkNames(l.Kind, seen, names); err != nil {
				return err
			}
			return p.validate(&l.Event)
		case nameZipSize:
			l.ZipSize, err = p.integer(names[i])
		case namePosition:
			l.Position, err = p.integer(names[i])
		case nameTime:
			l.Time, err = p.time(names[i])
		case nameOrigin:
			l.Origin, err = p.origin(names[i])
		default:
			var text []byte
			text, err = p.bytes(names[i])
			*texts[i] = string(text)
		}
		if err != nil {
			return err
		}
		seen |= 1 << i
	}
}

// checkNames refuses an event that lacks a name of its kind, or has one that
// only other kinds have, even with an empty value.
func checkNames(kind Kind, seen int, names []string) error {
	required, forbidden := namesCommon, 0
	switch kind {
	case KindAdd:
		required |= namesAdd
		forbidden = 1 << nameReason
	case KindDeprecate, KindDelete:
		forbidden = namesAdd
	}
	if len(names) > namePosition {
		required |= 1 << namePosition
	}
	for i, name := range names {
		switch {
		case required&^seen&(1<<i) != 0:
			return malformed(name, "", "missing")
		case forbidden&seen&(1<<i) != 0:
			return malformed(name, "", "not allowed in an event of kind "+string(kind))
		}
	}
	return nil
}

// time reads a time and drops what is finer than a microsecond.
func (s *scanner) time(field string) (time.Time, error) {
	text, err := s.bytes(field)
	if err != nil {
		return time.Time{}, err
	}
	var t time.Time
	if err := t.UnmarshalText(text); err != nil || !isStrictTime(text) {
		return time.Time{}, malformed(field, string(text), "not an RFC 3339 time")
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// isStrictTime refuses what package time takes for RFC 3339 although it is not: an
// hour of one digit, a comma before the fraction, an offset of a day or more.
func isStrictTime(text []byte) bool {
	n := len(text)
	if text[len("2006-01-02T15")] != ':' || bytes.IndexByte(text, ',') >= 0 {
		return false
	}
	return text[n-1] == 'Z' || string(text[n-len("07:00"):n-len(":00")]) <= "23" && string(text[n-len("00"):]) <= "59"
}

// origin reads a string that is often the same as in the event before.
func (p *parser) origin(field string) (string, error) {
	text, err := p.bytes(field)
	if err != nil {
		return "", err
	}
	if string(text) != p.lastOrigin {
		p.lastOrigin = string(text)
	}
	return p.lastOrigin, nil
}

// info checks the .info of a version. It is read as strictly as an event,
// because the go command takes "version" for "Version" and the last of two.
func (p *parser) info(version, info string) error {
	s := &p.inner
	p.infoText = append(p.infoText[:0], info...)
	if err := s.reset(p.infoText); err != nil {
		return err
	}
	if err := s.open("info", jsontext.KindBeginObject); err != nil {
		return err
	}
	hasVersion := false
	for {
		i, err := s.name(infoNames)
		if err != nil {
			return err
		}
		switch i {
		case endOfObject:
			if !hasVersion {
				return malformed("Version", "", "missing")
			}
			return s.end()
		case 0:
			text, err := s.bytes(infoNames[i])
			if err != nil {
				return err
			}
			if string(text) != version {
				return malformed("Version", string(text), "not the event's version")
			}
			hasVersion = true
		default:
			if _, err := s.time(infoNames[i]); err != nil {
				return err
			}
		}
	}
}
