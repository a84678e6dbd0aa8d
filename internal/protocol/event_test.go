package protocol_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// addEvent is a valid add, deleteEvent a valid delete of the same version.
func addEvent() protocol.Event {
	return protocol.Event{
		Kind:      protocol.KindAdd,
		Module:    "example.com/m",
		Version:   "v1.0.0",
		Origin:    "om.example.com",
		Time:      time.Date(2026, 11, 22, 12, 0, 0, 1000, time.UTC),
		ZipHash:   "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		ZipSHA256: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		ZipSize:   1234,
		ModHash:   "h1:flS2VctbRrTv+sBE+VKgxx6hlkMGPVz9MGOmzMYFg3k=",
		Info:      `{"Version":"v1.0.0","Time":"2026-11-22T11:59:59Z"}`,
		Mod:       "module example.com/m\n",
	}
}

func deleteEvent() protocol.Event {
	e := addEvent()
	return protocol.Event{
		Kind: protocol.KindDelete, Module: e.Module, Version: e.Version, Origin: e.Origin, Time: e.Time,
		Reason: "published by mistake",
	}
}

// requireMalformed checks that an error blames this field, in one line.
func requireMalformed(t testing.TB, err error, field string) {
	t.Helper()
	var malformed *protocol.MalformedError
	require.ErrorAs(t, err, &malformed)
	require.Equal(t, field, malformed.Field, err)
	require.NotEmpty(t, malformed.Reason)
	require.NotContains(t, err.Error(), "\n")
	require.Less(t, len(err.Error()), 1000)
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*protocol.Event){
		"an add":             func(*protocol.Event) {},
		"a delete":           func(e *protocol.Event) { *e = deleteEvent() },
		"a deprecate":        func(e *protocol.Event) { *e = deleteEvent(); e.Kind = protocol.KindDeprecate },
		"no reason":          func(e *protocol.Event) { *e = deleteEvent(); e.Reason = "" },
		"a long reason":      func(e *protocol.Event) { *e = deleteEvent(); e.Reason = strings.Repeat("é", 512) },
		"an origin's path":   func(e *protocol.Event) { e.Origin = "example.com:8080/olympus/eu" },
		"another zone":       func(e *protocol.Event) { e.Time = e.Time.In(time.FixedZone("", 3600)) },
		"the last year":      func(e *protocol.Event) { e.Time = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) },
		"an empty go.mod":    func(e *protocol.Event) { setMod(e, "") },
		"the longest go.mod": func(e *protocol.Event) { setMod(e, strings.Repeat("/", protocol.MaxModBytes)) },
		"info of the version alone": func(e *protocol.Event) {
			e.Info = `{"Version":"v1.0.0"}`
		},
		"info with more in it": func(e *protocol.Event) {
			e.Info = "{\"Origin\":{\"VCS\":\"git\",\"Ref\":null},\n\"Version\":\"v1.0.\\u0030\"}\n"
		},
		"the longest info": func(e *protocol.Event) {
			e.Info += strings.Repeat(" ", protocol.MaxInfoBytes-len(e.Info))
		},
		"a pre-release":    func(e *protocol.Event) { setVersion(e, "example.com/m", "v1.0.0-rc.1") },
		"a pseudo-version": func(e *protocol.Event) { setVersion(e, "example.com/m", "v0.0.0-20261122120000-0123456789ab") },
		"a major version":  func(e *protocol.Event) { setVersion(e, "example.com/m/v2", "v2.0.0") },
		"+incompatible":    func(e *protocol.Event) { setVersion(e, "example.com/m", "v2.0.0+incompatible") },
		"gopkg.in":         func(e *protocol.Event) { setVersion(e, "gopkg.in/m.v1", "v1.0.0") },
		"upper case":       func(e *protocol.Event) { setVersion(e, "example.com/Azure", "v1.0.0") },
		"the longest path": func(e *protocol.Event) {
			setVersion(e, "example.com/"+strings.Repeat("m", protocol.MaxPathBytes-12), "v1.0.0")
		},
		"the longest version": func(e *protocol.Event) {
			setVersion(e, "example.com/m", "v1.0.0-"+strings.Repeat("a", protocol.MaxVersionBytes-7))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := addEvent()
			change(&e)
			require.NoError(t, e.Validate())
			requireRoundTrip(t, e)
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		field  string
		change func(*protocol.Event)
	}{
		"no kind":      {"kind", func(e *protocol.Event) { e.Kind = "" }},
		"unknown kind": {"kind", func(e *protocol.Event) { e.Kind = "remove" }},

		"no module":           {"module", func(e *protocol.Event) { e.Module = "" }},
		"module without dot":  {"module", func(e *protocol.Event) { e.Module = "fmt" }},
		"module escaped":      {"module", func(e *protocol.Event) { e.Module = "example.com/!azure" }},
		"module climbing":     {"module", func(e *protocol.Event) { e.Module = "example.com/../m" }},
		"module with newline": {"module", func(e *protocol.Event) { e.Module = "example.com/m\n" }},
		"module too long": {"module", func(e *protocol.Event) {
			e.Module = "example.com/" + strings.Repeat("m", protocol.MaxPathBytes-11)
		}},
		"module of a bad major version": {"module", func(e *protocol.Event) { e.Module = "example.com/m/v1" }},

		"no version":             {"version", func(e *protocol.Event) { e.Version = "" }},
		"version of no module":   {"version", func(e *protocol.Event) { e.Version = "latest" }},
		"version cut short":      {"version", func(e *protocol.Event) { e.Version = "v1" }},
		"version with metadata":  {"version", func(e *protocol.Event) { e.Version = "v1.0.0+meta" }},
		"needless +incompatible": {"version", func(e *protocol.Event) { e.Version = "v2.0.0+incompatible.1" }},
		"wrong major version":    {"version", func(e *protocol.Event) { e.Version = "v2.0.0" }},
		"version too long": {"version", func(e *protocol.Event) {
			e.Version = "v1.0.0-" + strings.Repeat("a", protocol.MaxVersionBytes-6)
		}},

		"no origin":          {"origin", func(e *protocol.Event) { e.Origin = "" }},
		"origin with a plus": {"origin", func(e *protocol.Event) { e.Origin = "om+oa" }},

		"no time":             {"time", func(e *protocol.Event) { e.Time = time.Time{} }},
		"nanoseconds":         {"time", func(e *protocol.Event) { e.Time = e.Time.Add(1) }},
		"year 0":              {"time", func(e *protocol.Event) { e.Time = time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC) }},
		"year 10000 in UTC":   {"time", func(e *protocol.Event) { e.Time = yearEnd(9999, -1) }},
		"year 0 only in UTC":  {"time", func(e *protocol.Event) { e.Time = time.Date(1, 1, 1, 0, 0, 0, 0, time.FixedZone("", 60)) }},
		"add with a reason":   {"reason", func(e *protocol.Event) { e.Reason = "because" }},
		"no zip_hash":         {"zip_hash", func(e *protocol.Event) { e.ZipHash = "" }},
		"zip_hash of go.sum":  {"zip_hash", func(e *protocol.Event) { e.ZipHash = "h2" + e.ZipHash[2:] }},
		"zip_hash of 31":      {"zip_hash", func(e *protocol.Event) { e.ZipHash = "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==" }},
		"zip_hash of 33":      {"zip_hash", func(e *protocol.Event) { e.ZipHash = "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g" }},
		"zip_hash unpadded":   {"zip_hash", func(e *protocol.Event) { e.ZipHash = strings.TrimSuffix(e.ZipHash, "=") }},
		"zip_hash for URLs":   {"zip_hash", func(e *protocol.Event) { e.ZipHash = "h1:__-CAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" }},
		"zip_hash respelled":  {"zip_hash", func(e *protocol.Event) { e.ZipHash = "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=" }},
		"zip_hash broken":     {"zip_hash", func(e *protocol.Event) { e.ZipHash = "h1:\r\n\r\nAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" }},
		"no zip_sha256":       {"zip_sha256", func(e *protocol.Event) { e.ZipSHA256 = "" }},
		"zip_sha256 in upper": {"zip_sha256", func(e *protocol.Event) { e.ZipSHA256 = strings.ToUpper(e.ZipSHA256) }},
		"zip_sha256 not hex":  {"zip_sha256", func(e *protocol.Event) { e.ZipSHA256 = e.ZipSHA256[:63] + "g" }},
		"zip_sha256 too long": {"zip_sha256", func(e *protocol.Event) { e.ZipSHA256 += "00" }},
		"zip_size 0":          {"zip_size", func(e *protocol.Event) { e.ZipSize = 0 }},
		"zip_size negative":   {"zip_size", func(e *protocol.Event) { e.ZipSize = -1 }},
		"zip_size too large":  {"zip_size", func(e *protocol.Event) { e.ZipSize = 1<<62 + 1 }},
		"no mod_hash":         {"mod_hash", func(e *protocol.Event) { e.ModHash = "" }},
		"mod_hash of another": {"mod_hash", func(e *protocol.Event) { e.ModHash = e.ZipHash }},
		"mod changed":         {"mod_hash", func(e *protocol.Event) { e.Mod += "\n" }},
		"mod dropped":         {"mod_hash", func(e *protocol.Event) { e.Mod = "" }},
		"mod too long":        {"mod", func(e *protocol.Event) { setMod(e, strings.Repeat("/", protocol.MaxModBytes+1)) }},
		"mod not UTF-8":       {"mod", func(e *protocol.Event) { setMod(e, "module \xff") }},
		"mod with a NUL":      {"mod", func(e *protocol.Event) { setMod(e, "module \x00") }},

		"no info":                  {"info", func(e *protocol.Event) { e.Info = "" }},
		"info too long":            {"info", func(e *protocol.Event) { e.Info += strings.Repeat(" ", protocol.MaxInfoBytes) }},
		"info not UTF-8":           {"info", func(e *protocol.Event) { e.Info = "{\"Version\":\"v1.0.0\",\"X\":\"\xff\"}" }},
		"info with a NUL":          {"info", func(e *protocol.Event) { e.Info += "\x00" }},
		"info with an escaped NUL": {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.0","X":"\u0000"}` }},
		"info not JSON":            {"info", func(e *protocol.Event) { e.Info = "v1.0.0" }},
		"info cut short":           {"info", func(e *protocol.Event) { e.Info = e.Info[:len(e.Info)-1] }},
		"info not an object":       {"info", func(e *protocol.Event) { e.Info = `["v1.0.0"]` }},
		"info of two objects":      {"info", func(e *protocol.Event) { e.Info += e.Info }},
		"info with junk behind":    {"info", func(e *protocol.Event) { e.Info += "}" }},
		"info without Version":     {"info", func(e *protocol.Event) { e.Info = `{"Time":"2026-11-22T11:59:59Z"}` }},
		"info of another version":  {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.1"}` }},
		"info with null Version":   {"info", func(e *protocol.Event) { e.Info = `{"Version":null}` }},
		"info with two Versions":   {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.0","Version":"v1.0.0"}` }},
		"info with a second case":  {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.0","version":"v1.0.1"}` }},
		"info with a bad Time":     {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.0","Time":"yesterday"}` }},
		"info with a null Time":    {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.0","Time":null}` }},
		"info with a surrogate":    {"info", func(e *protocol.Event) { e.Info = `{"Version":"v1.0.0","X":"\ud800"}` }},

		"delete with zip_hash":   {"zip_hash", func(e *protocol.Event) { h := e.ZipHash; *e = deleteEvent(); e.ZipHash = h }},
		"delete with zip_sha256": {"zip_sha256", func(e *protocol.Event) { h := e.ZipSHA256; *e = deleteEvent(); e.ZipSHA256 = h }},
		"delete with zip_size":   {"zip_size", func(e *protocol.Event) { *e = deleteEvent(); e.ZipSize = 1 }},
		"delete with mod_hash":   {"mod_hash", func(e *protocol.Event) { h := e.ModHash; *e = deleteEvent(); e.ModHash = h }},
		"delete with info":       {"info", func(e *protocol.Event) { *e = deleteEvent(); e.Info = "{}" }},
		"delete with mod":        {"mod", func(e *protocol.Event) { *e = deleteEvent(); e.Mod = "module m" }},
		"deprecate with mod":     {"mod", func(e *protocol.Event) { *e = deleteEvent(); e.Kind = "deprecate"; e.Mod = "module m" }},
		"reason too long":        {"reason", func(e *protocol.Event) { *e = deleteEvent(); e.Reason = strings.Repeat("a", 1025) }},
		"reason not UTF-8":       {"reason", func(e *protocol.Event) { *e = deleteEvent(); e.Reason = "\xff" }},
		"reason with a newline":  {"reason", func(e *protocol.Event) { *e = deleteEvent(); e.Reason = "a\nb" }},
		"reason with a C1":       {"reason", func(e *protocol.Event) { *e = deleteEvent(); e.Reason = "a\u0085b" }},
		"reason with a NUL":      {"reason", func(e *protocol.Event) { *e = deleteEvent(); e.Reason = "\x00" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := addEvent()
			test.change(&e)
			requireMalformed(t, e.Validate(), test.field)
		})
	}
}

func TestMalformedErrorIsShort(t *testing.T) {
	t.Parallel()
	err := &protocol.MalformedError{Field: "mod", Value: strings.Repeat("é\n", 1000), Reason: "too long"}
	require.Less(t, len(err.Error()), 400)
	require.NotContains(t, err.Error(), "\n")

	err.Value = "a\nb"
	require.EqualError(t, err, `malformed mod "a\nb": too long`)
}

func setMod(e *protocol.Event, mod string) {
	e.Mod, e.ModHash = mod, protocol.ModHash([]byte(mod))
}

func setVersion(e *protocol.Event, path, version string) {
	e.Module, e.Version = path, version
	e.Info = `{"Version":"` + version + `"}`
}

// yearEnd is the last moment of a year in a zone some hours east.
func yearEnd(year, hours int) time.Time {
	return time.Date(year, 12, 31, 23, 59, 59, 0, time.FixedZone("", hours*3600))
}
