package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"olympus/internal/signature"
)

// keyFileName is where the key of development and test is kept in the data directory.
const keyFileName = "signing.key"

// loadSigningKey takes the key from where it is set, else, outside production, from the data
// directory, where it is made if it is missing.
func (c *Config) loadSigningKey(key, keyFile string) error {
	from := "OLYMPUS_SIGNING_KEY"
	switch {
	case key != "" && keyFile != "":
		return errors.New("OLYMPUS_SIGNING_KEY and OLYMPUS_SIGNING_KEY_FILE are both set: want one")
	case key != "":
	case keyFile != "":
		from = "OLYMPUS_SIGNING_KEY_FILE=" + keyFile
		c.SigningKeyFile = keyFile
		var err error
		if key, err = readKey(keyFile); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	case c.Env == Production:
		return fmt.Errorf("%w: set OLYMPUS_SIGNING_KEY or OLYMPUS_SIGNING_KEY_FILE in production (olympus task key:generate makes a key)", ErrNoSigningKey)
	default:
		path := filepath.Join(c.DataDir, keyFileName)
		from = path
		c.SigningKeyFile = path
		var err error
		if key, err = readKey(path); errors.Is(err, fs.ErrNotExist) {
			key, err = makeKey(path, c.Name)
		}
		if err != nil {
			return fmt.Errorf("signing key of %s: %w", c.Name, err)
		}
	}
	c.SigningKey = key
	return c.checkKey(from, key)
}

// loadOldSigningKey takes the key that the deployment had before: as it is set, else as key:rotate has left it beside the present one.
func (c *Config) loadOldSigningKey(key, keyFile string) error {
	from := "OLYMPUS_OLD_SIGNING_KEY"
	switch {
	case key != "" && keyFile != "":
		return errors.New("OLYMPUS_OLD_SIGNING_KEY and OLYMPUS_OLD_SIGNING_KEY_FILE are both set: want one")
	case keyFile != "":
		from = "OLYMPUS_OLD_SIGNING_KEY_FILE=" + keyFile
		var err error
		if key, err = readKey(keyFile); err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
	case key == "" && c.SigningKeyFile != "":
		from = c.SigningKeyFile + oldSuffix
		var err error
		key, err = readKey(from)
		if errors.Is(err, fs.ErrNotExist) || err == nil && key == c.SigningKey { // about to be changed
			return nil
		}
		if err != nil {
			return fmt.Errorf("old signing key: %w", err)
		}
	case key == "":
		return nil
	}
	if key == c.SigningKey {
		return fmt.Errorf("%s holds the present key of %s: want the one before it", from, c.Name)
	}
	c.OldSigningKey = key
	return c.checkKey(from, key)
}

// checkKey makes sure that a key is one, and this deployment's.
func (c *Config) checkKey(from, key string) error {
	signer, err := note.NewSigner(key)
	if err != nil {
		return fmt.Errorf("%s: want a key of the form PRIVATE+KEY+name+hash+key: %w", from, err)
	}
	if signer.Name() != c.Name {
		return fmt.Errorf("%s holds the key of %q, but OLYMPUS_NAME is %q: a deployment's key carries its name", from, signer.Name(), c.Name)
	}
	return nil
}

func readKey(path string) (string, error) {
	content, err := os.ReadFile(path)
	return strings.TrimSpace(string(content)), err
}

// makeKey generates a key and keeps it at path. Of several processes that do so at once, one wins and
// all return its key: the file is written under another name and linked, which fails if the name is
// taken and never shows half a key.
func makeKey(path, name string) (string, error) {
	key, _, err := signature.GenerateKey(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	draft, err := draftKey(path, key)
	if err != nil {
		return "", err
	}
	defer os.Remove(draft)
	if err := os.Link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return "", err
	}
	return readKey(path)
}

// draftKey writes a key into a file of another name in the directory of path.
func draftKey(path, key string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), keyFileName+".*") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(key + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}
