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
	isPath := regexp.MustCompile(`^(actions|bench|browser|config|demo|docs|faults|federation|grifts|internal|migrations|models|packaging|public|scripts|templates|worker)/|^[a-z_]+\.(go|yml)$`)
	for _, document := range documents(t) {
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

func documents(t *testing.T) []string {
	t.Helper()
	top, err := filepath.Glob("*.md")
	require.NoError(t, err)
	docs, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, top)
	require.NotEmpty(t, docs)
	return append(top, docs...)
}

// Links between the documents, and to the source, lead somewhere: to a file, and to a heading in it.
func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, found := range link.FindAllSubmatch(text, -1) {
			target := string(found[1])
			if strings.Contains(target, "://") {
				continue
			}
			path, anchor, _ := strings.Cut(target, "#")
			if path = filepath.Join(filepath.Dir(document), path); strings.HasPrefix(target, "#") {
				path = document
			}
			linked, err := os.ReadFile(path)
			if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
				err = nil
			}
			require.NoError(t, err, "%s links to %s", document, target)
			if anchor != "" {
				require.Contains(t, anchors(linked), anchor, "%s links to %s", document, target)
			}
		}
	}
}

// anchors are what the headings of a document are linked by.
func anchors(text []byte) []string {
	var all []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		all = append(all, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return r
			}
			return -1
		}, heading))
	}
	return all
}
