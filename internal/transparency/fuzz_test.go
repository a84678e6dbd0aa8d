package transparency

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
)

// What is accepted as an edge is written back as it was, has a root, and goes on growing as the size says.
func FuzzParseEdge(f *testing.F) {
	var grown Edge
	for n := range int64(7) {
		f.Add(grown.Size(), grown.Bytes())
		grown.Append(leafOf(n))
	}
	f.Add(int64(MaxSize), make([]byte, tlog.HashSize))
	f.Add(int64(MaxSize+1), make([]byte, 2*tlog.HashSize))
	f.Add(int64(-1), make([]byte, 64*tlog.HashSize))
	f.Add(int64(1), make([]byte, tlog.HashSize-1))
	f.Fuzz(func(t *testing.T, size int64, hashes []byte) {
		e, err := ParseEdge(size, hashes)
		if err != nil {
			return
		}
		require.Equal(t, size, e.Size())
		require.Equal(t, string(hashes), string(e.Bytes()))
		before, longer := e.Root(), e.Clone()
		longer.Append(leafOf(0))
		require.Equal(t, before, e.Root(), "a clone changes its original")
		if size < MaxSize {
			again, err := ParseEdge(size+1, longer.Bytes())
			require.NoError(t, err)
			require.Equal(t, longer.Root(), again.Root())
		}
	})
}

// Whatever the batches in which leaves come, tiles and edges say what golang.org/x/mod says of the whole tree.
func FuzzGrow(f *testing.F) {
	f.Add([]byte{1, 1, 1})
	f.Add([]byte{255, 1, 1})
	f.Add([]byte{255, 255, 2, 0, 3})
	f.Add([]byte{128, 128, 128, 128, 7})
	f.Fuzz(func(t *testing.T, batches []byte) {
		if len(batches) > 8 {
			return
		}
		var all reference
		var size int64
		edge, tiles := &Edge{}, store{}
		for _, n := range batches {
			leaves := make([]tlog.Hash, n)
			for i := range leaves {
				leaves[i] = leafOf(size + int64(i))
				stored, err := tlog.StoredHashesForRecordHash(size+int64(i), leaves[i], &all)
				require.NoError(t, err)
				all = append(all, stored...)
				edge.Append(leaves[i])
			}
			changed, err := Grow(size, tiles.right(size), leaves)
			require.NoError(t, err)
			tiles.put(changed)
			size += int64(n)
		}
		want, err := tlog.TreeHash(size, &all)
		require.NoError(t, err)
		got, err := tlog.TreeHash(size, Tiles(tiles.read))
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, want, edge.Root())
		read, err := ReadEdge(size, Tiles(tiles.read))
		require.NoError(t, err)
		require.Equal(t, edge.Bytes(), read.Bytes())
	})
}

// The record of a valid event says all of it: it can be read back, so that no two events have one record; and the go command finds in it
// the lines of its own version and of no other.
func FuzzRecord(f *testing.F) {
	f.Add("add", "example.com/m", "v1.0.0", "om.example.com", int64(1), int64(450), "")
	f.Add("delete", "example.com/m", "v1.0.0", "om.example.com", int64(1), int64(0), "holds a “secret”")
	f.Add("deprecate", "example.com/m", "v1.0.0", "oa.example.com/eu", int64(-1), int64(0), "example.com/m v1.0.0 h1:")
	f.Add("delete", "kind.com/origin", "v0.0.0-20200101000000-abcdefabcdef", "time", int64(1<<50), int64(0), "")
	f.Fuzz(func(t *testing.T, kind, path, version, origin string, micros, size int64, reason string) {
		e := protocol.Event{
			Kind: protocol.Kind(kind), Module: path, Version: version, Origin: origin, Time: time.UnixMicro(micros).UTC(), Reason: reason,
		}
		if e.Kind == protocol.KindAdd {
			sum := leafOf(size)
			e.ZipHash = "h1:" + base64.StdEncoding.EncodeToString(sum[:])
			e.ZipSize, e.ZipSHA256, e.Info = size, hex.EncodeToString(sum[:]), `{"Version":"`+version+`"}`
			e.ModHash = protocol.ModHash(nil)
		}
		if e.Validate() != nil {
			return
		}
		record := string(Record(&e))
		_, err := tlog.FormatRecord(0, []byte(record))
		require.NoError(t, err, "%q", record)
		read := make(map[string]string)
		var ofGo []string
		for line := range strings.Lines(record) {
			name, rest, found := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			require.True(t, found, "%q", line)
			if strings.HasPrefix(rest, "h1:") || strings.Contains(rest, " h1:") && name == path && e.Kind == protocol.KindAdd {
				ofGo = append(ofGo, strings.TrimSuffix(line, "\n"))
				continue
			}
			require.NotContains(t, read, name, "%q", record)
			require.NotEqual(t, path, name, "taken for a line of go.sum: %q", line)
			read[name] = rest
		}
		want := map[string]string{
			"kind": kind, "origin": origin, "time": e.Time.Format(timeFormat),
		}
		if e.Kind == protocol.KindAdd {
			require.Equal(t, []string{path + " " + version + " " + e.ZipHash, path + " " + version + "/go.mod " + e.ModHash}, ofGo)
			want["zip"], want["info"] = read["zip"], read["info"]
		} else {
			require.Empty(t, ofGo)
			want["version"] = path + " " + version
			if reason != "" {
				want["reason"] = reason
			}
		}
		require.Equal(t, want, read)
	})
}
