package federation

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// blobPath is the file that the zip of a module is stored in.
func (s *site) blobPath(m testmod.Module) string {
	s.t.Helper()
	sum := testmod.Event(s.t, m, s.name).ZipSHA256
	return filepath.Join(s.data, "blobs", "zips", sum[:2], sum[2:]+".zip")
}

// flipBit changes one bit in the middle of the stored zip of a module.
func (s *site) flipBit(m testmod.Module) {
	s.t.Helper()
	content, err := os.ReadFile(s.blobPath(m))
	require.NoError(s.t, err)
	content[len(content)/2] ^= 1
	require.NoError(s.t, os.WriteFile(s.blobPath(m), content, 0o600))
}

// Every held zip is read again and again. One whose bytes are not those of the log any more is fetched from whoever has it, and where
// nobody has, it is reported and never served.
func TestScrub(t *testing.T) {
	t.Parallel()
	intact, flipped, gone, last := numbered("intact", 1), numbered("flipped", 1), numbered("gone", 1), numbered("last", 1)
	om := newNeighbour(t, "om.example.com", intact, flipped, gone)
	upstream := testmod.NewUpstream(t, last)
	s := newSite(t, "oa.example.com", "OLYMPUS_SCRUB_INTERVAL=8s", "OLYMPUS_UPSTREAM="+upstream.URL)
	p := s.start()
	p.knows(om.deployment)
	for _, m := range []testmod.Module{intact, flipped, gone, last} {
		p.serves(m)
	}
	upstream.Set(filePath(last, download.Zip), testmod.Behaviour{Status: http.StatusNotFound})
	s.flipBit(flipped)
	s.flipBit(last)
	require.NoError(t, os.Remove(s.blobPath(gone)))

	eventually(t, "what a peer has is fetched again", func() bool {
		return s.count("SELECT count(*) FROM versions WHERE held") == 3 && metric(p, "olympus_scrub_damaged_total") == 3
	})
	p.serves(flipped)
	p.serves(gone)
	require.NotNil(t, s.blob(flipped))
	require.NotNil(t, s.blob(gone))

	status, body, err := p.ask(http.MethodGet, filePath(last, download.Zip), "")
	require.NoError(t, err)
	require.GreaterOrEqual(t, status, 500, body)
	require.NoFileExists(t, s.blobPath(last))
	require.Equal(t, last.Mod(), p.get(filePath(last, download.Mod)))
	require.Contains(t, p.get("/modules?state=failed"), last.Path)
	require.Equal(t, 1, s.count("SELECT count(*) FROM versions WHERE fetch_error <> '' AND NOT held"))

	// What is good is read time and again all the while.
	before := metric(p, "olympus_scrubbed_zips_total")
	eventually(t, "held zips are read again", func() bool { return metric(p, "olympus_scrubbed_zips_total") >= before+6 })
	require.Less(t, metric(p, "olympus_oldest_scrub_seconds"), 60.0)
	require.EqualValues(t, 3, metric(p, "olympus_scrub_damaged_total"))
}

// A directory that is not mounted has lost no zip.
func TestScrubSparesWhatIsOutOfReach(t *testing.T) {
	t.Parallel()
	m := numbered("m", 1)
	s := newSite(t, "oa.example.com", "OLYMPUS_SCRUB_INTERVAL=4s", "OLYMPUS_UPSTREAM="+testmod.NewUpstream(t, m).URL)
	p := s.start()
	p.serves(m)
	zips := filepath.Join(s.data, "blobs", "zips")
	require.NoError(t, os.Rename(zips, zips+"-elsewhere"))
	eventually(t, "a scrub fails", func() bool {
		return s.count("SELECT count(*) FROM river_job WHERE kind = 'scrub' AND array_length(errors, 1) > 0") > 0
	})
	status, body, err := p.ask(http.MethodGet, filePath(m, download.Zip), "")
	require.NoError(t, err)
	require.GreaterOrEqual(t, status, 500, body)
	require.Equal(t, 1, s.count("SELECT count(*) FROM versions WHERE held AND fetch_error = ''"))
	require.NoError(t, os.Rename(zips+"-elsewhere", zips))
	p.serves(m)
	require.Zero(t, metric(p, "olympus_scrub_damaged_total"))
}
