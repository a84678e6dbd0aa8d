package modzip

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

var testModule = module.Version{Path: "example.com/m", Version: "v1.2.3"}

const (
	prefix   = "example.com/m@v1.2.3/"
	maxBytes = int64(modzip.MaxZipFile)
)

// entry is a file of a zip. The zero values of the fields after body stand for what is true.
type entry struct {
	name string
	body string

	size     uint64      // declared uncompressed size
	mode     fs.FileMode // permissions and type
	checksum uint32
	raw      []byte // compressed bytes, in place of body's
}

// build makes a zip the way a liar would: nothing declared is compared with what is there.
func build(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{
			Name: e.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE([]byte(e.body)),
			CompressedSize64: uint64(len(e.body)), UncompressedSize64: uint64(len(e.body)),
		}
		raw := []byte(e.body)
		if e.raw != nil {
			h.Method, raw, h.CompressedSize64 = zip.Deflate, e.raw, uint64(len(e.raw))
		}
		if e.size != 0 {
			h.UncompressedSize64 = e.size
		}
		if e.checksum != 0 {
			h.CRC32 = e.checksum
		}
		if e.mode != 0 {
			h.SetMode(e.mode)
		}
		f, err := w.CreateRaw(h)
		require.NoError(t, err)
		_, err = f.Write(raw)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return buf.Bytes()
}

// deflate compresses n zero bytes.
func deflate(t testing.TB, n int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create("x")
	require.NoError(t, err)
	_, err = f.Write(make([]byte, n))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	r, err := zip.NewReader(bytes.NewReader(buf.Bytes()), int64(buf.Len()))
	require.NoError(t, err)
	in, err := r.File[0].OpenRaw()
	require.NoError(t, err)
	raw, err := io.ReadAll(in)
	require.NoError(t, err)
	return raw
}

func write(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.zip")
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// hashMod is the hash that go.sum has for a go.mod file.
func hashMod(t testing.TB, mod string) string {
	t.Helper()
	h, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(mod)), nil
	})
	require.NoError(t, err)
	return h
}

func TestCheckAgreesWithDirhash(t *testing.T) {
	t.Parallel()
	mod := "module example.com/m\n"
	many := []entry{{name: prefix + "go.mod", body: mod}}
	for i := range 300 { // unsorted, so that the order of hashing is not the order in the zip
		many = append(many, entry{name: fmt.Sprintf("%sdir%d/f%d.go", prefix, i*7%10, 300-i), body: strings.Repeat("x", i)})
	}
	var made bytes.Buffer
	w := zip.NewWriter(&made)
	for _, name := range []string{"b.go", "a.go", "go.mod", "A/"} {
		f, err := w.Create(prefix + name)
		require.NoError(t, err)
		if name == "go.mod" {
			_, err = io.WriteString(f, mod)
		} else if name != "A/" {
			_, err = f.Write(bytes.Repeat([]byte(name), 50_000))
		}
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())

	for name, tc := range map[string]struct {
		data []byte
		mod  string
	}{
		"many stored files":     {build(t, many...), hashMod(t, mod)},
		"deflated, a directory": {made.Bytes(), hashMod(t, mod)},
		"no go.mod":             {build(t, entry{name: prefix + "a.go", body: "package m\n"}), ""},
		"only a go.mod":         {build(t, entry{name: prefix + "go.mod", body: mod}), hashMod(t, mod)},
		"empty go.mod":          {build(t, entry{name: prefix + "go.mod"}), hashMod(t, "")},
		"no files":              {build(t), ""},
		"the same directory thrice": {build(t, entry{name: prefix}, entry{name: prefix + "d/"},
			entry{name: prefix + "d/"}, entry{name: prefix + "d/x", body: "x"}), ""},
		"executable":            {build(t, entry{name: prefix + "run.sh", body: "#!/bin/sh\n", mode: 0o755}), ""},
		"directory with a mode": {build(t, entry{name: prefix + "d/", mode: fs.ModeDir | 0o755}), ""},
		// The go command reads a zip from its end and does not mind what surrounds it; the hash of
		// the whole file does, and Verify with it.
		"garbage behind":   {append(build(t, entry{name: prefix + "x", body: "x"}), "garbage"...), ""},
		"garbage in front": {append([]byte("#!/bin/sh\n"), build(t, entry{name: prefix + "x", body: "x"})...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, tc.data)
			h1, err := dirhash.HashZip(path, dirhash.Hash1)
			require.NoError(t, err)
			got, err := Check(testModule, path, maxBytes)
			require.NoError(t, err)
			require.Equal(t, Sums{H1: h1, SHA256: hexSum(tc.data), Size: int64(len(tc.data)), ModHash: tc.mod}, got)
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	good := build(t, entry{name: prefix + "go.mod", body: "module example.com/m\n"}, entry{name: prefix + "a.go", body: "package m\n"})
	zeros := deflate(t, 10<<20)
	flipped := bytes.Clone(good)
	flipped[bytes.Index(flipped, []byte("package m"))] ^= 1
	blocks := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 10_000) // deflate blocks that hold nothing
	shared := build(t, entry{name: prefix + "a", size: 1, raw: blocks}, entry{name: prefix + "b", size: 1, raw: []byte{}})
	// The second directory entry claims the first one's bytes as well.
	second := bytes.LastIndex(shared, []byte("PK\x01\x02"))
	copy(shared[second+20:second+24], []byte{byte(len(blocks)), byte(len(blocks) >> 8), 0, 0})
	copy(shared[second+42:second+46], []byte{0, 0, 0, 0})

	for name, tc := range map[string]struct {
		data []byte
		want string
	}{
		"empty file":        {nil, "not a valid zip file"},
		"not a zip":         {[]byte("<html>503 Service Unavailable</html>"), "not a valid zip file"},
		"truncated":         {good[:len(good)-30], "not a valid zip file"},
		"beginning missing": {good[60:], "EOF"},
		"long garbage":      {append(bytes.Clone(good), make([]byte, 70_000)...), "not a valid zip file"},
		"changed content":   {flipped, "checksum error"},
		"over the limit":    {append(bytes.Clone(good), make([]byte, 5000)...), "more than the limit of 5000"},

		"bomb that says so":       {build(t, entry{name: prefix + "zeros", size: 1 << 40, raw: zeros}), "too large"},
		"bomb that says one byte": {build(t, entry{name: prefix + "zeros", size: 1, raw: zeros[:4000]}), "not a valid zip file"},
		"less than declared":      {build(t, entry{name: prefix + "x", body: "x", size: 2, raw: deflate(t, 1)}), "unexpected EOF"},
		"sizes that add up":       {build(t, entry{name: prefix + "a", size: 300 << 20}, entry{name: prefix + "b", size: 300 << 20}), "too large"},
		"entries sharing bytes":   {shared[:len(shared):len(shared)], "exceed its own size"},

		"traversal":         {build(t, entry{name: prefix + "../../etc/passwd", body: "x"}), "invalid path element"},
		"absolute":          {build(t, entry{name: "/etc/passwd", body: "x"}), "does not have prefix"},
		"absolute below":    {build(t, entry{name: prefix + "/etc/passwd", body: "x"}), "empty path element"},
		"backslashes":       {build(t, entry{name: prefix + `..\..\x`, body: "x"}), "invalid char"},
		"newline in a name": {build(t, entry{name: prefix + "a\nb", body: "x"}), "invalid char"},
		"no prefix":         {build(t, entry{name: "a.go", body: "x"}), "does not have prefix"},
		"another version":   {build(t, entry{name: "example.com/m@v1.2.4/a.go", body: "x"}), "does not have prefix"},
		"another module":    {build(t, entry{name: "example.com/n@v1.2.3/a.go", body: "x"}), "does not have prefix"},
		"many bad files":    {build(t, entry{name: "a"}, entry{name: "b"}, entry{name: "c"}), "(and 2 more bad files)"},

		"symbolic link":      {build(t, entry{name: prefix + "link", body: "/etc/passwd", mode: fs.ModeSymlink | 0o777}), "not a regular file"},
		"device":             {build(t, entry{name: prefix + "null", mode: fs.ModeDevice | 0o666}), "not a regular file"},
		"case collision":     {build(t, entry{name: prefix + "a.go", body: "x"}, entry{name: prefix + "A.go", body: "y"}), "case-insensitive"},
		"the same twice":     {build(t, entry{name: prefix + "a.go", body: "x"}, entry{name: prefix + "a.go", body: "y"}), "multiple entries"},
		"file and directory": {build(t, entry{name: prefix + "a", body: "x"}, entry{name: prefix + "a/b", body: "y"}), "both a file and a directory"},
		"GO.MOD":             {build(t, entry{name: prefix + "GO.MOD", body: "module example.com/m\n"}), "go.mod"},
		"nested go.mod":      {build(t, entry{name: prefix + "d/go.mod", body: "module example.com/m/d\n"}), "go.mod"},
		"wrong checksum":     {build(t, entry{name: prefix + "a.go", body: "x", checksum: 7}), "checksum error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			limit := maxBytes
			if strings.Contains(tc.want, "limit of 5000") {
				limit = 5000
			}
			_, err := Check(testModule, write(t, tc.data), limit)
			require.ErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "example.com/m@v1.2.3")
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// A directory of a million entries must be given up before it is held in memory.
func TestCheckBoundsTheDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "m.zip")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	w := zip.NewWriter(f)
	long := prefix + strings.Repeat("d/", 100)
	for i := range maxDirectory/(46+len(long)) + 1 {
		_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%s%d", long, i)})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	_, err = Check(testModule, path, maxBytes)
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "directory is larger")
}

func TestCheckRefusesBadVersions(t *testing.T) {
	t.Parallel()
	for _, m := range []module.Version{
		{Path: "example.com/m", Version: "v1"}, {Path: "example.com/m", Version: "v2.0.0"},
		{Path: "../m", Version: "v1.0.0"}, {},
	} {
		name := m.Path + "@" + m.Version + "/x"
		_, err := Check(m, write(t, build(t, entry{name: name, body: "x"})), maxBytes)
		require.ErrorIs(t, err, ErrInvalid, m)
	}
}

func TestMissingFileIsNotInvalid(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "gone.zip")
	_, err := Check(testModule, path, maxBytes)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, ErrInvalid)
	err = Verify(testModule, path, Want{}, maxBytes)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotErrorIs(t, err, ErrInvalid)
}

func TestVerify(t *testing.T) {
	t.Parallel()
	mod := "module example.com/m\n"
	data := build(t, entry{name: prefix + "go.mod", body: mod}, entry{name: prefix + "a.go", body: "package m\n"})
	path := write(t, data)
	sums, err := Check(testModule, path, maxBytes)
	require.NoError(t, err)
	right := Want(sums)
	require.NoError(t, Verify(testModule, path, right, maxBytes))

	for name, tc := range map[string]struct {
		change func(*Want)
		what   string
	}{
		"size":          {func(w *Want) { w.Size++ }, "size"},
		"sha256":        {func(w *Want) { w.SHA256 = strings.Repeat("0", 64) }, "sha256"},
		"no sha256":     {func(w *Want) { w.SHA256 = "" }, "sha256"},
		"h1":            {func(w *Want) { w.H1 = "h1:AAAA" }, "h1"},
		"no h1":         {func(w *Want) { w.H1 = "" }, "h1"},
		"go.mod":        {func(w *Want) { w.ModHash = hashMod(t, "module example.com/n\n") }, "go.mod"},
		"nothing known": {func(w *Want) { *w = Want{} }, "size"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := right
			tc.change(&want)
			err := Verify(testModule, path, want, maxBytes)
			var mismatch *MismatchError
			require.ErrorAs(t, err, &mismatch)
			require.ErrorIs(t, err, ErrInvalid)
			require.Equal(t, tc.what, mismatch.What)
			require.NotEqual(t, mismatch.Want, mismatch.Got)
		})
	}

	t.Run("other bytes of the same h1", func(t *testing.T) {
		t.Parallel()
		other := append(bytes.Clone(data), "garbage"...)
		path := write(t, other)
		same, err := Check(testModule, path, maxBytes)
		require.NoError(t, err)
		require.Equal(t, right.H1, same.H1)
		want := right
		want.Size = same.Size
		var mismatch *MismatchError
		require.ErrorAs(t, Verify(testModule, path, want, maxBytes), &mismatch)
		require.Equal(t, "sha256", mismatch.What)
	})
	t.Run("a zip without go.mod cannot confirm the .mod", func(t *testing.T) {
		t.Parallel()
		path := write(t, build(t, entry{name: prefix + "a.go", body: "package m\n"}))
		sums, err := Check(testModule, path, maxBytes)
		require.NoError(t, err)
		want := Want(sums)
		want.ModHash = hashMod(t, mod)
		require.NoError(t, Verify(testModule, path, want, maxBytes))
	})
	t.Run("hostile zip", func(t *testing.T) {
		t.Parallel()
		data := build(t, entry{name: prefix + "../x", body: "x"})
		err := Verify(testModule, write(t, data), Want{Size: int64(len(data))}, maxBytes)
		require.ErrorIs(t, err, ErrInvalid)
		require.ErrorContains(t, err, "invalid path element")
	})
}

// Whatever the bytes: no panic, and what Check accepts the go command accepts and hashes alike.
func FuzzCheck(f *testing.F) {
	f.Add(build(f, entry{name: prefix + "go.mod", body: "module example.com/m\n"}, entry{name: prefix + "a.go", body: "package m\n"}))
	f.Add(build(f, entry{name: prefix + "zeros", size: 1000, raw: deflate(f, 1000)}, entry{name: prefix + "d/"}))
	f.Add(build(f, entry{name: prefix + "link", body: "x", mode: fs.ModeSymlink}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := write(t, data)
		sums, err := Check(testModule, path, 1<<20)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalid)
			return
		}
		_, err = modzip.CheckZip(testModule, path)
		require.NoError(t, err)
		h1, err := dirhash.HashZip(path, dirhash.Hash1)
		require.NoError(t, err)
		require.Equal(t, h1, sums.H1)
		require.Equal(t, hexSum(data), sums.SHA256)
		require.EqualValues(t, len(data), sums.Size)
	})
}
