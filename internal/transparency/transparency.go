// Package transparency makes an event log a transparency log: the text of an event that is hashed into the tree, the Merkle tree of
// RFC 6962 over these texts, its tiles of 256 hashes, and the checkpoint, a signed head.
//
// Hashes and tiles are those of golang.org/x/mod/sumdb/tlog with tiles of height 8, so that the go command, its checksum database
// client, and monitors and witnesses of C2SP tlog-tiles logs read them as they are. Event n of the log is leaf n-1 of the tree.
//
// The package computes; it knows no database and no network.
package transparency

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"olympus/internal/protocol"
)

// timeFormat writes all six digits of a time's microseconds, so that there is one spelling.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// Record is the text of an event that the tree holds. It covers every field: what is not in it as it stands is in it as a hash.
//
// For an add the first two lines are those that the go command keeps in go.sum, so that it can check modules against the log:
//
//	example.com/m v1.0.0 h1:…
//	example.com/m v1.0.0/go.mod h1:…
//	kind add
//	origin om.example.com
//	time 2026-11-22T12:00:00.000001Z
//	zip 1234 (size in bytes) 9f86… (SHA-256)
//	info 60303a… (SHA-256 of .info)
//
// Other events have a line with their version instead, and the reason where there is one:
//
//	kind delete
//	version example.com/m v1.0.0
//	origin om.example.com
//	time 2026-11-22T12:00:00.000001Z
//	reason holds a credential
//
// The go command looks for lines that begin with a module path. None of the others can: the first element of a path has a dot.
func Record(e *protocol.Event) []byte {
	b := make([]byte, 0, 512)
	if e.Kind == protocol.KindAdd {
		b = append(b, e.Module+" "+e.Version+" "+e.ZipHash+"\n"...)
		b = append(b, e.Module+" "+e.Version+"/go.mod "+e.ModHash+"\n"...)
	}
	b = append(b, "kind "+string(e.Kind)+"\n"...)
	if e.Kind != protocol.KindAdd {
		b = append(b, "version "+e.Module+" "+e.Version+"\n"...)
	}
	b = append(b, "origin "+e.Origin+"\ntime "...)
	b = e.Time.UTC().AppendFormat(b, timeFormat)
	b = append(b, '\n')
	if e.Kind == protocol.KindAdd {
		b = append(b, "zip "...)
		b = strconv.AppendInt(b, e.ZipSize, 10)
		b = append(b, " "+e.ZipSHA256+"\n"...)
		info := sha256.Sum256([]byte(e.Info))
		b = append(hex.AppendEncode(append(b, "info "...), info[:]), '\n')
	} else if e.Reason != "" {
		b = append(b, "reason "+e.Reason+"\n"...)
	}
	return b
}

// Leaf is the hash of an event in the tree.
func Leaf(e *protocol.Event) tlog.Hash { return tlog.RecordHash(Record(e)) }
