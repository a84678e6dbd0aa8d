package upstream

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"unicode"

	"olympus/internal/circuit"
)

// ErrTooLarge is in the chain of a *FailedError if an answer was larger than what is taken.
var ErrTooLarge = errors.New("larger than the limit")

// errStalled ends a request whose answer does not come, or not on.
var errStalled = fmt.Errorf("no progress: %w", os.ErrDeadlineExceeded)

// NotFoundError says that a module or a version is unknown to all who were asked, and that they could be asked. It
// matches fs.ErrNotExist.
type NotFoundError struct {
	Path    string // module path
	Version string // version or version query; empty when the versions were asked for
	Reason  string // what the last one said
}

func (e *NotFoundError) Error() string {
	if e.Version == "" {
		return "module " + e.Path + ": not found: " + e.Reason
	}
	return "module " + e.Path + "@" + e.Version + ": not found: " + e.Reason
}

// Is makes a NotFoundError match fs.ErrNotExist.
func (e *NotFoundError) Is(target error) bool { return target == fs.ErrNotExist }

// FailedError says that a place could not be asked or gave no usable answer: nothing is known about the module.
type FailedError struct {
	URL    string // what was asked for, without credentials, or "direct"
	Status int    // HTTP status, 0 if there was no answer
	Err    error  // why it failed, or what the answer said; may be nil if there is a status

	unreached bool // no answer began
}

func (e *FailedError) Error() string {
	text := e.URL
	if e.Status != 0 {
		text += fmt.Sprintf(": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *FailedError) Unwrap() error { return e.Err }

// Timeout is true if the place was too slow to answer, and false if it answered uselessly.
func (e *FailedError) Timeout() bool {
	if last, ok := errors.AsType[*circuit.OpenError](e.Err); ok {
		// It was not asked, for a reason that holds on.
		earlier, ok := errors.AsType[*FailedError](last.Last)
		return ok && earlier.Timeout()
	}
	if e.Status == http.StatusGatewayTimeout || errors.Is(e.Err, context.DeadlineExceeded) || errors.Is(e.Err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](e.Err)
	return ok && timeout.Timeout()
}

// ChecksumError says that a module is not what the checksum database says it is, or that the database contradicts
// itself. One of the two is lying: the module must not be served.
type ChecksumError struct {
	Path    string // module path
	Version string // canonical version
	Reason  string // may have several lines, evidence of what a checksum database signed
}

func (e *ChecksumError) Error() string {
	return "module " + e.Path + "@" + e.Version + ": security error: " + e.Reason
}

// isMissing is true for the answers that stand for "not here" in the protocol.
func isMissing(err error) bool {
	failed, ok := errors.AsType[*FailedError](err)
	return ok && (failed.Status == http.StatusNotFound || failed.Status == http.StatusGone)
}

// credentials are what comes before the host in a URL.
var credentials = regexp.MustCompile(`://[^/@\s]*@`)

// redact removes the credentials from all URLs in a text, whether they are well-formed or not.
func redact(text string) string { return credentials.ReplaceAllString(text, "://") }

// allCredentials are what may come before the host in a setting that is one URL, and perhaps none that is well-formed: a password may hold
// anything, slashes and "@" too.
var allCredentials = regexp.MustCompile(`(?s)://.*@`)

// redactSetting is redact for a setting.
func redactSetting(text string) string { return allCredentials.ReplaceAllString(text, "://") }

// firstLine is the first line of what someone else wrote, short and safe to print.
func firstLine(text string) string {
	const most = 300
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
