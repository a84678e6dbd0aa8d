package actions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"

	"olympus/internal/download"
	"olympus/internal/modzip"
	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/upstream"
	"olympus/models"
	"olympus/worker"
)

// statusError is an error that says which status it is answered with.
type statusError struct {
	status  int
	message string
	cause   error // may be nil
}

func (e *statusError) Error() string { return e.message }
func (e *statusError) Unwrap() error { return e.cause }

func badRequest(format string, args ...any) error {
	return &statusError{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) error {
	return &statusError{status: http.StatusNotFound, message: fmt.Sprintf(format, args...)}
}

func forbidden(format string, args ...any) error {
	return &statusError{status: http.StatusForbidden, message: fmt.Sprintf(format, args...)}
}

func unauthorized(format string, args ...any) error {
	return &statusError{status: http.StatusUnauthorized, message: fmt.Sprintf(format, args...)}
}

// statusOf is the one table from errors to statuses. What is not in it is a fault of ours: 500, never a 404, on which the go command
// would quietly go on to the next proxy.
func statusOf(err error) int {
	var own *statusError
	var malformed *protocol.MalformedError
	var badPath *download.Error
	var badSignature *signature.Error
	var failed *upstream.FailedError
	var checksum *upstream.ChecksumError
	var unknown *upstream.NotFoundError
	var jobState *worker.JobStateError
	var fromPeer *worker.PeerError
	switch {
	case errors.As(err, &own):
		return own.status
	case errors.As(err, &checksum), errors.Is(err, modzip.ErrInvalid):
		return http.StatusBadGateway
	case errors.As(err, &failed):
		if failed.Timeout() {
			return http.StatusGatewayTimeout
		}
		return http.StatusBadGateway
	case errors.As(err, &fromPeer):
		return http.StatusBadGateway
	case errors.As(err, &malformed), errors.As(err, &badPath), errors.Is(err, worker.ErrInvalid):
		return http.StatusBadRequest
	case errors.As(err, &badSignature):
		return http.StatusUnauthorized
	case errors.Is(err, protocol.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, worker.ErrDeleted):
		return http.StatusForbidden
	case errors.As(err, &jobState):
		return http.StatusConflict
	case errors.Is(err, worker.ErrTooManyPushes):
		return http.StatusTooManyRequests
	case errors.Is(err, worker.ErrOverloaded), errors.Is(err, worker.ErrStopping), models.IsUnavailable(err):
		return http.StatusServiceUnavailable
	case errors.As(err, &unknown), errors.Is(err, models.ErrNotFound): // not fs.ErrNotExist: that may be a file that is missing here
		return http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	}
	return http.StatusInternalServerError
}

// fail answers with an error as RFC 9457 has it, or as one line of text for who expects that. Errors of ours are logged, those of the
// client are not: it has been told.
func (a *App) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return // nobody is listening
	}
	if !wantsText(r) {
		a.problem(w, r, err)
		return
	}
	status := a.failing(w, r, err)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, told(err))
}

// wantsText reports whether the errors of a request are text: the go command shows what it gets of the download protocol and of checksum
// databases, a browser shows people what it gets, and deployments of earlier releases show the first line of what a peer says.
func wantsText(r *http.Request) bool {
	if isDownload(r) || strings.HasPrefix(r.URL.Path, "/sumdb/") {
		return true
	}
	accepts := strings.Join(r.Header.Values("Accept"), ",")
	return isSigned(r) && !strings.Contains(accepts, protocol.ProblemType) || strings.Contains(accepts, "text/html") && !wantsJSON(r)
}

// problem answers with an error as RFC 9457 has it. more are members besides those of every problem, as names and values.
func (a *App) problem(w http.ResponseWriter, r *http.Request, err error, more ...any) {
	status := a.failing(w, r, err)
	members := map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": told(err)}
	for i := 0; i+1 < len(more); i += 2 {
		members[more[i].(string)] = more[i+1]
	}
	body, _ := json.Marshal(members)
	w.Header().Set("Content-Type", protocol.ProblemType)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// failing sets the headers of an answer that is an error, and returns its status.
func (a *App) failing(w http.ResponseWriter, r *http.Request, err error) int {
	status := statusOf(err)
	switch {
	case status == http.StatusInternalServerError:
		a.Log.Error("could not answer", "method", r.Method, "path", r.URL.Path, "error", err)
	case status == http.StatusServiceUnavailable && models.IsUnavailable(err) && a.outages.Allow():
		// While the database is gone every request ends here, and is not told why.
		a.Log.Warn("could not ask the database", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	setErrorHeaders(w, status)
	return status
}

func setErrorHeaders(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Del("Etag")
	h.Del("Content-Length")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	switch status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		h.Set("Retry-After", "5")
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="olympus"`)
	}
}

// told is what a client is told of an error, in one line. Where our database and our files are is none of its business.
func told(err error) string {
	text := err.Error()
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		text = strings.ReplaceAll(text, file.Error(), fmt.Sprintf("%s a file of this deployment: %v", file.Op, file.Err))
	} else if statusOf(err) == http.StatusServiceUnavailable && models.IsUnavailable(err) {
		return "the database does not answer"
	}
	return oneLine(text)
}

// oneLine keeps what others wrote into an error from breaking out of its line.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), "; ")
}
