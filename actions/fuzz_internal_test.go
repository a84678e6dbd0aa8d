package actions

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"olympus/internal/protocol"
	"olympus/internal/transparency"
)

// What is read as a version is one, and both of its spellings lead to it.
func FuzzModuleVersion(f *testing.F) {
	for _, seed := range []string{
		"example.com/m@v1.0.0", "example.com/!m@v1.0.0-!r!c", "example.com/M@v1.0.0-RC", "example.com/m@v2.0.0+incompatible", "example.com/m@v1", "@", "a@b@c",
		"example.com/m@v1.0.0/../x", "example.com/!M@v1.0.0", "example.com/m@v1.0.0\n", "example.com/con@v1.0.0",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path, version, err := moduleVersion(text)
		if err != nil {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, statusOf(err))
			return
		}
		require.NoError(t, module.Check(path, version))
		require.LessOrEqual(t, len(path), protocol.MaxPathBytes)
		require.LessOrEqual(t, len(version), protocol.MaxVersionBytes)
		escaped, err := module.EscapePath(path)
		require.NoError(t, err)
		escapedVersion, err := module.EscapeVersion(version)
		require.NoError(t, err)
		for _, spelling := range []string{path + "@" + version, escaped + "@" + escapedVersion} {
			p, v, err := moduleVersion(spelling)
			require.NoError(t, err)
			require.Equal(t, [2]string{path, version}, [2]string{p, v})
		}
	})
}

// A tile has one path, and none that is read lies beyond what a tree can have.
func FuzzParseTile(f *testing.F) {
	for _, seed := range []string{
		"tile/8/0/000", "tile/8/0/000.p/1", "tile/8/0/x001/234.p/255", "tile/8/data/000", "tile/8/63/000", "tile/30/0/000", "tile/8/0/x999/x999/x999/x999/x999/x999/999", "tile/8/0/0", "tile/8/0/000.p/256",
		"tile/8/-1/000", "tile/8/0/000/../001",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := parseTile(path)
		if err != nil {
			require.Contains(t, []int{http.StatusBadRequest, http.StatusNotFound}, statusOf(err))
			return
		}
		require.Equal(t, path, tile.Path())
		require.LessOrEqual(t, tile.W, transparency.TileWidth)
		require.Positive(t, tile.W)
		require.GreaterOrEqual(t, tile.N, int64(0))
		last := tile.N*transparency.TileWidth + int64(tile.W)
		require.Positive(t, last, "overflow")
	})
}

// A number of a query is within its bounds, and a number that is not says so in one line.
func FuzzNumber(f *testing.F) {
	for _, seed := range []string{"after=1", "after=-1", "after=", "after=1&after=x", "after=9223372036854775808", "limit=1", "after=+1", "after=0x1", "after=1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		n, err := number(query, "after", 7, 1000)
		if err != nil {
			require.Equal(t, http.StatusBadRequest, statusOf(err))
			require.False(t, strings.Contains(err.Error(), "\n"))
			return
		}
		require.GreaterOrEqual(t, n, int64(0))
		require.LessOrEqual(t, n, int64(1000))
	})
}

// FuzzSession: nobody is signed in by a cookie that was not made here.
func FuzzSession(f *testing.F) {
	token := rand.Text() // each process that fuzzes has one of its own
	s := newSessionSigner(token, "om.example.com", "https://om.example.com")
	w := httptest.NewRecorder()
	s.begin(w)
	cookie, err := http.ParseSetCookie(w.Header().Get("Set-Cookie"))
	require.NoError(f, err)
	other := newSessionSigner(token, "oa.example.com", "https://om.example.com")
	for _, value := range []string{cookie.Value, "", ".", "a.b", cookie.Value[:30], "AAAA" + cookie.Value[4:]} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: value})
		sent, _ := r.Cookie(cookie.Name)
		own, ok := s.of(r)
		require.Equal(t, sent != nil && sent.Value == cookie.Value, ok, "%q", value)
		_, elsewhere := other.of(r)
		require.False(t, elsewhere)
		require.Equal(t, ok, own.id != "")
		require.False(t, s.owns(own, value))
	})
}

// FuzzTakeForm: whatever a form holds becomes one JSON object of texts, without what is about the form itself.
func FuzzTakeForm(f *testing.F) {
	for _, body := range []string{"reason=why&form=t&back=%2Fpeers&sure=yes", "", "a=1&a=2", "%", "a;b", "reason=%00%ff%22", "form=x&FORM=y"} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r, err := takeForm(httptest.NewRequest(http.MethodPost, "/peers/om/pause", strings.NewReader(body)))
		if err != nil {
			require.Nil(t, r)
			return
		}
		var fields map[string]string
		require.NoError(t, json.NewDecoder(r.Body).Decode(&fields))
		for _, own := range []string{"form", "back", "sure"} {
			require.NotContains(t, fields, own)
		}
		require.NotNil(t, formOf(r.Context()))
	})
}
