package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/internal/testmod"
)

// What is traced is sent to the collector of the settings, at the latest when the process stops.
func TestServeTraces(t *testing.T) {
	t.Parallel()
	var sent lines
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = sent.Write([]byte(r.URL.Path + " " + r.Header.Get("X-Token") + " " + string(body)))
	}))
	t.Cleanup(collector.Close)
	settings := testSettings(t, testmod.Module{Path: "example.com/m", Version: "v1.0.0"})
	settings.Traces = config.Traces{Endpoint: collector.URL + "/otlp", Headers: map[string]string{"X-Token": "s3cret"}, Service: "eu"}
	s := startServing(t, settings)
	status, body := s.get(t, "/example.com/m/@v/v1.0.0.zip")
	require.Equal(t, http.StatusOK, status, body)
	require.NoError(t, s.stop())
	// Names are plain text in protobuf.
	for _, what := range []string{"/otlp/v1/traces s3cret ", "om.example.com", "service.name", "eu", "fill", "example.com/m"} {
		require.Contains(t, sent.String(), what)
	}
	require.NotContains(t, s.log.String(), "s3cret")
}

// A collector that is down is no reason not to serve, nor to be slow to stop.
func TestServeWithoutCollector(t *testing.T) {
	t.Parallel()
	settings := testSettings(t, testmod.Module{Path: "example.com/m", Version: "v1.0.0"})
	settings.Traces = config.Traces{Endpoint: "http://127.0.0.1:1", Service: "olympus"}
	s := startServing(t, settings)
	status, body := s.get(t, "/example.com/m/@v/v1.0.0.zip")
	require.Equal(t, http.StatusOK, status, body)
	began := time.Now()
	require.NoError(t, s.stop())
	require.Less(t, time.Since(began), 15*time.Second)
	require.False(t, strings.Contains(s.log.String(), "level=ERROR"), s.log.String())
}
