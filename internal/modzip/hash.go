package modzip

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// maxHashers bounds the goroutines that one zip keeps busy.
const maxHashers = 4

type digest [sha256.Size]byte

// hashZip computes all sums in one pass over the entries and one over the file. Inflating is most of
// the work of a fill, so it is spread over the processors, which golang.org/x/mod/sumdb/dirhash does
// not do; the result is the same.
func hashZip(entries []*zip.File, f *os.File, size int64, modName string) (Sums, error) {
	entries = slices.Clone(entries)
	// Stable, and directories only: CheckZip has refused two files of one name.
	slices.SortStableFunc(entries, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })

	var whole digest
	digests := make([]digest, len(entries))
	var g errgroup.Group
	g.Go(func() error {
		h := sha256.New()
		if _, err := io.Copy(h, io.NewSectionReader(f, 0, size)); err != nil {
			return err
		}
		h.Sum(whole[:0])
		return nil
	})
	var next atomic.Int64
	for range min(maxHashers, runtime.GOMAXPROCS(0), len(entries)) {
		g.Go(func() error { return hashEntries(entries, digests, &next) })
	}
	if err := g.Wait(); err != nil {
		return Sums{}, err
	}

	sums := Sums{SHA256: hex.EncodeToString(whole[:]), Size: size}
	h := sha256.New()
	for i, e := range entries {
		fmt.Fprintf(h, "%x  %s\n", digests[i], e.Name)
		if e.Name == modName {
			mod := sha256.Sum256(fmt.Appendf(nil, "%x  go.mod\n", digests[i]))
			sums.ModHash = h1(mod[:])
		}
	}
	sums.H1 = h1(h.Sum(nil))
	return sums, nil
}

// hashEntries takes entries until none is left. After an error next is exhausted, so that the other
// goroutines stop too.
func hashEntries(entries []*zip.File, digests []digest, next *atomic.Int64) error {
	h := sha256.New()
	buf := make([]byte, 64<<10)
	for {
		i := int(next.Add(1) - 1)
		if i >= len(entries) {
			return nil
		}
		h.Reset()
		if err := hashEntry(h, entries[i], buf); err != nil {
			next.Store(int64(len(entries)))
			return fmt.Errorf("%.200q: %w", entries[i].Name, err)
		}
		h.Sum(digests[i][:0])
	}
}

// hashEntry reads an entry to its end. archive/zip stops at the declared size and compares the
// checksum, so CheckZip's bound on the declared sizes holds for what is read here.
func hashEntry(h io.Writer, e *zip.File, buf []byte) error {
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.CopyBuffer(h, r, buf)
	return err
}

func h1(sum []byte) string { return "h1:" + base64.StdEncoding.EncodeToString(sum) }
