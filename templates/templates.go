// Package templates embeds the templates of the operator's pages, so that the binary needs no files beside it. Templates only lay out:
// what they show is prepared in actions, and whatever they print is escaped there or by plush.
package templates

import "embed"

// FS holds the templates by file name.
//
//go:embed *.plush.html
var FS embed.FS
