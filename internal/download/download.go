// Package download knows the request paths of the module download protocol
// (https://go.dev/ref/mod#goproxy-protocol) and the order of versions in its answers.
//
//	/{module}/@v/list              the known versions, without pseudo-versions
//	/{module}/@latest              the latest version's .info
//	/{module}/@v/{version}.info    also any version query: a branch, a commit, "latest"
//	/{module}/@v/{version}.mod     canonical versions only
//	/{module}/@v/{version}.zip     canonical versions only
//
// {module} and {version} are written with every upper-case letter as "!" and its lower case, so that they are
// distinct on file systems that ignore case. Each version has exactly one such spelling, and only that one is taken:
// a second spelling of the same file would be a second key in every cache on the way.
//
// Lengths are limited as in the events that deployments exchange: the rules of the Go ecosystem have no limit.
//
// No HTTP handler and no storage lives here.
package download

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"olympus/internal/protocol"
)

// Ext says which file of a module is asked for.
type Ext string

// The files of the protocol.
const (
	List   Ext = "list"
	Latest Ext = "latest"
	Info   Ext = "info"
	Mod    Ext = "mod"
	Zip    Ext = "zip"
)

// Request is one request of the protocol.
type Request struct {
	// Module is the module path, unescaped and valid.
	Module string
	// Version is the version, unescaped. For Info it may be any version query; it is empty for List and Latest.
	Version string
	// Ext is the file asked for.
	Ext Ext
	// Canonical is true if Version is a canonical version that suits Module: one that can be stored, and whose
	// answer never changes. It is always true for Mod and Zip, and false for List and Latest.
	Canonical bool
}

// Error says why the path of a download request is malformed.
type Error struct {
	Path   string // as it came
	Reason string
}

// Error names the path, shortened if it is very long.
func (e *Error) Error() string {
	const most = 300
	path := e.Path
	if len(path) > most {
		path = path[:most] + "…"
	}
	return "malformed request path " + strconv.Quote(path) + ": " + e.Reason
}

// Parse reads the path of a request as it was sent, before any percent-decoding: r.URL.EscapedPath(). It is false
// if the path belongs to no download request at all and other routes have to answer it. The error is an *Error.
//
// Percent-encoding is undone once, since the go command sends "!" as "%21"; an encoded slash is malformed, because
// whether it separates elements would depend on who decodes it.
func Parse(escapedPath string) (Request, bool, error) {
	path, reason := escapedPath, ""
	if strings.IndexByte(path, '%') >= 0 {
		path, reason = decode(path)
	}
	var req Request
	escaped, file, ok := strings.Cut(path, "/@v/")
	switch {
	case !ok:
		if escaped, ok = strings.CutSuffix(path, "/@latest"); !ok {
			return Request{}, false, nil
		}
		req.Ext = Latest
	case file == "list":
		req.Ext = List
	}
	if reason == "" {
		reason = req.parseModule(escaped)
	}
	if reason == "" && req.Ext == "" {
		reason = req.parseFile(file)
	}
	if reason != "" {
		return Request{}, true, &Error{Path: escapedPath, Reason: reason}
	}
	return req, true, nil
}

// parseModule reads what comes before the "/@": a slash and the escaped module path. It returns why it cannot, or "".
func (r *Request) parseModule(escaped string) string {
	escaped, ok := strings.CutPrefix(escaped, "/")
	if !ok {
		return "no module path"
	}
	if r.Module, ok = unescape(escaped); !ok {
		return "the module path is wrongly escaped"
	}
	if len(r.Module) > protocol.MaxPathBytes {
		return "the module path is longer than " + strconv.Itoa(protocol.MaxPathBytes) + " bytes"
	}
	if isPlain(r.Module) {
		return ""
	}
	if err := module.CheckPath(r.Module); err != nil {
		var invalid *module.InvalidPathError
		if errors.As(err, &invalid) {
			err = invalid.Err
		}
		return "invalid module path: " + err.Error()
	}
	return ""
}

// parseFile reads the name of a version's file. It returns why it cannot, or "".
func (r *Request) parseFile(file string) string {
	dot := strings.LastIndexByte(file, '.')
	if dot < 0 {
		return "no such file in the download protocol"
	}
	switch Ext(file[dot+1:]) {
	case Info:
		r.Ext = Info
	case Mod:
		r.Ext = Mod
	case Zip:
		r.Ext = Zip
	default:
		return "no such file in the download protocol"
	}
	var ok bool
	if r.Version, ok = unescape(file[:dot]); !ok {
		return "the version is wrongly escaped"
	}
	if len(r.Version) > protocol.MaxVersionBytes {
		return "the version is longer than " + strconv.Itoa(protocol.MaxVersionBytes) + " bytes"
	}
	if r.Canonical = isCanonical(r.Module, r.Version); r.Canonical {
		return ""
	}
	if r.Ext != Info {
		return "not a canonical version of this module"
	}
	// Queries are what x/mod lets through: a file name, so never a slash. The go command asks for no other.
	if _, err := module.UnescapeVersion(file[:dot]); err != nil {
		return "not a version and not a version query"
	}
	return ""
}

// isPlain is true for most valid module paths and for no invalid one. It exists because module.CheckPath, which has
// the last word on all others, costs more than everything else that a request for a known file does here.
func isPlain(path string) bool {
	start, hasDot := 0, false
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			switch c := path[i]; {
			case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-':
			case 'A' <= c && c <= 'Z', c == '_':
				if start == 0 {
					return false // not in a host name
				}
			case c == '.':
				hasDot = true
			default:
				return false
			}
			continue
		}
		switch element := path[start:i]; {
		case element == "", element[0] == '.', element[0] == '-', element[len(element)-1] == '.':
			return false
		case strings.IndexByte("acnlpACNLP", element[0]) >= 0 && isDevice(element):
			return false
		case start == 0 && !hasDot:
			return false
		}
		start = i + 1
	}
	_, _, ok := module.SplitPathVersion(path)
	return ok
}

// isDevice is true if element looks like a device of Windows (CON, PRN, AUX, NUL, COM1, LPT1), which x/mod bars.
func isDevice(element string) bool {
	name, _, _ := strings.Cut(element, ".")
	return len(name) == 3 || len(name) == 4 && '0' <= name[3] && name[3] <= '9'
}

// isCanonical is true if version is canonical and its major version suits the valid path: what module.Check and
// module.CanonicalVersion say, without checking the path once more.
func isCanonical(path, version string) bool {
	canonical := semver.Canonical(version)
	if canonical == "" || canonical != strings.TrimSuffix(version, "+incompatible") {
		return false
	}
	_, major, _ := module.SplitPathVersion(path)
	return module.CheckPathMajor(version, major) == nil
}

// Path is the one path that asks for r, percent-encoded where a URL needs it. Parse undoes it.
func (r Request) Path() string {
	b := make([]byte, 0, len(r.Module)+len(r.Version)+len("//@v/.info")+8)
	b = append(b, '/')
	b = appendEscaped(b, r.Module)
	switch r.Ext {
	case Latest:
		b = append(b, "/@latest"...)
	case List:
		b = append(b, "/@v/list"...)
	default:
		b = append(b, "/@v/"...)
		b = appendEscaped(b, r.Version)
		b = append(b, '.')
		b = append(b, r.Ext...)
	}
	return string(b)
}
