package upstream

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// TestNext checks who is asked after one that does not know or fails, and what the answer is then.
func TestNext(t *testing.T) {
	t.Parallel()
	const known, unknown, failed = "known", "unknown", "failed"
	for name, c := range map[string]struct {
		status    int // of the first proxy, 0 for an answer
		separator string
		second    bool // knows the module
		asked     int  // requests to the second
		want      string
	}{
		"known":                 {0, ",", true, 0, known},
		"404, then known":       {404, ",", true, 2, known},
		"410, then known":       {410, ",", true, 2, known},
		"404 | known":           {404, "|", true, 2, known},
		"500 stops":             {500, ",", true, 0, failed},
		"403 stops":             {403, ",", true, 0, failed},
		"500 | known":           {500, "|", true, 2, known},
		"403 | known":           {403, "|", true, 2, known},
		"404, then unknown":     {404, ",", false, 1, unknown},
		"500 | unknown":         {500, "|", false, 1, failed},
		"204 is no answer":      {204, ",", true, 0, failed},
		"206 is not the file":   {206, ",", true, 0, failed},
		"304 was not asked for": {304, ",", true, 0, failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := testmod.NewUpstream(t, plain), testmod.NewUpstream(t)
			if c.second {
				second.Add(plain)
			}
			first.Set(infoPath, testmod.Behaviour{Status: c.status})
			u := start(t, Options{Proxies: first.URL + c.separator + second.URL})
			_, err := u.Metadata(t.Context(), plain.Path, plain.Version)
			switch c.want {
			case known:
				require.NoError(t, err)
			case unknown:
				requireNotFound(t, err)
			case failed:
				require.Equal(t, c.status, requireFailed(t, err).Status)
			}
			require.Equal(t, 1, first.Count(infoPath))
			require.Equal(t, c.asked, second.Total())
		})
	}
}

// TestSameSource checks that the zip comes from where the other files came from, not from the first that has one.
func TestSameSource(t *testing.T) {
	t.Parallel()
	first, second := testmod.NewUpstream(t, plain), testmod.NewUpstream(t, plain)
	first.Set(infoPath, testmod.Behaviour{Status: 404})
	u := start(t, Options{Proxies: first.URL + "," + second.URL})
	_, _, err := fetch(t, u, plain)
	require.NoError(t, err)
	require.Zero(t, first.Count(zipPath))
	require.Equal(t, 1, second.Count(zipPath))

	// A half that is missing is a version that is missing.
	second.Set(modPath, testmod.Behaviour{Status: 404})
	_, _, err = fetch(t, u, plain)
	requireNotFound(t, err)
}

// TestZipNext tries the next place with a clean file.
func TestZipNext(t *testing.T) {
	t.Parallel()
	first, second := testmod.NewUpstream(t, plain), testmod.NewUpstream(t, plain)
	first.Set(zipPath, testmod.Behaviour{Sent: 100, Cut: true})
	u := start(t, Options{Proxies: first.URL + "|" + second.URL})
	zip, err := fetchZip(t, u, nil, plain)
	require.NoError(t, err)
	require.Equal(t, testmod.Zip(t, plain), zip)
}

func TestOff(t *testing.T) {
	t.Parallel()
	first, after := testmod.NewUpstream(t), testmod.NewUpstream(t, plain)
	for _, list := range []string{"off", first.URL + ",off," + after.URL, "off|" + after.URL} {
		u := start(t, Options{Proxies: list})
		_, _, err := fetch(t, u, plain)
		requireNotFound(t, err)
		_, err = fetchZip(t, u, nil, plain)
		requireNotFound(t, err)
		require.ErrorContains(t, err, "off")
		require.Zero(t, after.Total())
	}
	// An outage before "off" is still an outage.
	first.Set(infoPath, testmod.Behaviour{Status: 500})
	_, _, err := fetch(t, start(t, Options{Proxies: first.URL + "|off"}), plain)
	requireFailed(t, err)
}

// TestPrivate never tells the public proxy about private modules.
func TestPrivate(t *testing.T) {
	t.Parallel()
	secret := testmod.Module{Path: "example.com/secret/m", Version: "v1.0.0"}
	public, own := testmod.NewUpstream(t, plain, secret), testmod.NewUpstream(t, plain, secret)
	publicURL, err := parseBase(public.URL)
	require.NoError(t, err)
	with := func(list string) *Upstream {
		u, err := newUpstream(Options{
			Proxies: list, Private: "example.net/*,example.com/secret", ChecksumDB: "off", GoBin: "/nonexistent/go",
		}, hostOf(publicURL))
		require.NoError(t, err)
		return u
	}
	for _, list := range []string{public.URL + "/go," + own.URL, public.URL + "|" + own.URL, own.URL + "," + public.URL} {
		u := with(list)
		_, _, err := fetch(t, u, secret)
		require.NoError(t, err)
		_, err = fetchZip(t, u, nil, secret)
		require.NoError(t, err)
		_, err = u.List(t.Context(), secret.Path)
		require.NoError(t, err)
		_, _, err = u.Query(t.Context(), secret.Path, "latest")
		require.NoError(t, err)
		_, err = u.List(t.Context(), "example.com/secret/unknown")
		requireNotFound(t, err)
	}
	for _, list := range []string{public.URL, public.URL + ",direct", public.URL + ",off"} {
		_, _, err := fetch(t, with(list), secret)
		requireNotFound(t, err)
		if strings.HasSuffix(list, "off") {
			require.ErrorContains(t, err, "off")
		} else {
			require.ErrorContains(t, err, "direct")
		}
	}
	require.Zero(t, public.Total())

	_, _, err = fetch(t, with(public.URL), plain)
	require.NoError(t, err)
	require.Equal(t, 3, public.Total(), "the public proxy was not recognized to begin with")
}

// TestOurFault tells a disk of ours from an upstream that fails, and from one that does not know.
func TestOurFault(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t, plain)
	u := start(t, Options{Proxies: up.URL + "|" + up.URL})
	name := filepath.Join(t.TempDir(), "zip")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	f, err := os.Open(name) // for reading only
	require.NoError(t, err)
	defer f.Close()
	_, err = u.Zip(t.Context(), nil, plain.Path, plain.Version, f)
	require.Error(t, err)
	_, isFailed := errors.AsType[*FailedError](err)
	require.False(t, isFailed, "%v", err)
	_, isNotFound := errors.AsType[*NotFoundError](err)
	require.False(t, isNotFound, "%v", err)

	out := &writer{to: f}
	err = u.places[0].source.zip(t.Context(), nil, plain.Path, plain.Version, out)
	require.ErrorContains(t, err, "store the answer")
	_, isFailed = errors.AsType[*FailedError](err)
	require.False(t, isFailed, "%v", err)
}
