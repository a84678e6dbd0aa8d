package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	// catalogPage is how many entries a page of a catalog is asked to have: all of them. Athens over a directory leaves entries out
	// between pages, and its Azure store multiplies the number by three, into 32 bits.
	catalogPage = 300_000_000
	// catalogWait is how long a server may take before a page begins: it lists its whole store first.
	catalogWait = 10 * time.Minute

	// maxCatalog bounds all pages of a catalog together, in bytes, maxCatalogPages their number and maxCatalogEntry one entry.
	maxCatalog      = 2 << 30
	maxCatalogPages = 10_000
	maxCatalogEntry = 64 << 10
)

// Catalog calls each for every module version that the first place, an Athens server, says that it has, until each returns an error, which
// is returned. Nothing about these names is checked. A page is kept in a temporary file while each is called for its entries.
func (u *Upstream) Catalog(ctx context.Context, each func(path, version string) error) error {
	p, ok := u.places[0].source.(*proxy)
	if !ok || p.remote.base.Scheme == "file" {
		return errors.New("only a server has a catalog")
	}
	return (&catalog{remote: p.remote.patient(catalogWait), left: maxCatalog, pages: maxCatalogPages}).walk(ctx, each)
}

// patient is the remote with another limit for the time that an answer may take to begin.
func (r *remote) patient(header time.Duration) *remote {
	client := *r.client
	client.header = header
	return &remote{client: &client, base: r.base, user: r.user}
}

// catalog is one walk over a catalog.
type catalog struct {
	remote *remote
	left   int64 // bytes
	pages  int
}

func (c *catalog) walk(ctx context.Context, each func(path, version string) error) error {
	file, err := os.CreateTemp("", "olympus-catalog-*")
	if err != nil {
		return fmt.Errorf("keep a page of the catalog: %w", err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	for token := ""; ; {
		at := c.remote.base.JoinPath("catalog")
		at.RawQuery = url.Values{"token": {token}, "pagesize": {strconv.Itoa(catalogPage)}}.Encode()
		failed := func(err error) error { return &FailedError{URL: c.remote.base.JoinPath("catalog").String(), Err: err} }
		if c.pages--; c.pages < 0 {
			return failed(errors.New("its pages do not end"))
		}
		if err := rewind(file); err != nil {
			return err
		}
		if err := c.remote.getFrom(ctx, at, c.left, file); err != nil {
			return err
		}
		size, err := file.Seek(0, io.SeekCurrent)
		if err == nil {
			_, err = file.Seek(0, io.SeekStart)
		}
		if err != nil {
			return fmt.Errorf("read a page of the catalog: %w", err)
		}
		c.left -= size
		next, err := readCatalog(file, each)
		if bad, ok := errors.AsType[*catalogError](err); ok {
			return failed(bad)
		}
		if err != nil || next == "" {
			return err
		}
		if next == token {
			return failed(errors.New("its next page is the one before"))
		}
		token = next
	}
}

func rewind(file *os.File) error {
	err := file.Truncate(0)
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("keep a page of the catalog: %w", err)
	}
	return nil
}

// catalogError says that a page is not one.
type catalogError struct{ err error }

func (e *catalogError) Error() string { return "not a catalog: " + firstLine(e.err.Error()) }

// readCatalog reads a page, {"modules":[{"module":…,"version":…},…],"next":…}, entry by entry, and returns what asks for the next one.
func readCatalog(file *os.File, each func(path, version string) error) (next string, err error) {
	in := &budget{file: file, left: maxCatalogEntry}
	d := jsontext.NewDecoder(in)
	bad := func(err error) (string, error) { return "", &catalogError{err} }
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return bad(errors.Join(errors.New("no object"), err))
	}
	for d.PeekKind() != '}' {
		in.left = maxCatalogEntry
		name, err := d.ReadToken()
		if err != nil {
			return bad(err)
		}
		switch name.String() {
		case "modules":
			if d.PeekKind() == 'n' {
				err = d.SkipValue() // a store without any
				break
			}
			if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
				return bad(errors.Join(errors.New("modules is no array"), err))
			}
			for d.PeekKind() != ']' {
				in.left = maxCatalogEntry
				var entry struct {
					Module  string `json:"module"`
					Version string `json:"version"`
				}
				if err := json.UnmarshalDecode(d, &entry); err != nil {
					return bad(err)
				}
				if err := each(entry.Module, entry.Version); err != nil {
					return "", err
				}
			}
			_, err = d.ReadToken()
		case "next":
			err = json.UnmarshalDecode(d, &next)
		default:
			err = d.SkipValue()
		}
		if err != nil {
			return bad(err)
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return bad(err)
	}
	return next, nil
}

// budget is a file of which only so much is read until somebody sets left again: no single value can fill the memory.
type budget struct {
	file *os.File
	left int
}

func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("an entry is larger than %d bytes", maxCatalogEntry)
	}
	n, err := b.file.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
