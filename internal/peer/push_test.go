package peer_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

func TestPush(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, peer.Options{}, status(http.StatusAccepted, `{"accepted":2}`))
	events := []protocol.Event{added("v1.0.0"), deleted("v1.0.0", "leaked")}
	require.NoError(t, client.Push(t.Context(), o.target, events))

	r, body := o.last(t)
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, "/push", r.URL.String())
	require.Equal(t, "application/json", r.Header.Get("Content-Type"))
	require.Equal(t, int64(len(body)), r.ContentLength)
	got, err := protocol.ParsePush(body)
	require.NoError(t, err)
	require.Equal(t, events, got)
}

func TestPushTooLarge(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, peer.Options{}, status(http.StatusAccepted, ""))
	large := added("v1.0.0")
	large.Mod += strings.Repeat("\n", protocol.MaxModBytes-len(large.Mod)) // each is two bytes of JSON
	err := client.Push(t.Context(), o.target, []protocol.Event{large})
	require.ErrorIs(t, err, protocol.ErrTooLarge)
	require.Zero(t, o.count())
}

func TestPushRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    peer.StatusError
	}{
		"malformed": {status(http.StatusBadRequest, "event 0: malformed time\nand more"),
			peer.StatusError{Status: 400, Message: "event 0: malformed time"}},
		"busy": {status(http.StatusTooManyRequests, "slow down", "Retry-After", "7"),
			peer.StatusError{Status: 429, Message: "slow down", RetryAfter: 7 * time.Second}},
		"away for ever": {status(http.StatusServiceUnavailable, "", "Retry-After", "99999999999999999999"),
			peer.StatusError{Status: 503, RetryAfter: time.Hour}},
		"back in the past": {status(http.StatusServiceUnavailable, "", "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT"),
			peer.StatusError{Status: 503}},
		"back far ahead": {status(http.StatusServiceUnavailable, "", "Retry-After", "Mon, 02 Jan 2096 15:04:05 GMT"),
			peer.StatusError{Status: 503, RetryAfter: time.Hour}},
		"odd delay": {status(http.StatusServiceUnavailable, "", "Retry-After", "-7"), peer.StatusError{Status: 503}},
		"problem": {status(http.StatusForbidden, `{"detail":"om.example.com is paused here\nand more","status":403}`, "Content-Type", "application/problem+json"),
			peer.StatusError{Status: 403, Message: "om.example.com is paused here"}},
		"problem without words": {status(http.StatusForbidden, `{"status":403}`, "Content-Type", "application/problem+json"),
			peer.StatusError{Status: 403, Message: `{"status":403}`}},
		"broken problem": {status(http.StatusForbidden, `{"detail":7}`, "Content-Type", "application/problem+json"),
			peer.StatusError{Status: 403, Message: `{"detail":7}`}},
		"only OK": {status(http.StatusOK, `{"accepted":1}`), peer.StatusError{Status: 200, Message: `{"accepted":1}`}},
		"HTML": {status(http.StatusBadGateway, "<html>\n<b>bad gateway</b>", "Content-Type", "text/html; charset=utf-8"),
			peer.StatusError{Status: 502}},
		"control characters": {status(http.StatusForbidden, "\n \x1b[31mred\x00\u202ealert\xff\r\nx"),
			peer.StatusError{Status: 403, Message: "[31mred  alert"}},
		"long": {status(http.StatusForbidden, strings.Repeat("ä", 5000)),
			peer.StatusError{Status: 403, Message: strings.Repeat("ä", 150)}},
		"cut in a character": {status(http.StatusForbidden, "x"+strings.Repeat("ä", 5000)),
			peer.StatusError{Status: 403, Message: "x" + strings.Repeat("ä", 149)}},
		"redirect": {status(http.StatusTemporaryRedirect, "", "Location", "/elsewhere"), peer.StatusError{Status: 307}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, test.handler)
			err := client.Push(t.Context(), o.target, []protocol.Event{added("v1.0.0")})
			var got *peer.StatusError
			require.ErrorAs(t, err, &got)
			test.want.Method, test.want.URL = http.MethodPost, o.URL+"/push"
			require.Equal(t, test.want, *got)
			require.ErrorContains(t, err, http.StatusText(got.Status))
			require.Equal(t, 1, o.count())
		})
	}
}

// TestStranger signs with a key that the peer does not know.
func TestStranger(t *testing.T) {
	t.Parallel()
	o, _ := newOther(t, peer.Options{}, status(http.StatusAccepted, ""))
	_, stranger := newOther(t, peer.Options{}, status(http.StatusAccepted, ""))
	for _, name := range []string{"push", "event log", "module", "zip", "has zip"} {
		var refused *peer.StatusError
		require.ErrorAs(t, requests[name](t.Context(), stranger, o.target), &refused, name)
		require.Equal(t, http.StatusUnauthorized, refused.Status)
	}
	require.Zero(t, o.count())
}

func TestBadTargetURL(t *testing.T) {
	t.Parallel()
	_, client := newOther(t, peer.Options{}, status(http.StatusOK, ""))
	for name, send := range requests {
		require.ErrorContains(t, send(t.Context(), client, peer.Target{Name: "oa", URL: "oa.example.com"}), "http://", name)
	}
}
