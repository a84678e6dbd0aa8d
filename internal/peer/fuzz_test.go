package peer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
)

// What a peer says of a version and is believed can be recorded, is about that version, and is what any JSON library reads.
func FuzzParseModule(f *testing.F) {
	const path, version = "example.com/m", "v1.0.0"
	event := func(position string, more string) string {
		return `{"position":` + position + `,"kind":"delete","module":"example.com/m","version":"v1.0.0","origin":"om.example.com",` +
			`"time":"2026-11-22T12:00:00.000001Z"` + more + `}`
	}
	answer := func(events string) []byte {
		return []byte(`{"module":"example.com/m","version":"v1.0.0","held":true,"events":[` + events + `]}`)
	}
	f.Add(answer(""))
	f.Add(answer(event("3", "") + "," + event("9", `,"reason":"leaked"`)))
	f.Add(answer(event("9", "") + "," + event("3", "")))
	f.Add(answer(event("1.0", "") + "," + event("2e0", "")))
	f.Add(answer(event("4611686018427387904", "") + "," + event("9223372036854775807", "")))
	f.Add(answer(event("0", "")))
	f.Add(answer(event("1", `,"Position":2`)))
	f.Add(answer(event("1", "}\n{\"head\":1,\"next\":1")))
	f.Add([]byte(`{"module":"example.com/m","version":"v1.0.0","module":"example.com/n"}`))
	f.Add([]byte(`{"Module":"example.com/m","VERSION":"v1.0.0"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		events, held, err := parseModule(append([]byte(nil), body...), path, version)
		if err != nil {
			require.Nil(t, events)
			require.False(t, held)
			return
		}
		var read struct {
			Events []struct {
				Position int64
				Kind     protocol.Kind
				Reason   string
			}
		}
		require.NoError(t, json.Unmarshal(body, &read))
		require.Len(t, read.Events, len(events))
		last := int64(0)
		for i, e := range events {
			require.NoError(t, e.Validate())
			require.Equal(t, [2]string{path, version}, [2]string{e.Module, e.Version})
			require.Greater(t, e.Position, last)
			last = e.Position
			require.Equal(t, read.Events[i].Position, e.Position)
			require.Equal(t, read.Events[i].Kind, e.Kind)
			require.Equal(t, read.Events[i].Reason, e.Reason)
		}
	})
}

// Who a deployment says to be, where, and with which key are three names for one thing.
func FuzzParseDescription(f *testing.F) {
	_, vkey, err := signature.GenerateKey("oa.example.com")
	require.NoError(f, err)
	f.Add([]byte(`{"name":"oa.example.com","url":"https://oa.example.com","key":"` + vkey + `"}`))
	f.Add([]byte(`{"name":"og.example.com","url":"https://oa.example.com","key":"` + vkey + `"}`))
	f.Add([]byte(`{"name":"oa.example.com","url":"https://u:p@oa.example.com","key":"` + vkey + `","more":{}}`))
	f.Add([]byte(`{"name":"oa.example.com","NAME":"og.example.com"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := parseDescription(body)
		if err != nil {
			require.Zero(t, d)
			return
		}
		require.NoError(t, protocol.ValidateName(d.Name))
		name, _, _, err := signature.ParseVerifierKey(d.Key)
		require.NoError(t, err)
		require.Equal(t, d.Name, name)
		normal, err := ParseURL(d.URL)
		require.NoError(t, err)
		require.Equal(t, d.URL, normal)
	})
}

// A redirect leads to the peer or to its storage host, and to nobody else; signed requests go to the peer only.
func FuzzFollow(f *testing.F) {
	for _, seed := range []string{
		"/x", "https://oa.example.com/x", "https://OA.example.com:443/x", "//s3.example.com/x?sig=y", "https://oa.example.com@169.254.169.254/",
		"https://169.254.169.254\\@oa.example.com/", "https:oa.example.com", "https://oa.example.com.evil.example", "http://oa.example.com/", "https://[::1]/",
		"https://s3.example.com:443@x/", "///x", "\thttps://evil.example/", "https://oa.example.com:0443/", "?x#y", "https://oa.example.com:", "https://s3.example.com%00/",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	target := Target{URL: "https://oa.example.com/olympus", StorageHost: "s3.example.com"}
	f.Fuzz(func(t *testing.T, location string, atStorage bool) {
		from := call{method: http.MethodGet, url: "https://oa.example.com/olympus/example.com/m/@v/v1.0.0.zip"}
		if atStorage {
			from = call{method: http.MethodGet, url: "https://s3.example.com/a/b", unsigned: true}
		}
		got, err := follow(target, from, &http.Response{Header: http.Header{"Location": {location}}})
		if err != nil {
			require.ErrorIs(t, err, ErrRedirected)
			return
		}
		// The address as the client will dial it.
		req, err := http.NewRequest(got.method, got.url, nil)
		if err != nil {
			return // nothing is sent
		}
		require.Equal(t, "https", req.URL.Scheme)
		require.Nil(t, req.URL.User)
		host := strings.ToLower(req.URL.Hostname())
		if got.unsigned {
			require.Equal(t, "s3.example.com", host)
			require.Nil(t, got.header)
		} else {
			require.Equal(t, "oa.example.com", host)
		}
		require.Contains(t, []string{"", "443"}, req.URL.Port())
	})
}

// How long a peer wants to be left alone is bounded, whatever it says.
func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for _, seed := range []string{"", "3", "-1", "99999999999999999999", "1e3", "Sun, 22 Nov 2026 12:00:30 GMT", "Sun, 22 Nov 0001 12:00:30 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		wait := retryAfter(value, now)
		require.GreaterOrEqual(t, wait, time.Duration(0))
		require.LessOrEqual(t, wait, maxRetryAfter)
	})
}

// A bundle of entries is taken apart into as many as were asked for, or refused; put together again they are the bundle.
func FuzzEntries(f *testing.F) {
	var bundle atomic.Pointer[[]byte]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(*bundle.Load())
	}))
	f.Cleanup(server.Close)
	skey, vkey, err := signature.GenerateKey("oa.example.com")
	require.NoError(f, err)
	signer, err := signature.NewSigner(skey)
	require.NoError(f, err)
	client := NewClient(signer, Options{Loopback: true})
	f.Cleanup(client.Close)
	f.Add([]byte("\x00\x03abc\x00\x00\x00\x01x"), uint8(3))
	f.Add([]byte("\x00\x03abc\x00\x00\x00\x01x"), uint8(2))
	f.Add([]byte("\xff\xffabc"), uint8(1))
	f.Add([]byte("\x00"), uint8(1))
	f.Add([]byte{}, uint8(1))
	f.Fuzz(func(t *testing.T, content []byte, width uint8) {
		bundle.Store(&content)
		entries, err := client.Entries(t.Context(), Target{Name: "oa.example.com", URL: server.URL, Key: vkey}, 0, 1+int(width))
		if err != nil {
			require.Nil(t, entries)
			return
		}
		require.Len(t, entries, 1+int(width))
		var again []byte
		for _, e := range entries {
			again = append(binary.BigEndian.AppendUint16(again, uint16(len(e))), e...)
		}
		require.Equal(t, string(content), string(again))
	})
}

// The words of a peer that end up in our logs and pages are one short line that can be printed.
func FuzzMessage(f *testing.F) {
	f.Add("no such version\nand more", "text/plain; charset=utf-8")
	f.Add("<html>", "text/html; charset=utf-8")
	f.Add(`{"detail":"no such version\u001b[31m\nand more","status":404}`, protocol.ProblemType)
	f.Add("\x1b[31mred\x00\xff\u202e", "")
	f.Add(strings.Repeat("é", maxMessageBytes), "text/plain")
	f.Fuzz(func(t *testing.T, body, kind string) {
		text := message(&http.Response{
			StatusCode: http.StatusBadGateway, Header: http.Header{"Content-Type": {kind}}, Body: readCloser{strings.NewReader(body)},
			Request: &http.Request{URL: &url.URL{}},
		})
		require.LessOrEqual(t, len(text), maxMessageBytes)
		require.True(t, strings.ToValidUTF8(text, "") == text, "%q", text)
		require.False(t, strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }), "%q", text)
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return errors.ErrUnsupported }

// FuzzParseGreeting: what a peer says of itself and us is bounded, and whoever it is has a name.
func FuzzParseGreeting(f *testing.F) {
	f.Add([]byte(`{"name":"oa.example.com","time":"2026-11-23T13:10:11.120394Z","you":"om.example.com","fault":""}`))
	f.Add([]byte(`{"name":"oa.example.com","fault":"` + strings.Repeat("x", 1000) + `"}`))
	f.Add([]byte(`{"name":"oa.example.com","NAME":"og.example.com"}`))
	f.Add([]byte(`{"time":"yesterday"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		g, err := parseGreeting(body)
		if err != nil {
			require.Zero(t, g)
			return
		}
		require.NoError(t, protocol.ValidateName(g.Name))
		require.LessOrEqual(t, len(g.Fault), maxMessageBytes)
	})
}
