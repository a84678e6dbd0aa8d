package federation

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/models"
)

// pour sends a piece again and again, n times or for ever.
func pour(piece []byte, n int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		for i := 0; (n == 0 || i < n) && r.Context().Err() == nil; i++ {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}
}

// bomb is n MiB of a byte, compressed as gzip (RFC 1952).
func bomb(t *testing.T, b byte, n int) []byte {
	t.Helper()
	deflated, sum := deflatedPieces(t, b, n)
	out := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}, deflated...)
	for _, v := range []uint32{sum, uint32(n << 20)} {
		out = append(out, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return out
}

// deflatedPieces is n MiB of a byte, compressed, and their checksum. One MiB is compressed, and repeated: the race detector makes
// compressing slow.
func deflatedPieces(t *testing.T, b byte, n int) ([]byte, uint32) {
	t.Helper()
	plain := bytes.Repeat([]byte{b}, 1<<20)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	require.NoError(t, err)
	_, err = w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	piece := bytes.Clone(out.Bytes())
	require.NoError(t, w.Close())
	last := out.Bytes()[len(piece):]
	sum := uint32(0)
	for range n {
		sum = crc32.Update(sum, crc32.IEEETable, plain)
	}
	return append(bytes.Repeat(piece, n), last...), sum
}

// fatPage is a page with as many of the largest events as a page can have, which is no lie.
func fatPage(after int64, origin string) []byte {
	var page []byte
	next := after
	for ; len(page) < protocol.MaxPageBytes-2*protocol.MaxModBytes; next++ {
		mod := fmt.Sprintf("module example.com/fat%d\n//", next) + strings.Repeat("x", protocol.MaxModBytes-100) + "\n"
		e := added(fmt.Sprintf("example.com/fat%d", next), "v1.0.0", origin, "x", now())
		e.Mod, e.ModHash = mod, protocol.ModHash([]byte(mod))
		page = protocol.AppendLine(page, &protocol.Logged{Position: next + 1, Event: e})
	}
	return protocol.AppendTail(page, 1<<40, next, "")
}

// A real process takes whatever a hostile peer sends in place of pages, answers and zips within its memory, keeps none of it, and serves
// what it holds all the while.
func TestHostilePeerOfAProcess(t *testing.T) {
	t.Parallel()
	held := numbered("held", 1)
	up := testmod.NewUpstream(t, held)
	s := newSite(t, "oa.example.com", "OLYMPUS_UPSTREAM="+up.URL)
	p := s.start()
	evil := lyingTo(t, s.db, "evil.example.com")
	p.get(fileOf(held, "zip"))
	p.get(fileOf(held, "info"))
	hits := p.wantHeld(held, 4)
	events := deletes(1, "p", "far.example.com")
	line := string(protocol.AppendLine(nil, &protocol.Logged{Position: 1, Event: events[0]}))
	tail := string(protocol.AppendTail(nil, 1, 1, ""))
	spaces := bytes.Repeat([]byte(" "), 64<<10)
	gzipOf := []string{"Content-Encoding", "gzip"}

	for name, lie := range map[string]http.HandlerFunc{
		"endless":               pour(spaces, 0),
		"endless events":        pour([]byte(line), 0),
		"a huge line":           pour(bytes.Repeat([]byte("x"), 1<<20), 100),
		"a huge string":         pour(append([]byte(`{"position":1,"info":"`), bytes.Repeat([]byte("x"), 40<<20)...), 1),
		"ten gigabytes":         pour(spaces, 0, "Content-Length", fmt.Sprint(10<<30)),
		"a bomb of spaces":      pour(bomb(t, ' ', 1000), 1, gzipOf...),
		"a bomb of a line":      pour(bomb(t, 'x', 1000), 1, gzipOf...),
		"endless bombs":         pour(bomb(t, '\n', 10), 0, gzipOf...),
		"deep":                  pour([]byte(strings.Repeat("[", 10<<20)), 1),
		"cut":                   body([]byte(line[:len(line)/2])),
		"cut before its last":   body([]byte(line)),
		"a key twice":           body([]byte(strings.Replace(line, `"kind"`, `"kind":"add","kind"`, 1) + tail)),
		"a key in another case": body([]byte(strings.Replace(line, `"kind"`, `"Kind":"add","kind"`, 1) + tail)),
		"NUL":                   body([]byte(strings.Replace(line, "because", `be\u0000cause`, 1) + tail)),
		"a raw NUL":             body([]byte(strings.Replace(line, "because", "be\x00cause", 1) + tail)),
		"invalid UTF-8":         body([]byte(strings.Replace(line, "because", "be\xffcause", 1) + tail)),
		"a lone surrogate":      body([]byte(strings.Replace(line, "because", `be\ud800cause`, 1) + tail)),
		"to a metadata service": http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound).ServeHTTP,
		"to loopback":           http.RedirectHandler(p.url+"/eventlog?after=0", http.StatusTemporaryRedirect).ServeHTTP,
	} {
		evil.tell("/eventlog", lie)
		status, answer, err := p.ask(http.MethodPost, "/peers/"+evil.name+"/pull", "")
		require.NoError(t, err, name)
		require.Equal(t, http.StatusBadGateway, status, "%s: %s", name, answer)
		require.Less(t, len(answer), 2000, name)
	}
	require.Zero(t, s.count("SELECT pull_position::int AS count FROM peers"))
	require.Equal(t, []string{"add " + held.Path + "@" + held.Version}, s.log())
	p.fitsMemory()

	// A peer that is honest about pages as fat as can be, for as long as it is asked.
	pages := 0
	evil.tell("/eventlog", func(w http.ResponseWriter, r *http.Request) {
		var after int64
		_, _ = fmt.Sscan(r.URL.Query().Get("after"), &after)
		if pages++; pages > 8 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(fatPage(after, evil.name))
	})
	_, _, err := p.ask(http.MethodPost, "/peers/"+evil.name+"/pull", "")
	require.NoError(t, err)
	require.Positive(t, s.count("SELECT pull_position::int AS count FROM peers"))
	p.fitsMemory()

	// Answers about a version that is asked for before a miss goes upstream.
	for i, lie := range []http.HandlerFunc{
		pour(spaces, 0), pour(bomb(t, ' ', 1000), 1, gzipOf...), pour([]byte(strings.Repeat("[", 7<<20)), 1),
		http.RedirectHandler("http://169.254.169.254/", http.StatusFound).ServeHTTP,
	} {
		require.NoError(t, models.SetPeerState(s.db, evil.name, models.PeerActive))
		evil.tellOthers(lie)
		for j := range 20 {
			status, _, err := p.ask(http.MethodGet, fileOf(numbered(fmt.Sprintf("asked%d-", i), j), "info"), "")
			require.NoError(t, err)
			require.Equal(t, http.StatusNotFound, status)
		}
	}
	hits.done(p)
	p.fitsMemory()
	s.stagesNothing()
}

// crafted is a zip of entries that no honest tool would write, each of one byte or of as many MiB of zeros as its size says.
func crafted(t *testing.T, files ...zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range files {
		f := &zip.FileHeader{Name: files[i].Name, Method: zip.Deflate, ExternalAttrs: files[i].ExternalAttrs, CreatorVersion: 3 << 8}
		if files[i].UncompressedSize64 == 0 {
			f.Method = zip.Store
			out, err := w.CreateHeader(f)
			require.NoError(t, err)
			_, err = out.Write([]byte{0})
			require.NoError(t, err)
			continue
		}
		zeros, sum := deflatedPieces(t, 0, int(files[i].UncompressedSize64>>20))
		f.CRC32, f.CompressedSize64, f.UncompressedSize64 = sum, uint64(len(zeros)), files[i].UncompressedSize64
		out, err := w.CreateRaw(f)
		require.NoError(t, err)
		_, err = out.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// Zips that are just what the log says, and must not be taken all the same, and bodies without end in place of zips: none is kept or
// served, what is staged of them goes, and the next version is fetched.
func TestHostileZipsOfAProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t, "oa.example.com")
	p := s.start()
	evil := lyingTo(t, s.db, "evil.example.com")
	named := func(m testmod.Module, name string) zip.FileHeader {
		return zip.FileHeader{Name: m.Path + "@" + m.Version + "/" + name}
	}
	crafts := map[string]func(m testmod.Module) []byte{
		"a bomb": func(m testmod.Module) []byte {
			h := named(m, "zeros")
			h.UncompressedSize64 = 600 << 20
			return crafted(t, h)
		},
		"traversal":        func(m testmod.Module) []byte { return crafted(t, named(m, "../../../../etc/passwd")) },
		"absolute":         func(testmod.Module) []byte { return crafted(t, zip.FileHeader{Name: "/etc/passwd"}) },
		"a case collision": func(m testmod.Module) []byte { return crafted(t, named(m, "a.go"), named(m, "A.go")) },
		"a symbolic link": func(m testmod.Module) []byte {
			h := named(m, "link")
			h.SetMode(fs.ModeSymlink | 0o777)
			return crafted(t, h)
		},
		"many files": func(m testmod.Module) []byte {
			files := make([]zip.FileHeader, 60_000)
			for i := range files {
				files[i] = named(m, fmt.Sprintf("%d%s", i, strings.Repeat("x", 100)))
			}
			return crafted(t, append(files, named(m, "A"), named(m, "a"))...)
		},
		"not a zip": func(testmod.Module) []byte { return []byte("<html>") },
	}
	events, n := []protocol.Event{}, 0
	hostile := make(map[string]testmod.Module)
	say := func(name string, e protocol.Event, m testmod.Module, lie http.HandlerFunc) {
		evil.tell(fileOf(m, "zip"), lie)
		events, hostile[name] = append(events, e), m
		n++
	}
	for name, craft := range crafts {
		m := numbered("crafted", n)
		b := craft(m)
		sum := sha256.Sum256(b)
		e := added(m.Path, m.Version, evil.name, name, now())
		e.ZipSHA256, e.ZipSize = hex.EncodeToString(sum[:]), int64(len(b))
		say(name, e, m, body(b))
	}
	for name, lie := range map[string]http.HandlerFunc{
		"ten gigabytes, announced":     pour(make([]byte, 1<<20), 10<<10, "Content-Length", fmt.Sprint(10<<30)),
		"ten gigabytes, not announced": pour(make([]byte, 1<<20), 10<<10),
		"link-local":                   http.RedirectHandler("http://169.254.169.254/latest/meta-data/", http.StatusFound).ServeHTTP,
		"loopback":                     http.RedirectHandler("http://127.0.0.1:22/", http.StatusFound).ServeHTTP,
		"another host":                 http.RedirectHandler("http://example.com/", http.StatusFound).ServeHTTP,
	} {
		m := numbered("endless", n)
		e := added(m.Path, m.Version, evil.name, name, now())
		e.ZipSize = 40 << 20 // as much as it says is taken, and no more
		say(name, e, m, lie)
	}
	good := numbered("good", 1)
	evil.tell(fileOf(good, "zip"), body(testmod.Zip(t, good)))
	events = append(events, testmod.Event(t, good, evil.name))
	var page []byte
	for i, e := range events {
		page = protocol.AppendLine(page, &protocol.Logged{Position: int64(i) + 1, Event: e})
	}
	page = protocol.AppendTail(page, int64(len(events)), int64(len(events)), "")
	evil.tell("/eventlog", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") != "0" {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(page)
	})
	p.administrate(http.StatusOK, http.MethodPost, "/peers/"+evil.name+"/pull", "")

	eventually(t, "the good one is held", func() bool { return s.held(good) })
	for name, m := range hostile {
		eventually(t, name+" has its error", func() bool {
			v, err := models.FindVersion(s.db, m.Path, m.Version)
			return err == nil && v.FetchError != ""
		})
		require.False(t, s.held(m), name)
		status, answer, err := p.ask(http.MethodGet, fileOf(m, "zip"), "")
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, status, "%s: %s", name, answer)
	}
	p.fitsMemory()
	eventually(t, "what was staged is gone", func() bool { return len(s.staged()) <= downloadsAtOnce })
}

// downloadsAtOnce is how many downloads one process may have under way.
const downloadsAtOnce = 12
