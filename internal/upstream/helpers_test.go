package upstream

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

var (
	plain  = testmod.Module{Path: "example.com/m", Version: "v1.0.0", Files: map[string]string{"m.go": "package m\n"}}
	next   = testmod.Module{Path: "example.com/m", Version: "v1.1.0"}
	upper  = testmod.Module{Path: "example.com/Upper/v2", Version: "v2.0.0-RC1"}
	old    = testmod.Module{Path: "example.com/old", Version: "v3.0.0+incompatible"}
	pseudo = testmod.Module{Path: "example.com/p", Version: "v0.0.0-20200102030405-abcdef123456"}
)

const (
	infoPath = "/example.com/m/@v/v1.0.0.info"
	modPath  = "/example.com/m/@v/v1.0.0.mod"
	zipPath  = "/example.com/m/@v/v1.0.0.zip"
	listPath = "/example.com/m/@v/list"
)

// start makes an Upstream without checksum database, unless opts has one.
func start(t testing.TB, opts Options) *Upstream {
	t.Helper()
	if opts.ChecksumDB == "" {
		opts.ChecksumDB = "off"
	}
	u, err := newUpstream(opts, "")
	require.NoError(t, err)
	return u
}

// fetch takes both halves of a version.
func fetch(t testing.TB, u *Upstream, m testmod.Module) (*Metadata, []byte, error) {
	t.Helper()
	md, err := u.Metadata(t.Context(), m.Path, m.Version)
	if err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { require.NoError(t, md.Close()) })
	zip, err := fetchZip(t, u, md, m)
	return md, zip, err
}

func fetchZip(t testing.TB, u *Upstream, md *Metadata, m testmod.Module) ([]byte, error) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString(strings.Repeat("rest of an earlier try", 1000))
	require.NoError(t, err)
	if _, err := u.Zip(t.Context(), md, m.Path, m.Version, f); err != nil {
		stat, statErr := f.Stat()
		require.NoError(t, statErr)
		require.LessOrEqual(t, stat.Size(), u.maxZip)
		return nil, err
	}
	zip, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return zip, nil
}

func requireNotFound(t testing.TB, err error) {
	t.Helper()
	notFound, ok := errors.AsType[*NotFoundError](err)
	require.True(t, ok, "%v", err)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NotEmpty(t, notFound.Path)
	require.NotEmpty(t, notFound.Reason)
}

func requireFailed(t testing.TB, err error) *FailedError {
	t.Helper()
	failed, ok := errors.AsType[*FailedError](err)
	require.True(t, ok, "%v", err)
	require.NotErrorIs(t, err, fs.ErrNotExist)
	return failed
}

func padded(text string, size int) []byte {
	return []byte(text + strings.Repeat(" ", size-len(text)))
}
