package transparency

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// GoSumTree is the first line of a checkpoint as the go command wants it of a checksum database; in all others it is the name of the
// deployment, which cannot have a space.
const GoSumTree = "go.sum database tree"

// Checkpoint is what a deployment signs about its log: this many events have this root. Its text is a checkpoint of C2SP
// tlog-checkpoint, with the epoch in extension lines:
//
//	om.example.com
//	1234
//	CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//	epoch 2
//	after 1300 k6Zt4p3sDkEMXv8l5h0jA9pkQx1Y2dZyXbVZ3zt7rGk=
//
// Within an epoch the log only grows. A deployment that has lost the end of its log, because its database was restored from a backup,
// begins a new one and names in each of its checkpoints the last that it had signed in the epoch before.
type Checkpoint struct {
	Origin string // the name of the deployment, or GoSumTree
	Size   int64  // of the tree: the number of events
	Root   tlog.Hash
	Epoch  int64 // from 1
	After  *End  // of the epoch before; nil in the first
}

// End is the last that was signed of an epoch.
type End struct {
	Size int64
	Root tlog.Hash
}

// Text is what is signed.
func (c *Checkpoint) Text() string {
	text := fmt.Sprintf("%s\n%d\n%s\nepoch %d\n", c.Origin, c.Size, c.Root, c.Epoch)
	if c.After != nil {
		text += fmt.Sprintf("after %d %s\n", c.After.Size, c.After.Root)
	}
	return text
}

// Extends reports whether c can be a later checkpoint of the log that other was one of, by their sizes and epochs alone. Two of one size
// and epoch must have one root.
func (c *Checkpoint) Extends(other *Checkpoint) bool {
	switch {
	case c.Epoch != other.Epoch:
		return c.Epoch > other.Epoch
	case c.Size != other.Size:
		return c.Size > other.Size
	}
	return c.Root == other.Root
}

// ParseCheckpoint reads the text of a checkpoint with the given first line. There is one spelling: what Text would not write is refused.
// Extension lines of other kinds may follow.
func ParseCheckpoint(text, origin string) (*Checkpoint, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if !strings.HasSuffix(text, "\n") || len(lines) < 4 {
		return nil, fmt.Errorf("checkpoint of %d lines: want origin, size, root and epoch", len(lines))
	}
	if lines[0] != origin {
		return nil, fmt.Errorf("checkpoint of %.200q, want one of %q", lines[0], origin)
	}
	c := &Checkpoint{Origin: origin}
	var err error
	if c.Size, err = parseSize(lines[1]); err != nil {
		return nil, fmt.Errorf("size of the checkpoint: %w", err)
	}
	if c.Root, err = parseHash(lines[2]); err != nil {
		return nil, fmt.Errorf("root of the checkpoint: %w", err)
	}
	epoch, ok := strings.CutPrefix(lines[3], "epoch ")
	if c.Epoch, err = parseSize(epoch); err != nil || !ok || c.Epoch == 0 {
		return nil, fmt.Errorf("epoch of the checkpoint: line %.200q, want epoch and a number from 1", lines[3])
	}
	if c.Epoch == 1 {
		return c, nil
	}
	if len(lines) < 5 {
		return nil, fmt.Errorf("checkpoint of epoch %d: it does not name the end of the epoch before", c.Epoch)
	}
	fields := strings.Split(lines[4], " ")
	if len(fields) != 3 || fields[0] != "after" {
		return nil, fmt.Errorf("checkpoint of epoch %d: line %.200q, want after, a size and a root", c.Epoch, lines[4])
	}
	c.After = &End{}
	if c.After.Size, err = parseSize(fields[1]); err != nil {
		return nil, fmt.Errorf("end of the epoch before: %w", err)
	}
	if c.After.Root, err = parseHash(fields[2]); err != nil {
		return nil, fmt.Errorf("end of the epoch before: %w", err)
	}
	return c, nil
}

func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > MaxSize || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%.40q is not a number from 0 to 2^62", s)
	}
	return n, nil
}

func parseHash(s string) (tlog.Hash, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(b) != tlog.HashSize || base64.StdEncoding.EncodeToString(b) != s {
		return tlog.Hash{}, fmt.Errorf("%.80q is not a hash of 32 bytes in base64", s)
	}
	return tlog.Hash(b), nil
}
