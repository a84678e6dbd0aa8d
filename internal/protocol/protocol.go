// Package protocol is the wire format between deployments: events, the pushes
// that announce them and the pages of an event log that carry them. This
// comment is its specification. HTTP, signatures and storage live elsewhere.
//
// # Text
//
// Everything is JSON as RFC 7493 (I-JSON) restricts it: UTF-8, no lone
// surrogates, no name twice in one object. Nesting deeper than 10,000 is
// refused. In addition, because readers in other languages would disagree or
// could not store it: no string holds U+0000, a name that equals one defined
// here except for its case is an error, and null stands for nothing. Names not
// defined here are ignored, whatever their values. Integers are written without
// sign, fraction and exponent and are at most 2^62.
//
// # Events
//
// An event is an object. The names of every event:
//
//	kind     "add", "deprecate" or "delete"
//	module   module path as in golang.org/x/mod/module, unescaped, at most 1024 bytes
//	version  canonical semantic version that suits the path ("+incompatible" is
//	         the only build metadata), at most 256 bytes
//	origin   name of the deployment whose log held the event first, at most 255
//	         bytes of printable ASCII without "+", as "host" or "host/path"
//	time     RFC 3339, years 1 to 9999; readers drop what is finer than a
//	         microsecond; the zero time of Go counts as none
//
// An "add" has all of these besides, and no reason:
//
//	zip_hash    "h1:" hash of the module zip, padded standard base64
//	zip_sha256  SHA-256 of the zip's bytes, 64 lower-case hexadecimal digits
//	zip_size    size of the zip in bytes, at least 1
//	mod_hash    "h1:" hash of the go.mod, as a checksum database records it
//	info        exact text that .info serves, at most 64 KiB: a JSON object under
//	            the rules above whose "Version" is the event's version and whose
//	            "Time", if there is one, is an RFC 3339 string
//	mod         exact text that .mod serves, at most 2 MiB, matching mod_hash
//
// A "deprecate" or "delete" has none of those six. It may have
//
//	reason      text for people, at most 1024 bytes, without control characters
//
// # Pushes
//
// A push is {"events":[…]} with 1 to 100 events in at most 4 MiB. It carries no
// positions. One malformed event spoils the whole push. An event too large for
// a push is not pushed at all: pulling delivers it.
//
// # Pages
//
// A page of an event log, read after position N, is newline-delimited JSON: one
// event a line, each with one more name,
//
//	position  the event's number in this log; the first is N+1, and each
//	          following one is the previous plus 1
//
// and then one last line, whose newline may be missing:
//
//	{"head":H,"next":P,"checkpoint":"…"}
//
// H is the last position in the log and P the last one in this page, or N if
// the page has no events. The checkpoint, at most 16 KiB, is the signed note about
// the log up to P (see package transparency). The last line may have further names. No line is longer
// than 16 MiB. The writer ends a page at the number of events asked for, or
// before the event that would take it past 8 MiB, its first event not counted. A
// page that breaks any of these rules, or that ends without its last line, is
// discarded whole.
//
// # Introductions
//
// A deployment that asks to become a peer sends {"name":"…","url":"…","key":"…"}:
// its name, its base URL and its verifier key, as it describes itself. One that
// will sign with another key sends {"key":"…","proof":"…"}: the new verifier key,
// and a note that is signed with it. All are strings that are not empty. Neither
// is longer than 64 KiB, nor a base URL than 1024 bytes.
package protocol

import "errors"

// Limits of what goes over the wire. The bytes of a push, page or line are those
// of its JSON, decompressed; the bytes of all others are those of the value that
// the JSON stands for.
const (
	MaxPushEvents = 100     // events in one push
	MaxPushBytes  = 4 << 20 // bytes of one push

	MaxPageEvents = 10000    // events in one page
	MaxPageBytes  = 8 << 20  // bytes of the events that a server puts in one page, beyond the first
	MaxLineBytes  = 16 << 20 // bytes a reader accepts for one line of a page, without its newline

	MaxPathBytes    = 1024     // bytes of a module path
	MaxVersionBytes = 256      // bytes of a version
	MaxOriginBytes  = 255      // bytes of a deployment's name
	MaxReasonBytes  = 1024     // bytes of a reason
	MaxModBytes     = 2 << 20  // bytes of a go.mod
	MaxInfoBytes    = 64 << 10 // bytes of an .info

	MaxCheckpointBytes = 16 << 10 // bytes of the checkpoint of a page
)

// ProblemType is the media type of refusals that a program can read (RFC 9457). Whoever asks a peer says that it takes them; others are
// refused in one line of text, as all were before.
const ProblemType = "application/problem+json"

// maxInteger bounds every integer on the wire, so that adding to a position
// never overflows.
const maxInteger = 1 << 62

// maxReadBytes is what ReadPage takes in at most: a full page, whose first event
// may be as long as a line may be, and room for the last line.
const maxReadBytes = MaxPageBytes + MaxLineBytes + 1<<20

// ErrTooLarge reports a push or a page beyond the limits of this package.
var ErrTooLarge = errors.New("larger than the protocol allows")
