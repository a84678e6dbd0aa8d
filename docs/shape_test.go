package docs

import (
	"regexp"
	"strings"
)

var shapes = []struct {
	pattern *regexp.Regexp
	as      string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "TIME"},
	{regexp.MustCompile(`(PRIVATE\+KEY\+)?((?:o[amg]|dx)\.example\.com)\+[0-9a-f]{8}(\+[A-Za-z0-9+/]{43,44}=?)?`), "KEY of $2"},
	{regexp.MustCompile(`SHA256:[A-Za-z0-9+/]{43}`), "FINGERPRINT"},
	{regexp.MustCompile(`h1:[A-Za-z0-9+/]{43}=`), "HASH"},
	{regexp.MustCompile(`\b[0-9a-f]{64}\b`), "SHA256"},
	{regexp.MustCompile(`(— \S+) [A-Za-z0-9+/]{80,}={0,2}`), "$1 SIGNATURE"},
	{regexp.MustCompile(`(^|\\n)[A-Za-z0-9+/]{43}=`), "${1}ROOT"},
	{regexp.MustCompile(`^zip \d{6} `), "zip N "},
	{regexp.MustCompile(`127\.0\.0\.1:\d+|o[amg]\.example\.com:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\S+/signing\.key\b`), "FILE"},
	{regexp.MustCompile(`upstream, \S+`), "upstream"},
	{regexp.MustCompile(`zip of \d+ bytes`), "zip of N bytes"},
	{regexp.MustCompile(`pushed by |pulled from `), "from "}, // whichever is first
	{regexp.MustCompile(`[0-9.]+ [KMG]iB|[1-9]\d* B\b`), "SIZE"},
	{regexp.MustCompile(`"bytes":[1-9]\d*`), "\"bytes\":N"},
	{regexp.MustCompile(`pulled \d+, appended \d+`), "pulled N, appended N"}, // a push or the last tick may have been faster
	{regexp.MustCompile(`\d\.\d OK \S+`), "N OK"},
	{regexp.MustCompile(`olympus v\S+( commit \S+)? go\S+ \S+/\S+`), "olympus VERSION"},
	{regexp.MustCompile(`\d+ migrations applied`), "N migrations applied"},
	{regexp.MustCompile(`Content-Length: \d+|^Date: .*`), ""},
	{regexp.MustCompile(`\s+`), " "},
}

// shape is an output without what differs from machine to machine and from day to day.
func shape(output []string) (lines []string) {
	for _, line := range output {
		for _, s := range shapes {
			line = s.pattern.ReplaceAllString(line, s.as)
		}
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
