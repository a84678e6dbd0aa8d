package tracing

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

const (
	wanted   = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	unwanted = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
)

func open(t *testing.T, endpoint string) *Tracer {
	t.Helper()
	tracer, err := Open(t.Context(), Options{Endpoint: endpoint, Service: "olympus"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = tracer.Close() })
	return tracer
}

func peerHeader(parent string) http.Header { return http.Header{Header: {parent}} }

// What is off costs nothing and changes nothing.
func TestOff(t *testing.T) {
	var off *Tracer
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		begun, end := off.Start(ctx, "hit")
		end(nil)
		_ = Parent(begun)
	}))
	require.Equal(t, ctx, off.FromPeer(ctx, peerHeader(wanted)))
	require.Equal(t, ctx, off.Continue(ctx, wanted))
	require.NoError(t, off.Close())
}

func TestParentAndContinue(t *testing.T) {
	t.Parallel()
	tracer := open(t, "http://127.0.0.1:1")
	ctx, end := tracer.Start(t.Context(), "first")
	parent := Parent(ctx)
	require.Len(t, parent, len(wanted))
	next, endNext := tracer.Start(tracer.Continue(t.Context(), parent), "next")
	require.Equal(t, trace.SpanContextFromContext(ctx).TraceID(), trace.SpanContextFromContext(next).TraceID())
	endNext(errors.New("failed"))
	end(nil)
	require.Empty(t, Parent(t.Context()))
}

// A header that is none, or says that the peer does not trace, leads to nothing of the peer's.
func TestFromPeerIsNotTrusted(t *testing.T) {
	t.Parallel()
	tracer := open(t, "http://127.0.0.1:1")
	for _, header := range []string{
		"", "garbage", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
		"ff" + wanted[2:], wanted + "-x", strings.ToUpper(wanted), wanted + "\r\nx: y", strings.Repeat(wanted, 100),
	} {
		require.Equal(t, t.Context(), tracer.FromPeer(t.Context(), peerHeader(header)), "%.200q", header)
	}
	ctx, end := tracer.Start(tracer.FromPeer(t.Context(), peerHeader(unwanted)), "push received")
	defer end(nil)
	require.Empty(t, Parent(ctx))
}

// However much a peer wants traced: not more than the rate, and what begins here is not held up by it.
func TestPeersAreBounded(t *testing.T) {
	t.Parallel()
	tracer := open(t, "http://127.0.0.1:1")
	began, sampled := time.Now(), 0
	for range 10_000 {
		ctx, end := tracer.Start(tracer.FromPeer(t.Context(), peerHeader(wanted)), "push received")
		if Parent(ctx) != "" {
			sampled++
			_, endChild := tracer.Start(ctx, "append")
			endChild(nil)
		}
		end(nil)
	}
	require.Positive(t, sampled)
	require.LessOrEqual(t, float64(sampled), 2*peerTracesPerSecond+peerTracesPerSecond*(1+time.Since(began).Seconds()))
	ctx, end := tracer.Start(t.Context(), "miss")
	defer end(nil)
	require.NotEmpty(t, Parent(ctx))
}

// A collector that is down, or hangs, keeps nobody waiting: not the work, and not the end of the process for long.
func TestCollectorThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); hanging.CloseClientConnections(); hanging.Close() })
	for name, url := range map[string]string{"down": "http://127.0.0.1:1", "hangs": hanging.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer := open(t, url)
			ctx, end := tracer.Start(t.Context(), "miss")
			began := time.Now()
			for range 4 * queued {
				_, end := tracer.Start(ctx, "check")
				end(nil)
			}
			end(nil)
			require.Less(t, time.Since(began), 5*time.Second)
			began = time.Now()
			require.NoError(t, tracer.Close())
			require.Less(t, time.Since(began), closeTimeout+3*time.Second)
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Options{Endpoint: "http://user:secret@"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestLogHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&b, nil))).With("a", "b")
	tracer := open(t, "http://127.0.0.1:1")
	ctx, end := tracer.Start(t.Context(), "miss")
	defer end(nil)
	log.InfoContext(ctx, "with")
	require.Contains(t, b.String(), "a=b trace_id="+trace.SpanContextFromContext(ctx).TraceID().String())
	b.Reset()
	log.Info("without")
	ctx, end = tracer.Start(tracer.FromPeer(context.Background(), peerHeader(unwanted)), "not sent")
	defer end(nil)
	log.InfoContext(ctx, "without")
	require.NotContains(t, b.String(), "trace_id")
}
