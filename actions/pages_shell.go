package actions

import "strings"

// shellWord is a text as one word of a command that people copy from a page into a POSIX shell. Names and module paths are what others
// chose: nothing in one may be expanded, end the word or begin another command.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@+:,./_-", r)
	}
	if text != "" && strings.TrimLeftFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
