package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTraces(t *testing.T) {
	t.Parallel()
	key := "OLYMPUS_SIGNING_KEY=" + newKey(t, "olympus.localhost")
	for name, test := range map[string]struct {
		environ []string
		want    Traces
		refused string
	}{
		"off":                 {environ: []string{"OTEL_SERVICE_NAME=om"}},
		"a collector":         {environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318"}, want: Traces{Endpoint: "http://127.0.0.1:4318", Service: "olympus"}},
		"with a token":        {environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c.example.com/otlp", "OTEL_SERVICE_NAME=om", "OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20s3cret, x=y"}, want: Traces{Endpoint: "https://c.example.com/otlp", Service: "om", Headers: map[string]string{"Authorization": "Bearer s3cret", "x": "y"}}},
		"no URL":              {environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=127.0.0.1:4318"}, refused: "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"a password":          {environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://me:s3cret@c.example.com"}, refused: "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"a token in the URL":  {environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=https://c.example.com/?token=s3cret"}, refused: "OTEL_EXPORTER_OTLP_ENDPOINT"},
		"headers without “=”": {environ: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_HEADERS=s3cret"}, refused: "OTEL_EXPORTER_OTLP_HEADERS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := settings(t, append(test.environ, key)...)
			if test.refused != "" {
				require.ErrorContains(t, err, test.refused)
				require.NotContains(t, err.Error(), "s3cret")
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, c.Traces)
			require.NotContains(t, c.String(), "s3cret")
			for _, pair := range c.GoEnv {
				require.NotContains(t, pair, "OTEL_")
			}
		})
	}
}
