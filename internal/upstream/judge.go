package upstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// unknownWords are what the go command and the version control systems say, in lower case, of what does not exist.
var unknownWords = []string{
	"not found", "unknown revision", "invalid version", "no matching versions", "410 gone", "no commits",
	"does not exist", "does not contain", "does not appear to be a git repository", "no go-import meta tag",
	"terminal prompts disabled", // how git puts it where a host asks for a login to anything it does not know
	"module declares its path as", "parsing go.mod", "missing module line", "go.mod has", "invalid github.com",
}

// failedWords are what they say, perhaps along with the above, when they could not find out.
var failedWords = []string{
	"timeout", "timed out", "refused", "connection reset", "resolve host", "no such host", "server misbehaving",
	"unreachable", "no route to host", "temporary failure", "unable to access", "failed to connect", "connect to host",
	"tls", "x509", "certificate", "eof", "hung up", "permission denied", "internal server error", "bad gateway",
	"service unavailable", "too many", "executable file not found", "command not found", "cache not found", "no space left",
}

// judge tells from what the go command said whether a module is unknown or could not be asked for: it has no exit
// status and no field for that. In doubt it is a failure, for an outage must not look like an absent module.
func judge(path, query string, stdout []byte, stderr string, err error) error {
	text := stderr
	var report struct{ Error string }
	if json.Unmarshal(stdout, &report) == nil && report.Error != "" {
		text = report.Error
	}
	words := strings.Fields(redact(strings.ToValidUTF8(text, "")))
	line := firstLine(strings.Join(words, " "))
	if line == "" {
		return &FailedError{URL: "direct", Err: fmt.Errorf("go command: %w", err)}
	}

	// Names do not count, whatever words they are made of: example.com/tls-timeout.
	words = slices.DeleteFunc(words, func(w string) bool {
		name := strings.Trim(w, `:,."'`)
		return strings.Contains(name, "/") && strings.ContainsAny(name, ".@") || name == path || name == query
	})
	prose := strings.ToLower(strings.Join(words, " "))
	said := func(w string) bool { return strings.Contains(prose, w) }
	if !slices.ContainsFunc(failedWords, said) && slices.ContainsFunc(unknownWords, said) {
		return &NotFoundError{Path: path, Version: query, Reason: "direct: " + line}
	}
	return &FailedError{URL: "direct", Err: errors.New(line)}
}
