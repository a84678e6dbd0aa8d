package peer_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

// page is an answer with the events after a position.
func page(after int64, events ...protocol.Event) string {
	var text []byte
	for _, e := range events {
		after++
		text = protocol.AppendLine(text, &protocol.Logged{Position: after, Event: e})
	}
	return string(protocol.AppendTail(text, after+7, after, ""))
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.String()
}

func TestEventLog(t *testing.T) {
	t.Parallel()
	text := page(41, added("v1.0.0"), deleted("v1.0.0", "leaked"))
	for name, handler := range map[string]http.HandlerFunc{
		"plain":    status(http.StatusOK, text),
		"identity": status(http.StatusOK, text, "Content-Encoding", "identity"),
		"gzip":     status(http.StatusOK, gzipped(t, text), "Content-Encoding", "gzip"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, handler)
			got, err := client.EventLog(t.Context(), o.target, 41, 500, 1900*time.Millisecond)
			require.NoError(t, err)
			require.Equal(t, &protocol.Page{
				Events: []protocol.Logged{
					{Position: 42, Event: added("v1.0.0")},
					{Position: 43, Event: deleted("v1.0.0", "leaked")},
				},
				Head: 50,
				Next: 43,
			}, got)
			r, _ := o.last(t)
			require.Equal(t, http.MethodGet, r.Method)
			require.Equal(t, "/eventlog?after=41&limit=500&wait=1", r.URL.String())
			require.Equal(t, "gzip", r.Header.Get("Accept-Encoding"))
		})
	}
}

func TestEventLogBelowAPath(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, peer.Options{}, status(http.StatusOK, page(0)))
	o.target.URL += "/olympus/"
	// The server, which is not below a path, takes it for a request to itself.
	got, err := client.EventLog(t.Context(), o.target, 0, 1, time.Hour)
	require.NoError(t, err)
	require.Equal(t, &protocol.Page{Head: 7}, got)
	r, _ := o.last(t)
	require.Equal(t, "/olympus/eventlog?after=0&limit=1&wait=30", r.URL.String())
}

func TestLongPoll(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"headers late": false, "headers early": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, impatient, func(w http.ResponseWriter, _ *http.Request) {
				if early {
					w.WriteHeader(http.StatusOK)
					_ = http.NewResponseController(w).Flush()
				}
				<-time.After(800 * time.Millisecond) // more than the timeouts for headers and standing still
				_, _ = io.WriteString(w, page(3))
			})
			_, err := client.EventLog(t.Context(), o.target, 3, 10, time.Second)
			require.NoError(t, err)
			_, err = client.EventLog(t.Context(), o.target, 3, 10, 0)
			require.ErrorIs(t, err, peer.ErrSlow, "the peer had no leave to wait")
		})
	}
}

func TestEventLogShortened(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		head    int64
	}{
		"head":         {status(http.StatusConflict, `{"head":7}`), 7},
		"empty log":    {status(http.StatusConflict, `{"head":0,"error":"after the end"}`), 0},
		"gzip":         {status(http.StatusConflict, gzipped(t, `{"head":7}`), "Content-Encoding", "gzip"), 7},
		"no head":      {status(http.StatusConflict, `{}`), -1},
		"negative":     {status(http.StatusConflict, `{"head":-7}`), -1},
		"not a number": {status(http.StatusConflict, `{"head":"7"}`), -1},
		"not JSON":     {status(http.StatusConflict, `conflict`), -1},
		"empty":        {status(http.StatusConflict, ``), -1},
		"odd encoding": {status(http.StatusConflict, `{"head":7}`, "Content-Encoding", "br"), -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, test.handler)
			_, err := client.EventLog(t.Context(), o.target, 9, 10, 0)
			var shortened *peer.ShortenedError
			require.ErrorAs(t, err, &shortened)
			require.Equal(t, peer.ShortenedError{After: 9, Head: test.head}, *shortened)
			require.ErrorContains(t, err, "9")
		})
	}
}

func TestEventLogRefusesBadPages(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"HTML":             status(http.StatusOK, "<html>log in</html>"),
		"empty":            status(http.StatusOK, ""),
		"no last line":     status(http.StatusOK, page(0, added("v1.0.0"))[:200]),
		"from elsewhere":   status(http.StatusOK, page(5, added("v1.0.0"))),
		"more than asked":  status(http.StatusOK, page(0, added("v1.0.0"), added("v1.0.1"), added("v1.0.2"))),
		"not gzip":         status(http.StatusOK, page(0), "Content-Encoding", "gzip"),
		"gzip cut short":   status(http.StatusOK, gzipped(t, page(0, added("v1.0.0")))[:100], "Content-Encoding", "gzip"),
		"unknown encoding": status(http.StatusOK, page(0), "Content-Encoding", "zstd"),
		"broken off":       status(http.StatusOK, page(0), "Content-Length", "1000"),
		"no content":       status(http.StatusNoContent, ""),
		"redirect":         status(http.StatusFound, "", "Location", "/eventlog2"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, handler)
			got, err := client.EventLog(t.Context(), o.target, 0, 2, 0)
			require.ErrorContains(t, err, "GET "+o.URL+"/eventlog?after=0")
			require.Nil(t, got)
			require.Equal(t, 1, o.count())
		})
	}
}
