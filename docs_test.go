package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// What the documents name of the source is there: files, directories, and the constants of the table of limits.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	words := make(map[string]bool) // of the source
	files := make(map[string]bool) // by path and by name
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "." {
			return fs.SkipDir
		}
		files[path], files[filepath.Base(path)] = true, true
		if filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
			b, err := os.ReadFile(path)
			for word := range bytes.FieldsFuncSeq(b, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				words[string(word)] = true
			}
			return err
		}
		return nil
	}))
	named := regexp.MustCompile("`[A-Za-z_][A-Za-z0-9_./]*`")
	isPath := regexp.MustCompile(`^(actions|bench|browser|config|demo|docs|faults|federation|grifts|internal|migrations|models|public|scripts|templates|worker)/|^[a-z_]+\.(go|yml)$`)
	for _, document := range []string{"README.md", "docs/architecture.md", "docs/operating.md", "docs/protocol.md", "docs/security.md"} {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		_, limits, _ := bytes.Cut(text, []byte("\n## Limits\n"))
		isLimit := make(map[string]bool)
		for _, name := range named.FindAll(limits, -1) {
			isLimit[string(name)] = document == "docs/operating.md"
		}
		for _, quoted := range named.FindAll(text, -1) {
			name := strings.Trim(string(quoted), "`")
			switch {
			case isPath.MatchString(name):
				require.True(t, files[strings.TrimSuffix(name, "/")], "%s names %s", document, name)
			case isLimit[string(quoted)]:
				require.True(t, words[name[strings.LastIndexByte(name, '.')+1:]], "%s names %s", document, name)
			}
		}
	}
}
