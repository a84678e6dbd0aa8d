package models

import (
	"errors"

	"github.com/gobuffalo/pop/v6"
)

// ChecksumFile returns what the client of the checksum database keeps under a name; nil when there is nothing.
func ChecksumFile(tx *pop.Connection, file string) ([]byte, error) {
	var row struct {
		Content []byte `db:"content"`
	}
	err := one(tx, &row, "read checksum file "+file, `SELECT content FROM checksum_files WHERE file = ?`, file)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return row.Content, err
}

// SaveChecksumFile keeps a file that never changes once known (a tile, a lookup).
func SaveChecksumFile(tx *pop.Connection, file string, content []byte) error {
	_, err := exec(tx, "keep checksum file "+file, `
		INSERT INTO checksum_files (file, content) VALUES (?, ?) ON CONFLICT (file) DO UPDATE SET content = excluded.content`,
		file, content)
	return err
}

// SwapChecksumFile replaces a file if it still is what the caller has seen (nil: not there), and reports whether it did.
func SwapChecksumFile(tx *pop.Connection, file string, old, new []byte) (bool, error) {
	if len(old) == 0 {
		n, err := exec(tx, "keep checksum file "+file,
			`INSERT INTO checksum_files (file, content) VALUES (?, ?) ON CONFLICT DO NOTHING`, file, new)
		return n == 1, err
	}
	n, err := exec(tx, "replace checksum file "+file,
		`UPDATE checksum_files SET content = ? WHERE file = ? AND content = ?`, new, file, old)
	return n == 1, err
}
