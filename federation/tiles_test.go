package federation

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
	"olympus/internal/transparency"
)

// history is the tree that the events of a log should have, kept as golang.org/x/mod keeps trees: all hashes, by their index.
type history struct {
	leaves []tlog.Hash
	hashes []tlog.Hash
}

func (h *history) add(t testing.TB, events ...protocol.Event) {
	t.Helper()
	for i := range events {
		leaf := transparency.Leaf(&events[i])
		hashes, err := tlog.StoredHashesForRecordHash(int64(len(h.leaves)), leaf, h)
		require.NoError(t, err)
		h.leaves, h.hashes = append(h.leaves, leaf), append(h.hashes, hashes...)
	}
}

func (h *history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = h.hashes[index]
	}
	return hashes, nil
}

func (h *history) root(t testing.TB, size int64) tlog.Hash {
	t.Helper()
	root, err := tlog.TreeHash(size, h)
	require.NoError(t, err)
	return root
}

// opened is the checkpoint in a note, which must carry the signature of the deployment.
func (d *deployment) opened(signed string) *transparency.Checkpoint {
	d.t.Helper()
	verifier, err := note.NewVerifier(d.signer.VerifierKey())
	require.NoError(d.t, err)
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	require.NoError(d.t, err)
	c, err := transparency.ParseCheckpoint(n.Text, d.Name)
	require.NoError(d.t, err)
	require.Equal(d.t, c.Text(), n.Text)
	return c
}

// tileReader reads the tiles of a deployment over HTTP, at the paths of C2SP tlog-tiles. tlog.TileHashReader believes none that does not
// hash into the root.
type tileReader struct{ d *deployment }

func (r tileReader) Height() int                     { return 8 }
func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		data[i] = []byte(r.d.mustGet(tilePath(fmt.Sprint(t.L), t.N, t.W)))
	}
	return data, nil
}

// tilePath spells an index in groups of three digits, all but the last with an x.
func tilePath(level string, index int64, width int) string {
	path := fmt.Sprintf("%03d", index%1000)
	for index /= 1000; index > 0; index /= 1000 {
		path = fmt.Sprintf("x%03d/%s", index%1000, path)
	}
	if width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	return "/tile/" + level + "/" + path
}

// entries returns the records of a bundle.
func (d *deployment) entries(index int64, width int) []string {
	d.t.Helper()
	bundle := d.mustGet(tilePath("entries", index, width))
	var records []string
	for len(bundle) > 0 {
		require.GreaterOrEqual(d.t, len(bundle), 2)
		n := int(bundle[0])<<8 | int(bundle[1])
		require.GreaterOrEqual(d.t, len(bundle), 2+n)
		records, bundle = append(records, bundle[2:2+n]), bundle[2+n:]
	}
	return records
}

// provesItsTree requires that what a deployment publishes is the tree of a history, whole and in every part.
func (d *deployment) provesItsTree(want *history) {
	t := d.t
	t.Helper()
	size := int64(len(want.leaves))
	c := d.opened(d.mustGet("/checkpoint"))
	require.Equal(t, size, c.Size)
	require.Equal(t, want.root(t, size), c.Root)
	require.EqualValues(t, 1, c.Epoch)
	require.Nil(t, c.After)

	reader := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tileReader{d})
	root, err := tlog.TreeHash(size, reader)
	require.NoError(t, err)
	require.Equal(t, c.Root, root)
	for _, n := range []int64{1, 2, 3, 128, 255, 256, 257, 511, 65_535, 65_536, size} {
		if n == 0 || n > size {
			continue
		}
		proof, err := tlog.ProveRecord(size, n-1, reader)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckRecord(proof, size, c.Root, n-1, want.leaves[n-1]), "event %d of %d", n, size)
		tree, err := tlog.ProveTree(size, n, reader)
		require.NoError(t, err)
		require.NoError(t, tlog.CheckTree(tree, size, c.Root, n, want.root(t, n)), "%d events of %d", n, size)
	}
	for first := int64(0); first < size; first += 256 {
		if first/256%15 > 1 {
			continue // of many, every fifteenth and the one after it: the first two and the last two of 257
		}
		width := int(min(256, size-first))
		records := d.entries(first/256, width)
		require.Len(t, records, width)
		for i, record := range records {
			if tlog.RecordHash([]byte(record)) != want.leaves[first+int64(i)] {
				require.Fail(t, "another event", "position %d: %s", first+int64(i)+1, record)
			}
		}
	}

	// A tile has one width in this tree, and those before it were prefixes of it.
	full, rest := size/256, int(size%256)
	missing := []string{tilePath("0", full, 256), tilePath("entries", full, 256), tilePath("7", 0, 1), tilePath("63", 0, 1), tilePath("1", full/256, 256)}
	for _, level := range []string{"0", "entries"} {
		missing = append(missing, tilePath(level, full, rest+1)) // the full one again if only one is missing
		for _, beyond := range []int64{full + 1, full + 1000, 1 << 54, 1 << 55, 1 << 56, 1<<62 + full, 1<<63 - 1} {
			missing = append(missing, tilePath(level, beyond, 256), tilePath(level, beyond, 1))
		}
	}
	for _, path := range missing {
		got := d.ask("GET", path)
		require.Equal(t, http.StatusNotFound, got.status, "%s of %d events", path, size)
		require.Len(t, lines(got.body), 1, path)
		require.Equal(t, "no-store", got.header.Get("Cache-Control"), path)
	}
	for width := 1; width < rest; width += 50 {
		whole := d.mustGet(tilePath("0", full, rest))
		require.Equal(t, whole[:32*width], d.mustGet(tilePath("0", full, width)))
		require.Equal(t, d.entries(full, rest)[:width], d.entries(full, width))
	}
}

// A log of every size is a tree whose parts third parties can read and check, at the edges of tiles too.
func TestTiles(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	tree := &history{}
	oa.provesItsTree(tree)
	n := 0
	for _, size := range []int{1, 255, 256, 257, 65_537} {
		for len(tree.leaves) < size {
			var events []protocol.Event
			for range min(size-len(tree.leaves), 10_000) {
				n++
				module := fmt.Sprintf("example.com/tiles/m%d", n)
				e := said(protocol.KindDeprecate, module, "v1.0.0", "om.example.com")
				if n%7 == 1 && n < 1000 {
					e = added(module, "v1.0.0", "om.example.com", "ä", now())
				}
				events = append(events, e)
			}
			oa.hears(events...)
			tree.add(t, events...)
		}
		oa.provesItsTree(tree)
	}
	// As C2SP writes them.
	for path, bytes := range map[string]int{
		"/tile/0/000": 256 * 32, "/tile/0/256.p/1": 32, "/tile/1/000": 256 * 32, "/tile/1/000.p/3": 3 * 32, "/tile/2/000.p/1": 32,
	} {
		require.Len(t, oa.mustGet(path), bytes, path)
	}
}

// The longest texts that an event may have fit into an entry.
func TestTilesLongestEntry(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	long := "example.com" + strings.Repeat("/"+strings.Repeat("m", 100), 10)
	e := said(protocol.KindDelete, long, "v1.0.0-"+strings.Repeat("1", 249), strings.Repeat("o", 243)+".example.com")
	e.Reason = strings.Repeat("€", protocol.MaxReasonBytes/3)
	add := added(long, "v1.0.1", "om.example.com", strings.Repeat("é", 30_000), now())
	require.NoError(t, e.Validate())
	require.NoError(t, add.Validate())
	oa.hears(e, add)
	tree := &history{}
	tree.add(t, e, add)
	oa.provesItsTree(tree)
	require.Equal(t, []string{string(transparency.Record(&e)), string(transparency.Record(&add))}, oa.entries(0, 2))
}

// Every page carries the checkpoint of the log up to its last event, whoever of the deployment's processes answers.
func TestPagesCarryCheckpoints(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	twin := oa.another(nil)
	tree := &history{}
	empty := oa.page("", 0, 1)
	require.Equal(t, &transparency.Checkpoint{Origin: oa.Name, Root: tree.root(t, 0), Epoch: 1}, oa.opened(empty.Checkpoint))
	events := make([]protocol.Event, 1300)
	for i := range events {
		events[i] = said(protocol.KindDeprecate, fmt.Sprintf("example.com/paged%d", i), "v1.0.0", "om.example.com")
	}
	oa.hears(events...)
	tree.add(t, events...)
	for _, c := range []struct{ after, limit, next int64 }{
		{0, 1, 1}, {0, 255, 255}, {0, 256, 256}, {1, 256, 257}, {0, 1000, 1000}, {700, 57, 757}, {511, 1, 512}, {1299, 1, 1300}, {1299, 10, 1300},
		{1300, 10, 1300}, {0, 10_000, 1300},
	} {
		query := fmt.Sprintf("after=%d&limit=%d", c.after, c.limit)
		page := oa.page(query, c.after, int(c.limit))
		require.Equal(t, c.next, page.Next, query)
		want := &transparency.Checkpoint{Origin: oa.Name, Size: c.next, Root: tree.root(t, c.next), Epoch: 1}
		require.Equal(t, want, oa.opened(page.Checkpoint), query)
		require.Equal(t, page.Checkpoint, twin.page(query, c.after, int(c.limit)).Checkpoint, query)
	}
	require.Equal(t, oa.mustGet("/checkpoint"), twin.mustGet("/checkpoint"))
	require.Equal(t, oa.page("after=1300", 1300, 1).Checkpoint, twin.mustGet("/checkpoint"))
}

// While two processes append, every page that anybody reads ends where its checkpoint does, and all of them are of one log.
func TestPagesCarryCheckpointsWhileTheLogGrows(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{noJobs: true})
	both := []*deployment{oa, oa.another(nil)}
	const each = 60
	for i, d := range both {
		go func() {
			for n := range each {
				e := said(protocol.KindDeprecate, fmt.Sprintf("example.com/grows%d/m%d", i, n), "v1.0.0", "om.example.com")
				if err := d.Append(false, []protocol.Event{e}, nil); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	tree := &history{}
	var seen []*transparency.Checkpoint
	for after := int64(0); after < 2*each; {
		d := both[len(seen)%2]
		page := d.page(fmt.Sprintf("after=%d&limit=7&wait=30", after), after, 7)
		for _, e := range page.Events {
			tree.add(t, e.Event)
		}
		c := d.opened(page.Checkpoint)
		require.Equal(t, page.Next, c.Size)
		require.Equal(t, tree.root(t, c.Size), c.Root)
		seen, after = append(seen, c), page.Next
	}
	whole := oa.opened(oa.mustGet("/checkpoint"))
	require.EqualValues(t, 2*each, whole.Size)
	require.True(t, slices.IsSortedFunc(seen, func(a, b *transparency.Checkpoint) int { return int(a.Size - b.Size) }))
	for _, c := range seen {
		proof, err := tlog.ProveTree(whole.Size, c.Size, tlog.TileHashReader(tlog.Tree{N: whole.Size, Hash: whole.Root}, tileReader{oa}))
		require.NoError(t, err)
		require.NoError(t, tlog.CheckTree(proof, whole.Size, whole.Root, c.Size, c.Root))
	}
}
