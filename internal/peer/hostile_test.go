package peer_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

// zipLimit is the largest zip that tests accept.
const zipLimit = 1 << 20

// requests are all the ways in which a client waits for a peer.
var requests = map[string]func(context.Context, *peer.Client, peer.Target) error{
	"push": func(ctx context.Context, c *peer.Client, t peer.Target) error {
		return c.Push(ctx, t, []protocol.Event{added("v1.0.0")})
	},
	"event log": func(ctx context.Context, c *peer.Client, t peer.Target) error {
		_, err := c.EventLog(ctx, t, 0, 100, 0)
		return err
	},
	"module": func(ctx context.Context, c *peer.Client, t peer.Target) error {
		_, _, err := c.Module(ctx, t, modPath, "v1.0.0")
		return err
	},
	"zip": func(ctx context.Context, c *peer.Client, t peer.Target) error {
		return c.Zip(ctx, t, modPath, "v1.0.0", "", zipLimit, io.Discard)
	},
	"describe": func(ctx context.Context, c *peer.Client, t peer.Target) error {
		_, err := c.Describe(ctx, t.URL)
		return err
	},
	"has zip": func(ctx context.Context, c *peer.Client, t peer.Target) error {
		_, err := c.HasZip(ctx, t, modPath, "v1.0.0")
		return err
	},
}

func TestHostilePeerIsCut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    error
		says    string
		spares  []string // requests that do not look at the body, or need not
	}{
		"hangs before headers": {handler: hang(""), want: peer.ErrSlow, says: "no answer"},
		"hangs in the body": {handler: hang("{"), want: peer.ErrSlow, says: "stood still",
			spares: []string{"push", "has zip"}},
		"drips": {handler: drip(" "), want: peer.ErrSlow, says: "bytes in", spares: []string{"push", "has zip"}},
		"endless body": {handler: endless(), want: peer.ErrTooLarge,
			spares: []string{"push", "has zip", "event log"}},
		"endless line": {handler: endless(), want: protocol.ErrTooLarge,
			spares: []string{"push", "has zip", "module", "zip", "describe"}},
		"announces too much": {handler: endless("Content-Length", "1000000000000"), want: peer.ErrTooLarge,
			spares: []string{"push", "has zip", "event log"}},
	} {
		spared := map[string]bool{}
		for _, request := range test.spares {
			spared[request] = true
		}
		for request, send := range requests {
			if spared[request] {
				continue
			}
			t.Run(name+"/"+request, func(t *testing.T) {
				t.Parallel()
				o, client := newOther(t, impatient, func(w http.ResponseWriter, r *http.Request) {
					// A push is over with its status.
					if r.Method == http.MethodPost && test.says != "no answer" {
						w.WriteHeader(http.StatusTeapot)
					}
					test.handler(w, r)
				})
				start := time.Now()
				err := send(t.Context(), client, o.target)
				require.ErrorIs(t, err, test.want)
				require.ErrorContains(t, err, test.says)
				require.Less(t, time.Since(start), 20*time.Second)
			})
		}
	}
}

// TestSteadyPeerIsNotCut sends more slowly than the limits of time, and faster than the limit of rate.
func TestSteadyPeerIsNotCut(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, impatient, func(w http.ResponseWriter, _ *http.Request) {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for range 80 {
			_, _ = w.Write(make([]byte, 200))
			_ = http.NewResponseController(w).Flush()
			<-tick.C
		}
	})
	var got bytes.Buffer
	require.NoError(t, client.Zip(t.Context(), o.target, modPath, "v1.0.0", "", zipLimit, &got))
	require.Equal(t, 16000, got.Len())
}

// TestPushToPeerThatHangsAfterItsPromise must not wait for what nobody needs.
func TestPushToPeerThatHangsAfterItsPromise(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, peer.Options{}, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		hang("{")(w, r)
	})
	start := time.Now()
	require.NoError(t, requests["push"](t.Context(), client, o.target))
	require.Less(t, time.Since(start), 10*time.Second)
}

func TestRefusalThatHangsStillCounts(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, impatient, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		hang("busy\n")(w, r)
	})
	for _, send := range []string{"push", "event log", "module", "zip", "describe"} {
		t.Run(send, func(t *testing.T) {
			t.Parallel()
			var refused *peer.StatusError
			require.ErrorAs(t, requests[send](t.Context(), client, o.target), &refused)
			require.Equal(t, http.StatusServiceUnavailable, refused.Status)
			require.Equal(t, "busy", refused.Message)
		})
	}
}

func TestPeerThatIsNotThere(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, impatient, status(http.StatusOK, ""))
	o.Close()
	for name, send := range requests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, send(t.Context(), client, o.target), o.URL)
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{"before headers": hang(""), "in the body": hang("PK")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{})
			o, client := newOther(t, peer.Options{}, func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				handler(w, r)
			})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-arrived
				cancel()
			}()
			err := requests["zip"](ctx, client, o.target)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, peer.ErrSlow)
		})
	}
}

// member is a gzip stream of n zero bytes. Concatenated streams are one stream, which makes large ones cheap to build.
func member(t *testing.T, n int, header gzip.Header) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Header = header
	_, err := w.Write(make([]byte, n))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestGzipBomb(t *testing.T) {
	t.Parallel()
	bomb := bytes.Repeat(member(t, 1<<20, gzip.Header{}), 64)
	for name, test := range map[string]struct {
		send string
		want error
	}{
		"event log": {"event log", protocol.ErrTooLarge},
		"module":    {"module", peer.ErrTooLarge},
		"describe":  {"describe", peer.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, status(http.StatusOK, string(bomb), "Content-Encoding", "gzip"))
			require.ErrorIs(t, requests[test.send](t.Context(), client, o.target), test.want)
		})
	}

	// In an answer that is read for its first line only.
	o, client := newOther(t, peer.Options{}, status(http.StatusBadGateway, string(bomb), "Content-Encoding", "gzip"))
	var refused *peer.StatusError
	require.ErrorAs(t, requests["event log"](t.Context(), client, o.target), &refused)
	require.Empty(t, refused.Message)
}

// TestEndlessCompressedPage never grows large when unpacked, and yet has no end.
func TestEndlessCompressedPage(t *testing.T) {
	t.Parallel()
	empty := member(t, 0, gzip.Header{Extra: make([]byte, 60000)})
	o, client := newOther(t, peer.Options{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for {
			if _, err := w.Write(empty); err != nil {
				return
			}
		}
	})
	require.ErrorIs(t, requests["event log"](t.Context(), client, o.target), peer.ErrTooLarge)
}
