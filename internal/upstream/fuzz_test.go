package upstream

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
)

// What upstream says of a version and is believed can be logged, but for what only an event checks of a .info: whoever fills looks at that
// before anybody is answered.
func FuzzCheckFiles(f *testing.F) {
	for _, info := range []string{
		plain.Info(), `{"Version":"v1.0.0"}`, `{"Version":"v1.0.0","version":"v1.0.1"}`, `{"Version":"v1.0.0","Time":"yesterday"}`, `{"Version":"v1.0.0","Time":null}`,
		`{"Version":"v1.0.0","Time":"2026-11-22T12:00:00+25:00"}`, "{\"Version\":\"v1.0.0\",\"Origin\":\"\xff\"}", `{"Version":"v1.0.0","Origin":"\u0000\ud800"}`, `[]`, `{}`,
		`{"Version":"v1.0.0"}{}`, "\ufeff{}", " {\"Version\":\"v1.0.0\"}\n",
	} {
		f.Add([]byte(info), []byte(plain.Mod()))
	}
	f.Add([]byte(`{"Version":"v1.0.0"}`), []byte("module \"example.com/m\" // Deprecated: é"))
	f.Add([]byte(`{"Version":"v1.0.0"}`), []byte("module example.com/m\n\x00"))
	f.Add([]byte(`{"Version":"v1.0.0"}`), []byte("<html>module example.com/m</html>"))
	f.Fuzz(func(t *testing.T, info, mod []byte) {
		if CheckFiles("example.com/m", "v1.0.0", info, mod) != nil || len(info) > protocol.MaxInfoBytes || len(mod) > protocol.MaxModBytes {
			return
		}
		e := protocol.Event{
			Kind: protocol.KindAdd, Module: "example.com/m", Version: "v1.0.0", Origin: "om.example.com", Time: time.Unix(0, 0),
			ZipHash: protocol.ModHash(nil), ZipSHA256: strings.Repeat("0", 64), ZipSize: 1,
			ModHash: protocol.ModHash(mod), Info: string(info), Mod: string(mod),
		}
		if err := e.Validate(); err != nil {
			malformed, ok := errors.AsType[*protocol.MalformedError](err)
			require.True(t, ok)
			require.Equal(t, "info", malformed.Field)
			require.Contains(t, err.Error(), "malformed Time")
		}
	})
}

// Of any list only versions are taken that the module can have, once each, lowest first.
func FuzzVersions(f *testing.F) {
	dir := f.TempDir()
	file := filepath.Join(dir, "example.com", "m", "@v", "list")
	require.NoError(f, os.MkdirAll(filepath.Dir(file), 0o700))
	u, err := New(Options{Proxies: "file://" + dir, ChecksumDB: "off"})
	require.NoError(f, err)
	p := u.places[0].source.(*proxy)
	for _, seed := range []string{
		"", "\n\n", "v1.0.0\nv1.1.0-rc.1\nv1.0.0\n", "v1.0.0 2026-11-22T12:00:00Z\r\nv0.0.0-20200101000000-abcdefabcdef", "v2.0.0\nv2.0.0+incompatible\nv1.0.0+meta", "<html>",
		"v1\nv1.0\nv01.0.0", "v1.0.0\x00\nv1.0.1\u2028v1.0.2", "v1.0.0-" + strings.Repeat("a", 300),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		require.NoError(t, os.WriteFile(file, list, 0o600))
		versions, err := p.versions(t.Context(), "example.com/m")
		if err != nil {
			require.NotEmpty(t, strings.TrimSpace(string(list)), "an empty list is one")
			return
		}
		require.NotNil(t, versions)
		for i, v := range versions {
			require.NoError(t, module.Check("example.com/m", v))
			require.Equal(t, module.CanonicalVersion(v), v)
			require.LessOrEqual(t, len(v), protocol.MaxVersionBytes)
			require.Contains(t, string(list), v)
			require.NotContains(t, versions[:i], v)
		}
		sorted := slices.Clone(versions)
		module.Sort(asVersions(sorted))
		require.Equal(t, sorted, versions)
	})
}

func asVersions(versions []string) []module.Version {
	list := make([]module.Version, len(versions))
	for i, v := range versions {
		list[i] = module.Version{Path: "example.com/m", Version: v}
	}
	return list
}

// The setting is read or refused, and whichever it is, no password that is in it is told.
func FuzzParsePlaces(f *testing.F) {
	f.Add("https://", "me", "", "", "a.example.com/go,direct")
	f.Add("http://", "me", "", "", "a.example.com|off")
	f.Add("off,HTTP://", "me", "%", "", "a.example.com:99999?x")
	f.Add("file://", "", "", "#", "/srv")
	f.Add("gopher://", "me", "/", "", "a.example.com")
	f.Add("https://", "me", "@", "", "a.example.com?x")
	f.Fuzz(func(t *testing.T, before, user, head, tail, after string) {
		const secret = "S3CRET"
		if strings.ContainsAny(user+head+tail, ",| \t\r\n\v\f") { // the list would be cut there, and no URL has the others
			return
		}
		if strings.Contains(before, "@") || !strings.HasSuffix(before, "://") { // what has no scheme is a host, or no URL at all
			return
		}
		list := before + user + ":" + head + secret + tail + "@" + after
		web, err := New(Options{Proxies: "https://example.com", ChecksumDB: "off"})
		require.NoError(t, err)
		places, err := parsePlaces(list, web.web, nil, 1, "")
		if err != nil {
			require.Empty(t, places)
			require.NotContains(t, err.Error(), secret)
			return
		}
		require.NotEmpty(t, places)
		for _, p := range places {
			if remote, ok := p.source.(*proxy); ok {
				require.NotContains(t, remote.remote.base.String(), secret)
				_, err := url.Parse(remote.remote.base.String())
				require.NoError(t, err)
			}
		}
	})
}

// Whatever the go command says, it is one short line about a module that is unknown or could not be asked for, without passwords.
func FuzzJudge(f *testing.F) {
	f.Add([]byte(`{"Error":"unknown revision v9"}`), "")
	f.Add([]byte(`{`), "go: example.com/m: no such host\nmore")
	f.Add([]byte(nil), "")
	f.Add([]byte(`{"Error":"https://me:S3CRET@example.com: not found"}`), "\x1b[0m")
	f.Add([]byte(`{"Error":"\u0000\u202e\ud800 timeout"}`), "x")
	f.Fuzz(func(t *testing.T, stdout []byte, stderr string) {
		err := judge("example.com/m", "v1.0.0", stdout, stderr, errors.New("exit status 1"))
		require.Error(t, err)
		require.Less(t, len(err.Error()), 1000)
		require.NotContains(t, err.Error(), "\n")
		require.NotContains(t, err.Error(), ":S3CRET@")
		_, unknown := errors.AsType[*NotFoundError](err)
		_, failed := errors.AsType[*FailedError](err)
		require.True(t, unknown != failed)
	})
}

// What passes for an answer of a checksum database is a tile of the right length, or a record that its client can read.
func FuzzIsAnswer(f *testing.F) {
	f.Add("/tile/8/0/000.p/1", make([]byte, tlog.HashSize))
	f.Add("/tile/30/0/000", []byte{})
	f.Add("/lookup/example.com/m@v1.0.0", []byte("1\nexample.com/m v1.0.0 h1:x\n\ntree\n"))
	f.Add("/lookup/example.com/m@v1.0.0", []byte("<html>"))
	f.Add("/latest", []byte("-1\n\n\n"))
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		if !isAnswer(path, data) {
			return
		}
		if tile, err := tlog.ParseTilePath(strings.TrimPrefix(path, "/")); err == nil {
			require.Len(t, data, tile.W*tlog.HashSize)
			return
		}
		_, text, _, err := tlog.ParseRecord(data)
		require.NoError(t, err)
		require.NotContains(t, string(text), "\n\n")
	})
}
