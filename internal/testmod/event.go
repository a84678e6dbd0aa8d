package testmod

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/dirhash"

	"olympus/internal/protocol"
)

// Event is the add event of a module, complete and valid, as the deployment named origin first logged it. Its time is
// now.
func Event(t testing.TB, m Module, origin string) protocol.Event {
	t.Helper()
	zip := Zip(t, m)
	sum := sha256.Sum256(zip)
	e := protocol.Event{
		Kind:      protocol.KindAdd,
		Module:    m.Path,
		Version:   m.Version,
		Origin:    origin,
		Time:      time.Now().UTC().Truncate(time.Microsecond),
		ZipHash:   hashZip(t, zip),
		ZipSHA256: hex.EncodeToString(sum[:]),
		ZipSize:   int64(len(zip)),
		ModHash:   protocol.ModHash([]byte(m.Mod())),
		Info:      m.Info(),
		Mod:       m.Mod(),
	}
	require.NoError(t, e.Validate())
	return e
}

// hashZip is the h1 of a zip, computed by x/mod, which reads it from a file.
func hashZip(t testing.TB, zip []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "zip")
	require.NoError(t, os.WriteFile(name, zip, 0o600))
	hash, err := dirhash.HashZip(name, dirhash.Hash1)
	require.NoError(t, err)
	return hash
}

// GoSum are the two lines that go.sum and a checksum database hold for a module.
func GoSum(t testing.TB, m Module) string {
	t.Helper()
	return m.Path + " " + m.Version + " " + hashZip(t, Zip(t, m)) + "\n" +
		m.Path + " " + m.Version + "/go.mod " + protocol.ModHash([]byte(m.Mod())) + "\n"
}
