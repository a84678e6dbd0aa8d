// Package public embeds the files that the operator's pages load besides themselves: a style sheet, a mark and a script
// that they can do without.
package public

import "embed"

// FS holds the files by name.
//
//go:embed *.css *.svg *.js
var FS embed.FS
