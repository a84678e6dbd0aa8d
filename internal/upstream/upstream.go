// Package upstream asks the places that misses are filled from: proxies that speak the module download protocol over
// HTTP or as a file tree, version control systems through the go command, and the checksum database that has the last
// word on what they answer. It knows neither the event log nor the blob store, and no SQL.
//
// The list of places has the syntax and the meaning of GOPROXY. After a comma the next place is asked if this one does
// not know the module (404, 410), after a bar also if it failed. "direct" asks the version control system and "off"
// nobody; both end the list. If one place failed and all others did not know, the answer is the failure: only when
// everyone has been reached is a module unknown, or an outage would be remembered as its absence.
//
// # Private modules
//
// The names of modules that match the private patterns are never told to Go's public proxy nor to a checksum database.
// They skip that proxy in the list and are asked of all other places in it, which the operator chose. If that leaves
// no place they are asked of their version control system, unless the list says "off".
//
// # Checksum database
//
// What is fetched of other modules is checked against the checksum database, whichever place it came from, the version
// control system included. The database is reached through the first proxy in the list that offers it, as the go
// command does, else directly. Its latest tree head is kept in a ChecksumCache, because only who remembers the old one
// notices that a database denies it.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Options are the settings of an Upstream.
type Options struct {
	// Proxies is the list of places to ask, in the syntax of GOPROXY. It must not be empty.
	Proxies string
	// ChecksumDB is the checksum database, in the syntax of GOSUMDB: a verifier key or the name of the database whose
	// key the go command knows, then optionally the URL to reach it at; or "off". It must not be empty, so that nobody
	// goes without by oversight.
	ChecksumDB string
	// Private are patterns of module paths, in the syntax of GOPRIVATE.
	Private string

	// Env is the whole environment of the go command that "direct" runs: where it finds its cache (GOMODCACHE or HOME),
	// its version control systems (PATH) and their credentials. Settings that decide whom it asks are overruled.
	Env []string
	// GoBin is the go command; empty for "go" on the PATH of this process.
	GoBin string
	// TempDir is where the go command gets its empty working directory; empty for that of the system.
	TempDir string
	// MaxDirect is how many go commands run at once; 0 for 4.
	MaxDirect int

	// MaxZip is the size of the largest zip taken, in bytes; 0 for Go's own limit of 500 MiB.
	MaxZip int64
	// Cache keeps what the checksum database said. With nil it is kept in memory and lost at the end of the process.
	Cache ChecksumCache
	// Transport makes the HTTP requests; nil for one of our own that uses ProxyFunc.
	Transport http.RoundTripper
	// ProxyFunc names the HTTP proxy for a request, as in http.Transport; nil for none.
	ProxyFunc func(*http.Request) (*url.URL, error)
	// Timeouts bound the waiting.
	Timeouts Timeouts
}

// Timeouts bound how long an upstream may take. Zero fields stand for the defaults named.
type Timeouts struct {
	// Dial is for a connection: 5 s.
	Dial time.Duration
	// Header is from the start of a request to the header of its answer, redirects included: 30 s.
	Header time.Duration
	// Stall is for every further 256 KiB of a body, or its end: 30 s.
	Stall time.Duration
	// Direct is for one run of the go command: 10 min.
	Direct time.Duration
	// Pause is how long a host that did not answer several times in a row is left out, give or take a quarter: 10 s.
	Pause time.Duration
}

// Upstream asks the places that misses are filled from. Its methods may be called concurrently; they do not join equal
// questions and do not repeat failed ones.
//
// They fail with a *NotFoundError if the module or version is unknown, a *ChecksumError if the checksum database
// disagrees, and a *FailedError if they could not find out. Anything else is a fault on our side, such as a full disk.
type Upstream struct {
	places  []place
	web     *webClient
	private string
	direct  *direct
	sums    *checksumDB // nil if off
	maxZip  int64
}

// place is one entry of the list.
type place struct {
	source   source // nil for "off"
	isPublic bool   // Go's public proxy
	onError  bool   // the next one is asked after any error
}

// source is a place that can be asked. Its methods return the errors of Upstream.
type source interface {
	// String names the place, without credentials.
	String() string
	metadata(ctx context.Context, path, version string) (*Metadata, error)
	zip(ctx context.Context, md *Metadata, path, version string, w io.Writer) error
	query(ctx context.Context, path, query string) (info []byte, version string, err error)
	list(ctx context.Context, path string) ([]string, error)
}

// New checks the settings and returns an Upstream. It asks nobody.
func New(opts Options) (*Upstream, error) {
	publicHost := ""
	if opts.Private != "" {
		// The only use of it: a private module is to be kept from that host.
		var err error
		if publicHost, err = publicProxyHost(); err != nil {
			return nil, fmt.Errorf("learn the host of Go's public proxy: %w", err)
		}
	}
	return newUpstream(opts, publicHost)
}

func newUpstream(opts Options, publicHost string) (*Upstream, error) {
	for pattern := range strings.SplitSeq(opts.Private, ",") {
		// The go command passes over a pattern it cannot read, which here would tell a private name to the public.
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("private pattern %q: %w", pattern, err)
		}
	}
	u := &Upstream{private: opts.Private, maxZip: opts.MaxZip}
	if u.maxZip == 0 {
		u.maxZip = zip.MaxZipFile
	}
	u.web = newWebClient(opts)
	u.direct = newDirect(opts, u.maxZip, u.web.seconds)
	var err error
	if u.places, err = parsePlaces(opts.Proxies, u.web, u.direct, u.maxZip, publicHost); err != nil {
		return nil, fmt.Errorf("list of proxies: %w", err)
	}
	if u.places[0].source == source(u.direct) {
		if _, err := exec.LookPath(u.direct.goBin); err != nil {
			return nil, fmt.Errorf("list of proxies: direct needs the go command: %w", err)
		}
	}
	if u.sums, err = newChecksumDB(opts.ChecksumDB, opts.Cache, u.places, u.web); err != nil {
		return nil, fmt.Errorf("checksum database: %w", err)
	}
	return u, nil
}

// Metadata is the first half of a module version: what .info and .mod serve, byte for byte. The second half is its zip,
// which Upstream.Zip fetches from where these came from.
type Metadata struct {
	Info, Mod []byte

	from source
	file *os.File // the zip, if it came along; in the cache of the go command
}

// Close gives up what is kept for Upstream.Zip. It may be called more than once, and on nil.
func (md *Metadata) Close() error {
	if md == nil || md.file == nil {
		return nil
	}
	err := md.file.Close()
	md.file = nil
	return err
}

// Metadata fetches the .info and .mod of a canonical version and checks them: that the .info is a JSON object about
// this version, that the .mod names a module, and the hash of the .mod against the checksum database. The caller has to
// close it.
func (u *Upstream) Metadata(ctx context.Context, path, version string) (*Metadata, error) {
	var md *Metadata
	err := u.walk(ctx, path, version, func(s source) (err error) {
		md, err = s.metadata(ctx, path, version)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := u.CheckMod(ctx, path, version, md.Mod); err != nil {
		return nil, errors.Join(err, md.Close())
	}
	return md, nil
}

// Zip writes the zip of a canonical version to f, in place of what is in it. It comes from where md came from; without
// md, as after a restart, the places are asked anew. The zip is not checked in any way, except that f never exceeds the
// limit: the caller checks it, and its hash with CheckSum. If it fails, f holds anything. from names the place, without credentials.
func (u *Upstream) Zip(ctx context.Context, md *Metadata, path, version string, f *os.File) (from string, err error) {
	fetch := func(s source) error {
		from = s.String()
		if err := f.Truncate(0); err != nil {
			return fmt.Errorf("empty the file for a zip: %w", err)
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("rewind the file for a zip: %w", err)
		}
		return s.zip(ctx, md, path, version, f)
	}
	if md != nil && md.from != nil {
		err = fetch(md.from)
	} else {
		err = u.walk(ctx, path, version, fetch)
	}
	return from, err
}

// Query resolves a version query: "latest", a branch, a commit, a prefix of a version. It returns the .info, from a
// proxy byte for byte, and the canonical version in it.
func (u *Upstream) Query(ctx context.Context, path, query string) (info []byte, version string, err error) {
	err = u.walk(ctx, path, query, func(s source) (err error) {
		info, version, err = s.query(ctx, path, query)
		return err
	})
	return info, version, err
}

// List returns the versions of a module, retracted ones included, without pseudo-versions, in ascending order. A module
// without any is no error.
func (u *Upstream) List(ctx context.Context, path string) (versions []string, err error) {
	err = u.walk(ctx, path, "", func(s source) (err error) {
		versions, err = s.list(ctx, path)
		return err
	})
	return versions, err
}

// isPrivate is true for the modules whose names are kept from the public.
func (u *Upstream) isPrivate(path string) bool {
	return module.MatchPrefixPatterns(u.private, path)
}

// placesFor are the places that may be asked about a module.
func (u *Upstream) placesFor(path string) []place {
	if !u.isPrivate(path) {
		return u.places
	}
	places := slices.DeleteFunc(slices.Clone(u.places), func(p place) bool { return p.isPublic })
	if len(places) == 0 {
		places = []place{{source: u.direct}}
	}
	return places
}

// walk asks one place after the other until one answers.
func (u *Upstream) walk(ctx context.Context, path, version string, ask func(source) error) error {
	var unknown, failed error
	for _, p := range u.placesFor(path) {
		if p.source == nil {
			unknown = &NotFoundError{Path: path, Version: version, Reason: "asking upstream is off"}
			break
		}
		err := ask(p.source)
		if err == nil {
			return nil
		}
		// Not errors.Is(err, fs.ErrNotExist), which a file missing on our side would be too.
		if _, ok := errors.AsType[*NotFoundError](err); ok {
			unknown = err
			continue
		}
		if _, ok := errors.AsType[*FailedError](err); !ok || !p.onError || ctx.Err() != nil {
			return err
		}
		failed = err
	}
	if failed != nil {
		return failed
	}
	return unknown
}
