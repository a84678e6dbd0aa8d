package transparency

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"
)

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	root, old := leafOf(1), leafOf(2)
	for _, c := range []*Checkpoint{
		{Origin: "om.example.com", Root: root, Epoch: 1},
		{Origin: "om.example.com/eu", Size: 1234, Root: root, Epoch: 1},
		{Origin: GoSumTree, Size: MaxSize, Root: root, Epoch: 3, After: &End{1300, old}},
	} {
		got, err := ParseCheckpoint(c.Text(), c.Origin)
		require.NoError(t, err)
		require.Equal(t, c, got)
		got, err = ParseCheckpoint(c.Text()+"something later\n", c.Origin)
		require.NoError(t, err)
		require.Equal(t, c, got)
	}
	// The go command reads the second form as the signed tree of a checksum database.
	tree, err := tlog.ParseTree([]byte((&Checkpoint{Origin: GoSumTree, Size: 7, Root: root, Epoch: 1}).Text()))
	require.NoError(t, err)
	require.Equal(t, tlog.Tree{N: 7, Hash: root}, tree)
}

func TestCheckpointRefused(t *testing.T) {
	t.Parallel()
	const origin = "om.example.com"
	hash := leafOf(1).String()
	for name, text := range map[string]string{
		"empty":               "",
		"no newline":          origin + "\n1\n" + hash + "\nepoch 1",
		"no epoch":            origin + "\n1\n" + hash + "\n",
		"another name":        "oa.example.com\n1\n" + hash + "\nepoch 1\n",
		"size with a sign":    origin + "\n+1\n" + hash + "\nepoch 1\n",
		"size with a zero":    origin + "\n01\n" + hash + "\nepoch 1\n",
		"negative size":       origin + "\n-1\n" + hash + "\nepoch 1\n",
		"size above 2^62":     origin + "\n4611686018427387905\n" + hash + "\nepoch 1\n",
		"size beyond an int":  origin + "\n99999999999999999999\n" + hash + "\nepoch 1\n",
		"short root":          origin + "\n1\nAAAA\nepoch 1\n",
		"root of other bits":  origin + "\n1\n" + hash[:42] + "B=\nepoch 1\n",
		"root of no base64":   origin + "\n1\n" + strings.Repeat("!", 44) + "\nepoch 1\n",
		"epoch zero":          origin + "\n1\n" + hash + "\nepoch 0\n",
		"epoch of a word":     origin + "\n1\n" + hash + "\nepoch one\n",
		"another line":        origin + "\n1\n" + hash + "\nera 1\n",
		"no end before":       origin + "\n1\n" + hash + "\nepoch 2\n",
		"end without root":    origin + "\n1\n" + hash + "\nepoch 2\nafter 7\n",
		"end of another word": origin + "\n1\n" + hash + "\nepoch 2\nbefore 7 " + hash + "\n",
		"end with bad root":   origin + "\n1\n" + hash + "\nepoch 2\nafter 7 x\n",
		"end with bad size":   origin + "\n1\n" + hash + "\nepoch 2\nafter -7 " + hash + "\n",
	} {
		_, err := ParseCheckpoint(text, origin)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "\n", name)
	}
}

func TestCheckpointExtends(t *testing.T) {
	t.Parallel()
	at := func(epoch, size int64, root tlog.Hash) *Checkpoint {
		return &Checkpoint{Size: size, Root: root, Epoch: epoch}
	}
	for _, test := range []struct {
		later, earlier *Checkpoint
		want           bool
	}{
		{at(1, 5, leafOf(1)), at(1, 5, leafOf(1)), true},
		{at(1, 6, leafOf(2)), at(1, 5, leafOf(1)), true},
		{at(1, 5, leafOf(2)), at(1, 5, leafOf(1)), false},
		{at(1, 4, leafOf(2)), at(1, 5, leafOf(1)), false},
		{at(2, 1, leafOf(2)), at(1, 5, leafOf(1)), true},
		{at(1, 9, leafOf(2)), at(2, 5, leafOf(1)), false},
	} {
		require.Equal(t, test.want, test.later.Extends(test.earlier))
	}
}

// What is accepted is written back as it was, and nothing panics.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add("om.example.com\n1234\n" + leafOf(1).String() + "\nepoch 1\n")
	f.Add("om.example.com\n1\n" + leafOf(1).String() + "\nepoch 2\nafter 3 " + leafOf(2).String() + "\nmore\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text, "om.example.com")
		if err != nil {
			return
		}
		if !strings.HasPrefix(text, c.Text()) {
			t.Fatalf("%q was read as %q", text, c.Text())
		}
	})
}
