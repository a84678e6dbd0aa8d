package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/protocol"
)

// knownKey is the public key of Go's checksum database and its hash, as in the go command. The hash is over the key and
// the database's name, so that this key fits no other name.
const knownKey = "033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

// maxRemembered is how many records and tiles of the checksum database are kept in memory, of at most 8 KiB each.
const maxRemembered = 1024

// ChecksumCache keeps files for the client of the checksum database: tiles of its tree, which never change, and its
// latest tree head, which only grows. All processes of a deployment should share one.
type ChecksumCache interface {
	// Get returns a file, and nothing without an error if there is none.
	Get(ctx context.Context, file string) ([]byte, error)
	// Put writes a file. Whoever writes it again writes the same.
	Put(ctx context.Context, file string, data []byte) error
	// CompareAndSwap writes a file if it still is old, nothing standing for none, and tells whether it was.
	CompareAndSwap(ctx context.Context, file string, old, new []byte) (bool, error)
}

// checksumDB is the checksum database that fetched modules are checked against.
type checksumDB struct {
	name, key string
	direct    *remote // where it is reached if no proxy offers it, or by the setting
	proxies   []place // asked first whether they offer it; nil if the setting has a URL
	cache     ChecksumCache
	memory    *lru.Cache[string, []byte]
	base      atomic.Pointer[remote] // where it is reached, once that is known
}

// newChecksumDB reads a setting in the syntax of GOSUMDB. It returns nil for "off".
func newChecksumDB(setting string, cache ChecksumCache, places []place, web *webClient) (*checksumDB, error) {
	fields := strings.Fields(setting)
	switch {
	case len(fields) == 0:
		return nil, errors.New(`neither a name, nor a key, nor "off"`)
	case len(fields) > 2:
		return nil, fmt.Errorf("%q has more than two fields", redactSetting(setting))
	case setting == "off":
		return nil, nil
	}
	db := &checksumDB{key: fields[0], cache: cache, proxies: places}
	if !strings.Contains(db.key, "+") {
		db.key += "+" + knownKey
	}
	verifier, err := note.NewVerifier(db.key)
	if err != nil {
		if db.key != fields[0] {
			return nil, fmt.Errorf("unknown checksum database %q: give name+hash+key", fields[0])
		}
		return nil, fmt.Errorf("key %q: %w", fields[0], err)
	}
	db.name = verifier.Name()
	// The name is part of URLs: no tricks with it.
	u, err := url.Parse("https://" + db.name)
	if err != nil || u.Host == "" || u.RawPath != "" || strings.HasSuffix(db.name, "/") ||
		*u != (url.URL{Scheme: "https", Host: u.Host, Path: u.Path}) {
		return nil, fmt.Errorf("the name in %q must be a host, or a host and a path", fields[0])
	}
	if len(fields) == 2 {
		if u, err = parseBase(fields[1]); err != nil {
			return nil, err
		}
		db.proxies = nil
	}
	db.direct = web.at(u)
	if db.memory, err = lru.New[string, []byte](maxRemembered); err != nil {
		return nil, err
	}
	if cache == nil {
		db.cache = newMemoryCache()
	}
	return db, nil
}

// lookup returns the lines of go.sum that the database has for a canonical version.
func (db *checksumDB) lookup(ctx context.Context, path, version string) ([]string, error) {
	// A client for each lookup: it would remember a failure for ever, and has no context.
	ops := &checksumOps{ctx: ctx, db: db}
	client := sumdb.NewClient(ops)
	var lines []string
	for _, v := range []string{version, version + "/go.mod"} {
		l, err := client.Lookup(path, v)
		if err != nil {
			return nil, ops.explain(path, version, err)
		}
		lines = append(lines, l...)
	}
	return lines, nil
}

// locate finds out where to reach the database: at the first proxy that offers it, else directly. Only an answer is
// remembered. Two that ask at the same time find the same.
func (db *checksumDB) locate(ctx context.Context) (*remote, error) {
	if base := db.base.Load(); base != nil {
		return base, nil
	}
	base := db.direct
	for _, p := range db.proxies {
		offers, ok := p.source.(*proxy)
		if !ok {
			break // "direct" or "off"
		}
		_, err := offers.remote.read(ctx, "sumdb/"+db.name+"/supported", maxChecksum)
		if err == nil {
			base = offers.remote.below("sumdb/" + db.name)
			break
		}
		if ctx.Err() != nil || !isMissing(err) && !p.onError {
			return nil, err
		}
	}
	db.base.Store(base)
	return base, nil
}

// CheckMod compares the hash of a .mod with the checksum database, as CheckSum that of a zip.
func (u *Upstream) CheckMod(ctx context.Context, path, version string, mod []byte) error {
	return u.checkSum(ctx, path, version, version+"/go.mod", protocol.ModHash(mod))
}

// CheckSum compares the h1 hash of a zip with the checksum database. It accepts every hash of a private module, and all
// if there is no checksum database.
func (u *Upstream) CheckSum(ctx context.Context, path, version, h1 string) error {
	return u.checkSum(ctx, path, version, version, h1)
}

// KnownSum returns the h1 hash that the checksum database has for the zip of a version; nothing if there is no checksum database, it does
// not know the version, or the module is private and it must not be asked.
func (u *Upstream) KnownSum(ctx context.Context, path, version string) (h1 string, err error) {
	if u.sums == nil || u.isPrivate(path) {
		return "", nil
	}
	lines, err := u.sums.lookup(ctx, path, version)
	if _, ok := errors.AsType[*NotFoundError](err); ok {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, line := range lines {
		if sum, ok := strings.CutPrefix(line, path+" "+version+" "); ok {
			return sum, nil
		}
	}
	return "", nil
}

// checkSum compares the hash of a file of a version, which is named as in go.sum.
func (u *Upstream) checkSum(ctx context.Context, path, version, file, h1 string) error {
	if u.sums == nil || u.isPrivate(path) {
		return nil
	}
	lines, err := u.sums.lookup(ctx, path, version)
	if err != nil {
		return err
	}
	line := path + " " + file + " "
	if slices.Contains(lines, line+h1) {
		return nil
	}
	known := slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, line) })
	return &ChecksumError{
		Path: path, Version: version,
		Reason: fmt.Sprintf("fetched %q, but the checksum database %s has %q", line+h1, u.sums.name, known),
	}
}
