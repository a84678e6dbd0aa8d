package source

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"olympus/internal/upstream"
)

// maxLine bounds a line of a list of versions, in bytes.
const maxLine = 16 << 10

// Remote is a server that speaks the module download protocol, with a list of the versions to read from it.
type Remote struct {
	proxy *upstream.Upstream
	list  func() (io.ReadCloser, error) // nil for the server's own catalog
	again bool                          // list can be called again
}

// noCatalog is what servers answer that have none, and Athens for a store that cannot be listed.
var noCatalog = []int{http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone, http.StatusNotImplemented}

// RemoteOptions say where a Remote is and what to read from it.
type RemoteOptions struct {
	URL       string // of the server, as it stands in GOPROXY
	MaxZip    int64  // bytes
	ProxyFunc func(*http.Request) (*url.URL, error)
	// List opens a list of versions: lines of the form module@version, or those of a go.sum file, whose hashes then count. Without it the
	// server is asked for its catalog, which Athens has.
	List func() (io.ReadCloser, error)
	// Again is true if List can be called more than once.
	Again bool
}

// NewRemote returns a Remote. It asks nobody.
func NewRemote(o RemoteOptions) (*Remote, error) {
	if strings.ContainsAny(o.URL, ",|") {
		return nil, errors.New("versions are imported from one URL")
	}
	proxy, err := upstream.New(upstream.Options{Proxies: o.URL, ChecksumDB: "off", MaxZip: o.MaxZip, ProxyFunc: o.ProxyFunc})
	if err != nil {
		return nil, err
	}
	return &Remote{proxy: proxy, list: o.List, again: o.Again}, nil
}

// Countable is true for a list that can be read again.
func (r *Remote) Countable() bool { return r.list != nil && r.again }

// Walk implements Source.
func (r *Remote) Walk(ctx context.Context, each func(Version) error, bad func(*Error)) error {
	take := func(v Version) error {
		if err := check(v.Module, v.Version); err != nil {
			bad(&Error{v.String(), err})
			return ctx.Err()
		}
		return each(v)
	}
	if r.list == nil {
		err := r.proxy.Catalog(ctx, func(path, version string) error { return take(Version{Module: path, Version: version}) })
		if failed, ok := errors.AsType[*upstream.FailedError](err); ok && slices.Contains(noCatalog, failed.Status) {
			return fmt.Errorf("the server has no catalog, so it needs a list of versions (--versions): %w", err)
		}
		return err
	}
	list, err := r.list()
	if err != nil {
		return fmt.Errorf("open the list of versions: %w", err)
	}
	defer list.Close()
	lines := bufio.NewScanner(list)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		v, ok := parseLine(lines.Text())
		if !ok {
			continue
		}
		if err := take(v); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the list of versions: %w", err)
	}
	return nil
}

// parseLine reads a line of a list. It is false for one that names no zip: an empty one, a comment, or the hash of a go.mod.
func parseLine(line string) (v Version, ok bool) {
	fields := strings.Fields(line)
	switch {
	case len(fields) == 0 || strings.HasPrefix(fields[0], "#"):
		return v, false
	case len(fields) == 3 && strings.HasPrefix(fields[2], "h1:"):
		return Version{Module: fields[0], Version: fields[1], Sum: fields[2]}, !strings.HasSuffix(fields[1], "/go.mod")
	}
	v.Module, v.Version, _ = strings.Cut(strings.TrimSpace(line), "@")
	return v, true
}

// Metadata implements Source.
func (r *Remote) Metadata(ctx context.Context, v *Version) (info, mod []byte, err error) {
	md, err := r.proxy.Metadata(ctx, v.Module, v.Version)
	if err != nil {
		return nil, nil, err
	}
	return md.Info, md.Mod, md.Close()
}

// Zip implements Source.
func (r *Remote) Zip(ctx context.Context, v *Version, file *os.File) error {
	_, err := r.proxy.Zip(ctx, nil, v.Module, v.Version, file)
	return err
}
