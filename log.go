package main

import (
	"context"
	"log/slog"

	"github.com/gobuffalo/pop/v6"
	"github.com/gobuffalo/pop/v6/logging"
	"go.opentelemetry.io/otel"
)

// quietPop makes pop, which has one logger for the process and writes to standard error, tell only who debugs what it does. Values are
// left out: some are secret and some are megabytes.
func quietPop(log *slog.Logger) {
	pop.SetTxLogger(func(_ logging.Level, _ any, text string, args ...any) {
		if log.Enabled(context.Background(), slog.LevelDebug) {
			log.Debug("pop", "statement", text, "values", len(args))
		}
	})
}

// tellTraces makes OpenTelemetry, which has one handler of errors for the process and writes to standard error, tell the log why traces
// were lost.
func tellTraces(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("could not send traces", "error", oneLine(err)) }))
}

// quieter is for what libraries have to say: their information is for who debugs.
type quieter struct{ slog.Handler }

// Enabled leaves out what is below a warning, unless everything is wanted.
func (q quieter) Enabled(ctx context.Context, level slog.Level) bool {
	return q.Handler.Enabled(ctx, level) && (level >= slog.LevelWarn || q.Handler.Enabled(ctx, slog.LevelDebug))
}

// WithAttrs keeps it quiet.
func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}

// WithGroup keeps it quiet.
func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }
