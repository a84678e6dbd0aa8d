package worker

import "context"

// Progress hears how far a long piece of work has come. Both functions may be called from several goroutines.
type Progress struct {
	// Begin says that a part of the work begins, what is counted in it, in the plural, and how many there are in all; 0 if nobody knows.
	Begin func(what string, total int64)
	// Add counts what has been done since, and the bytes of zips that were read for it.
	Add func(done, bytes int64)
}

type progressKey struct{}

// WithProgress returns a context in which Verify, Replay and Pull tell how far they have come.
func WithProgress(ctx context.Context, p Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

// progressOf returns who wants to hear of progress, or one who does not listen.
func progressOf(ctx context.Context) Progress {
	if p, ok := ctx.Value(progressKey{}).(Progress); ok {
		return p
	}
	return Progress{Begin: func(string, int64) {}, Add: func(int64, int64) {}}
}
