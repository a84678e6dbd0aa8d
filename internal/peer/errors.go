package peer

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"

	"olympus/internal/protocol"
)

var (
	// ErrNotFound says that the peer answered, and does not have what it was asked for.
	ErrNotFound = errors.New("not found at the peer")

	// ErrOtherBytes says that the peer holds a zip of this version, and not the one that is wanted.
	ErrOtherBytes = errors.New("the peer holds other bytes")

	// ErrTooLarge says that an answer has more bytes than we take.
	ErrTooLarge = errors.New("the answer is too large")

	// ErrRedirected says that the peer sent us where we do not go.
	ErrRedirected = errors.New("redirected")

	// ErrSlow says that the peer used up our patience: it did not answer, or fell silent, or dripped.
	ErrSlow = errors.New("the peer is too slow")
)

const (
	maxMessageBytes = 300       // of a peer's words, in a StatusError
	maxErrorBody    = 4 << 10   // read of the body of a refusal
	maxRetryAfter   = time.Hour // a peer cannot silence us for longer
)

// StatusError is an answer with another status than the one hoped for.
type StatusError struct {
	Method, URL string
	Status      int           // HTTP status code
	Message     string        // detail of a problem, else first line of the answer: printable, at most 300 bytes, empty for HTML
	RetryAfter  time.Duration // from the header of that name, at most an hour; 0 if there is none
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// ShortenedError says that a peer's log ends before the position that we have read already. A log only ever grows, so
// the peer was restored from an older copy, or lies.
type ShortenedError struct {
	After int64 // the position we asked after
	Head  int64 // its last position now, as the peer says; -1 if it does not
}

func (e *ShortenedError) Error() string {
	if e.Head < 0 {
		return fmt.Sprintf("the peer's log ends before position %d", e.After)
	}
	return fmt.Sprintf("the peer's log ends at position %d, before %d", e.Head, e.After)
}

// statusError reads why the peer refused, as far as it says. The caller still closes the body.
func statusError(call call, resp *http.Response) error {
	method, url, _ := strings.Cut(call.String(), " ")
	return &StatusError{
		Method:     method,
		URL:        url,
		Status:     resp.StatusCode,
		Message:    message(resp),
		RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
}

// message is best effort: a body that cannot be read says nothing.
func message(resp *http.Response) string {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "text/html" {
		return "" // some proxy's page
	}
	body, err := content(resp, maxErrorBody)
	if err != nil {
		return ""
	}
	text, _ := io.ReadAll(io.LimitReader(body, maxErrorBody))
	var problem struct {
		Detail string `json:"detail"`
	}
	if kind == protocol.ProblemType && json.Unmarshal(text, &problem) == nil && problem.Detail != "" {
		text = []byte(problem.Detail)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	line = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, line)
	if len(line) > maxMessageBytes {
		// Cutting may halve a character.
		line = strings.ToValidUTF8(line[:maxMessageBytes], "")
	}
	return strings.TrimSpace(line)
}

// retryAfter reads seconds or a date (RFC 9110, 10.2.3).
func retryAfter(value string, now time.Time) time.Duration {
	var wait time.Duration
	// A number out of range is returned as the largest one.
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		wait = time.Duration(min(seconds, uint64(maxRetryAfter.Seconds()))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// notFound is how a peer says that it does not have something. 410 is for what it had.
func notFound(resp *http.Response) bool {
	return resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone
}
