package actions

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"olympus/internal/protocol"
	"olympus/models"
)

const (
	defaultPage = 1000
	// longestWait bounds how long a reader at the head may wait for news.
	longestWait = 30 * time.Second
)

// eventlog answers a page of the event log after a position; a reader at the head may wait for news.
func (a *App) eventlog(w http.ResponseWriter, r *http.Request) {
	if err := a.page(w, r); err != nil {
		a.fail(w, r, err)
	}
}

func (a *App) page(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	after, err := number(query, "after", 0, 1<<62)
	if err != nil {
		return err
	}
	limit, err := number(query, "limit", defaultPage, 1<<31)
	if err != nil {
		return err
	}
	wait, err := number(query, "wait", 0, 1<<31)
	if err != nil {
		return err
	}
	limit = min(max(limit, 1), protocol.MaxPageEvents)
	head, err := models.Head(a.Deployment.DB.WithContext(r.Context()))
	if err != nil {
		return err
	}
	if after > head {
		// A problem for all, however old: that the head is in it is part of the protocol.
		beyond := fmt.Sprintf("after=%d is beyond the head %d", after, head)
		a.problem(w, r, &statusError{status: http.StatusConflict, message: beyond}, "head", head)
		return nil
	}
	if after == head && wait > 0 {
		done, err := a.shares.poll(r.Context(), readerOf(r.Context()))
		if err != nil {
			return err
		}
		a.awaitEvent(r.Context(), after, min(time.Duration(wait)*time.Second, longestWait))
		done()
	}
	done, err := a.shares.page(r.Context(), readerOf(r.Context()))
	if err != nil {
		return err
	}
	defer done()
	events, err := models.Events(a.Deployment.DB.WithContext(r.Context()), after, int(limit), protocol.MaxPageBytes)
	if err != nil {
		return err
	}
	if head, err = models.Head(a.Deployment.DB.WithContext(r.Context())); err != nil {
		return err
	}
	body, next := encodePage(events, after)
	checkpoint, signed, err := a.Deployment.CheckpointUpTo(r.Context(), next)
	if err != nil {
		return err
	}
	if signed < next {
		if signed < after {
			return &statusError{status: http.StatusServiceUnavailable, message: fmt.Sprintf("the log can be signed up to position %d at the moment", signed)}
		}
		if signed == after && wait > 0 {
			// There is news that cannot be signed yet. Who asked would ask again at once.
			a.awaitSigned(r.Context(), after, min(time.Duration(wait)*time.Second, longestWait))
		}
		body, next = encodePage(events[:signed-after], after)
		head = signed
	}
	body = protocol.AppendTail(body, max(head, next), next, string(checkpoint))
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Add("Vary", "Accept-Encoding")
	out := io.Writer(w)
	if acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		zw, _ := gzip.NewWriterLevel(w, gzip.BestSpeed) // fails only for levels that do not exist
		defer func() { _ = zw.Close() }()
		out = zw
	}
	if _, err = out.Write(body); err != nil {
		a.Log.Debug("a reader of the event log went away", "after", after, "error", err)
	}
	return nil
}

// encodePage encodes as many of the events as fit into a page, one at least, and returns the position of the last of them.
func encodePage(events []protocol.Logged, after int64) (page []byte, next int64) {
	next = after
	for i := range events {
		before := len(page)
		page = protocol.AppendLine(page, &events[i])
		if i > 0 && len(page) > protocol.MaxPageBytes {
			page = page[:before]
			break
		}
		next = events[i].Position
	}
	return page, next
}

// awaitEvent returns when the log has an event after a position, or the time is over.
func (a *App) awaitEvent(ctx context.Context, after int64, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		changed := a.Deployment.Follower.Changed()
		head, connected := a.Deployment.Follower.Head()
		if connected && head > after {
			return
		}
		// While the log cannot be followed, a reader waits no longer than it takes to be connected again.
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// awaitSigned returns when more of the log than up to a position can be signed, or the time is over.
func (a *App) awaitSigned(ctx context.Context, after int64, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
		if _, signed, err := a.Deployment.CheckpointUpTo(ctx, after+1); err == nil && signed > after {
			return
		}
	}
}

func acceptsGzip(r *http.Request) bool {
	for _, field := range r.Header.Values("Accept-Encoding") {
		for coding := range strings.SplitSeq(field, ",") {
			name, parameters, _ := strings.Cut(strings.TrimSpace(coding), ";")
			if strings.EqualFold(name, "gzip") && strings.ReplaceAll(parameters, " ", "") != "q=0" {
				return true
			}
		}
	}
	return false
}

// number reads a parameter that is a number from 0 to most.
func number(query url.Values, name string, otherwise, most int64) (int64, error) {
	if !query.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(query.Get(name), 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, badRequest("%s=%q: not a number from 0 to %d", name, query.Get(name), most)
	}
	return n, nil
}
