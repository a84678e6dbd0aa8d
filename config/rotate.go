package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Beside the file of the signing key, while it is being changed: the key that comes next, and the one before.
const (
	nextSuffix = ".new"
	oldSuffix  = ".old"
)

// ErrKeyChanging is wrapped by the error of NextSigningKey while a key before the present one still signs: that change comes to its end first.
var ErrKeyChanging = errors.New("the key before the present one still signs")

// NextKey is the signing key that comes after the present one.
type NextKey struct {
	Key  string // secret
	Path string // of the file that it is kept in
	file string // that it goes to; empty if it is for the operator to put it where the present one is
}

// ByHand reports whether the operator has to put the key where the present one is: in an environment, or where this process cannot write.
func (n NextKey) ByHand() bool { return n.file == "" }

// NextSigningKey returns the key that comes after the present one. It is made once, and kept beside the file of the present one, or else in
// the data directory: asked again it is the same, until it is in use.
func (c *Config) NextSigningKey() (NextKey, error) {
	next := NextKey{Path: c.SigningKeyFile + nextSuffix, file: c.SigningKeyFile}
	inData := NextKey{Path: filepath.Join(c.DataDir, keyFileName+nextSuffix)}
	if next.file == "" {
		next = inData
	}
	var err error
	for _, where := range []NextKey{next, inData} {
		if where.Key, err = readKey(where.Path); err == nil {
			return where, c.checkKey(where.Path, where.Key)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return where, fmt.Errorf("read the new signing key: %w", err)
		}
	}
	if c.OldSigningKey != "" {
		return next, ErrKeyChanging
	}
	if next.Key, err = makeKey(next.Path, c.Name); err != nil && next != inData {
		next = inData // secrets are often mounted where nobody can write
		next.Key, err = makeKey(next.Path, c.Name)
	}
	if err != nil {
		return next, fmt.Errorf("keep a new signing key: %w", err)
	}
	return next, nil
}

// UseNextKey puts the next key into the file of the present one, and that beside it, from where it goes on signing checkpoints. It may be
// run again at any point: until its last step the present key is where it was.
func (n NextKey) UseNextKey() error {
	if err := n.use(); err != nil {
		return fmt.Errorf("put the new signing key in its place: %w", err)
	}
	return nil
}

func (n NextKey) use() error {
	present, err := readKey(n.file)
	if err != nil || present == n.Key {
		return err // it is in use already
	}
	before, err := draftKey(n.file, present)
	if err != nil {
		return err
	}
	defer os.Remove(before)
	if err := os.Rename(before, n.file+oldSuffix); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(n.file)); err != nil {
		return err
	}
	if err := os.Rename(n.Path, n.file); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(n.file))
}

// syncDirectory makes sure that the names in a directory outlive the machine.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
