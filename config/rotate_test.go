package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The next key is made once, takes the place of the present one, and leaves that one beside it to go on signing. A process may die between any
// two steps.
func TestNextSigningKey(t *testing.T) {
	t.Parallel()
	present := newKey(t, "olympus.localhost")
	path := filepath.Join(t.TempDir(), "olympus.key")
	require.NoError(t, os.WriteFile(path, []byte(present+"\n"), 0o600))
	reload := func() *Config {
		c, err := settings(t, "GO_ENV=production", "OLYMPUS_SIGNING_KEY_FILE="+path)
		require.NoError(t, err)
		return c
	}
	next, err := reload().NextSigningKey()
	require.NoError(t, err)
	require.Equal(t, path+".new", next.Path)
	require.False(t, next.ByHand())
	info, err := os.Stat(next.Path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	again, err := reload().NextSigningKey()
	require.NoError(t, err)
	require.Equal(t, next, again)
	require.NotEqual(t, present, next.Key)

	// As if it had died before its last step, twice.
	for range 2 {
		_ = os.Remove(path + ".old")
		require.NoError(t, os.Link(path, path+".old"))
		c := reload()
		require.Equal(t, [2]string{present, ""}, [2]string{c.SigningKey, c.OldSigningKey})
		again, err = c.NextSigningKey()
		require.NoError(t, err)
		require.Equal(t, next, again)
	}
	require.NoError(t, next.UseNextKey())
	c := reload()
	require.Equal(t, [2]string{next.Key, present}, [2]string{c.SigningKey, c.OldSigningKey})
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2, "no drafts may be left")
	_, err = c.NextSigningKey()
	require.ErrorIs(t, err, ErrKeyChanging)
	require.NoError(t, next.UseNextKey(), "it is in use")
	c = reload()
	require.Equal(t, [2]string{next.Key, present}, [2]string{c.SigningKey, c.OldSigningKey})

	// When the one before signs no more, there may be a next one; what is set counts before what lies there.
	explicit := newKey(t, "olympus.localhost")
	set, err := settings(t, "OLYMPUS_SIGNING_KEY_FILE="+path, "OLYMPUS_OLD_SIGNING_KEY="+explicit)
	require.NoError(t, err)
	require.Equal(t, explicit, set.OldSigningKey)
	require.NoError(t, os.Remove(path+".old"))
	third, err := reload().NextSigningKey()
	require.NoError(t, err)
	require.NotContains(t, []string{present, next.Key}, third.Key)
	require.NoError(t, third.UseNextKey())
	require.Equal(t, next.Key, reload().OldSigningKey)

	require.NoError(t, os.WriteFile(path+".old", []byte(newKey(t, "om.example.com")), 0o600))
	_, err = settings(t, "OLYMPUS_SIGNING_KEY_FILE="+path)
	require.ErrorContains(t, err, path+`.old holds the key of "om.example.com"`)
}

// A key in the environment, or in a directory that cannot be written to, is for the operator to change.
func TestNextSigningKeyByHand(t *testing.T) {
	t.Parallel()
	key := newKey(t, "olympus.localhost")
	c, err := settings(t, "OLYMPUS_SIGNING_KEY="+key)
	require.NoError(t, err)
	require.Empty(t, c.SigningKeyFile)
	next, err := c.NextSigningKey()
	require.NoError(t, err)
	require.True(t, next.ByHand())
	require.Equal(t, filepath.Join(c.DataDir, "signing.key.new"), next.Path)
	again, err := c.NextSigningKey()
	require.NoError(t, err)
	require.Equal(t, next, again)

	// A directory in the place of its file keeps anybody from writing it, root too.
	path := filepath.Join(t.TempDir(), "no", "olympus.key")
	c.SigningKeyFile, c.DataDir = path, t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
	_, err = c.NextSigningKey()
	require.Error(t, err, "it cannot even be looked for")
	c.SigningKeyFile = "/proc/self/olympus.key"
	next, err = c.NextSigningKey()
	require.NoError(t, err)
	require.True(t, next.ByHand())
	require.Equal(t, filepath.Join(c.DataDir, "signing.key.new"), next.Path)
}
