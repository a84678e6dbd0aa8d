package transparency

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// MaxSize is the largest number of leaves that a tree may have, 2^62.
const MaxSize = 1 << 62

// Edge is the right edge of a tree: the roots of the perfect subtrees that the tree consists of, the largest first. It is all that one
// needs to keep in order to append leaves and to know the root, some hundred bytes for any log. The zero Edge is that of the empty tree.
type Edge struct {
	size   int64
	hashes []tlog.Hash // one for each bit that is set in size
}

// Size is the number of leaves.
func (e *Edge) Size() int64 { return e.size }

// Append adds a leaf.
func (e *Edge) Append(leaf tlog.Hash) {
	e.hashes = append(e.hashes, leaf)
	// Two perfect subtrees of one size become one, as often as a carry runs in size+1.
	for n := e.size; n&1 == 1; n >>= 1 {
		last := len(e.hashes) - 1
		e.hashes[last-1] = tlog.NodeHash(e.hashes[last-1], e.hashes[last])
		e.hashes = e.hashes[:last]
	}
	e.size++
}

// Root is the hash of the whole tree; that of the empty tree is the SHA-256 of nothing (RFC 6962, 2.1).
func (e *Edge) Root() tlog.Hash {
	if e.size == 0 {
		hash, _ := tlog.TreeHash(0, nil) // reads nothing
		return hash
	}
	root := e.hashes[len(e.hashes)-1]
	for i := len(e.hashes) - 2; i >= 0; i-- {
		root = tlog.NodeHash(e.hashes[i], root)
	}
	return root
}

// Clone returns a copy that can be appended to while the edge stays as it is.
func (e *Edge) Clone() *Edge {
	return &Edge{size: e.size, hashes: append([]tlog.Hash(nil), e.hashes...)}
}

// Bytes are the hashes, one after the other: with the size they are the edge.
func (e *Edge) Bytes() []byte {
	b := make([]byte, 0, len(e.hashes)*tlog.HashSize)
	for _, h := range e.hashes {
		b = append(b, h[:]...)
	}
	return b
}

// ParseEdge is the inverse of Size and Bytes.
func ParseEdge(size int64, hashes []byte) (*Edge, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("edge of a tree of size %d: not in 0 to 2^62", size)
	}
	if want := bits.OnesCount64(uint64(size)) * tlog.HashSize; len(hashes) != want {
		return nil, fmt.Errorf("edge of a tree of size %d: %d bytes of hashes, want %d", size, len(hashes), want)
	}
	e := &Edge{size: size}
	for ; len(hashes) > 0; hashes = hashes[tlog.HashSize:] {
		e.hashes = append(e.hashes, tlog.Hash(hashes[:tlog.HashSize]))
	}
	return e, nil
}

// ReadEdge reads the edge of a tree of the given size from the hashes of that tree or of one that extends it.
func ReadEdge(size int64, hashes tlog.HashReader) (*Edge, error) {
	if size < 0 || size > MaxSize {
		return nil, fmt.Errorf("edge of a tree of size %d: not in 0 to 2^62", size)
	}
	var indexes []int64
	begin := int64(0)
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- {
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, begin>>level))
			begin += 1 << level
		}
	}
	if len(indexes) == 0 {
		return &Edge{}, nil
	}
	read, err := hashes.ReadHashes(indexes)
	if err != nil {
		return nil, fmt.Errorf("read the edge of the tree of size %d: %w", size, err)
	}
	return &Edge{size: size, hashes: read}, nil
}
