package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func TestKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	for _, env := range []string{Development, Test} {
		s := testSource(t, "GO_ENV="+env)
		// Several processes of one deployment may start at once: all must end up with one key.
		keys := make([]string, 16)
		var g errgroup.Group
		for i := range keys {
			g.Go(func() error {
				c, err := load(s)
				if err == nil {
					keys[i] = c.SigningKey
				}
				return err
			})
		}
		require.NoError(t, g.Wait())
		for _, key := range keys {
			require.Equal(t, keys[0], key)
		}
		c, err := load(s)
		require.NoError(t, err)
		require.Equal(t, keys[0], c.SigningKey)

		entries, err := os.ReadDir(c.DataDir)
		require.NoError(t, err)
		require.Len(t, entries, 1, "no drafts may be left")
		info, err := entries[0].Info()
		require.NoError(t, err)
		require.Equal(t, keyFileName, info.Name())
		require.Equal(t, os.FileMode(0o600), info.Mode())
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	key := newKey(t, "olympus.localhost")
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte(key+"\n"), 0o600))
	c, err := settings(t, "GO_ENV=production", "OLYMPUS_SIGNING_KEY_FILE="+path)
	require.NoError(t, err)
	require.Equal(t, key, c.SigningKey)
}

func TestKeyProblems(t *testing.T) {
	t.Parallel()
	key := newKey(t, "olympus.localhost")
	_, err := settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_SIGNING_KEY_FILE=x")
	require.ErrorContains(t, err, "both set")

	_, err = settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_NAME=om.example.com")
	require.ErrorContains(t, err, `OLYMPUS_SIGNING_KEY holds the key of "olympus.localhost", but OLYMPUS_NAME is "om.example.com"`)
	require.NotContains(t, err.Error(), key)

	_, err = settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_OLD_SIGNING_KEY="+key)
	require.ErrorContains(t, err, "OLYMPUS_OLD_SIGNING_KEY holds the present key of olympus.localhost")
	_, err = settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_OLD_SIGNING_KEY="+newKey(t, "om.example.com"))
	require.ErrorContains(t, err, `OLYMPUS_OLD_SIGNING_KEY holds the key of "om.example.com"`)
	_, err = settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_OLD_SIGNING_KEY=x", "OLYMPUS_OLD_SIGNING_KEY_FILE=x")
	require.ErrorContains(t, err, "both set")
	_, err = settings(t, "OLYMPUS_SIGNING_KEY="+key, "OLYMPUS_OLD_SIGNING_KEY_FILE=/no/such/file")
	require.ErrorContains(t, err, "OLYMPUS_OLD_SIGNING_KEY_FILE=/no/such/file")

	s := testSource(t)
	_, err = load(s)
	require.NoError(t, err)
	s.environ = append(s.environ, "OLYMPUS_NAME=renamed.example.com")
	_, err = load(s)
	require.ErrorContains(t, err, keyFileName+` holds the key of "olympus.localhost"`)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = settings(t, "OLYMPUS_DATA_DIR="+file)
	require.ErrorContains(t, err, "not a directory")
}

// A wrong setting elsewhere must not leave a key behind.
func TestNoKeyForAWrongEnvironment(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, err := settings(t, "OLYMPUS_DATA_DIR="+dir, "PORT=x")
	require.Error(t, err)
	require.NoDirExists(t, dir)
}
