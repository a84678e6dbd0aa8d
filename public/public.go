// Package public embeds the files that the operator's pages load besides themselves: a style sheet and a mark. There is no script.
package public

import "embed"

// FS holds the files by name.
//
//go:embed *.css *.svg
var FS embed.FS
