package config

import (
	"errors"
	"net/url"
	"strings"
)

// Traces say where traces go. The names of the variables are those of the OpenTelemetry specification.
type Traces struct {
	Endpoint string            // OTEL_EXPORTER_OTLP_ENDPOINT: base URL of a collector; empty: nothing is traced
	Headers  map[string]string // OTEL_EXPORTER_OTLP_HEADERS: name=value,…, percent-encoded; secret
	Service  string            // OTEL_SERVICE_NAME
}

func (v *variables) traces() Traces {
	t := Traces{Endpoint: v.text("OTEL_EXPORTER_OTLP_ENDPOINT", "")}
	if t.Endpoint == "" {
		return t
	}
	t.Service = v.text("OTEL_SERVICE_NAME", "olympus")
	u, err := url.Parse(t.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		v.refuse("OTEL_EXPORTER_OTLP_ENDPOINT", hideQuery(t.Endpoint), "the base URL of a collector that takes OTLP over HTTP, without user and parameters (a token goes into OTEL_EXPORTER_OTLP_HEADERS)")
	}
	for pair := range strings.SplitSeq(v.text("OTEL_EXPORTER_OTLP_HEADERS", ""), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil {
			// The value is a secret and not shown.
			v.fail(errors.New("OTEL_EXPORTER_OTLP_HEADERS: want name=value, separated by commas, percent-encoded"))
			break
		}
		if t.Headers == nil {
			t.Headers = map[string]string{}
		}
		t.Headers[name] = value
	}
	return t
}
