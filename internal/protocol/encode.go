package protocol

import (
	"strconv"
	"time"
)

// AppendPush appends a push of these events, which must be valid. It does not
// look at MaxPushEvents and MaxPushBytes: what to leave out is the caller's choice.
func AppendPush(dst []byte, events []Event) []byte {
	dst = append(dst, `{"events":[`...)
	for i := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendEvent(dst, &events[i])
	}
	return append(dst, "]}"...)
}

// AppendEvent appends an event, which must be valid, as in a push: a JSON object
// without a position.
func AppendEvent(dst []byte, e *Event) []byte {
	return appendMembers(append(dst, '{'), e)
}

// AppendLine appends an event, which must be valid, as in a page: a JSON object
// with its position, and a newline.
func AppendLine(dst []byte, l *Logged) []byte {
	dst = append(dst, `{"position":`...)
	dst = appendInt(dst, l.Position)
	dst = append(dst, ',')
	return append(appendMembers(dst, &l.Event), '\n')
}

// AppendTail appends the last line of a page, newline included: the last
// position in the log, the last in the page, and the signed checkpoint of the
// log up to there, unless it is empty.
func AppendTail(dst []byte, head, next int64, checkpoint string) []byte {
	dst = append(dst, `{"head":`...)
	dst = appendInt(dst, head)
	dst = append(dst, `,"next":`...)
	dst = appendInt(dst, next)
	if checkpoint != "" {
		dst = append(dst, `,"checkpoint":`...)
		dst = appendString(dst, checkpoint)
	}
	return append(dst, "}\n"...)
}

// appendMembers appends the inside of an event's object, and its end.
func appendMembers(dst []byte, e *Event) []byte {
	dst = append(dst, `"kind":`...)
	dst = appendString(dst, string(e.Kind))
	dst = append(dst, `,"module":`...)
	dst = appendString(dst, e.Module)
	dst = append(dst, `,"version":`...)
	dst = appendString(dst, e.Version)
	dst = append(dst, `,"origin":`...)
	dst = appendString(dst, e.Origin)
	dst = append(dst, `,"time":"`...)
	dst = appendTime(dst, e.Time)
	dst = append(dst, '"')
	if e.Kind == KindAdd {
		dst = append(dst, `,"zip_hash":`...)
		dst = appendString(dst, e.ZipHash)
		dst = append(dst, `,"zip_sha256":`...)
		dst = appendString(dst, e.ZipSHA256)
		dst = append(dst, `,"zip_size":`...)
		dst = appendInt(dst, e.ZipSize)
		dst = append(dst, `,"mod_hash":`...)
		dst = appendString(dst, e.ModHash)
		dst = append(dst, `,"info":`...)
		dst = appendString(dst, e.Info)
		dst = append(dst, `,"mod":`...)
		dst = appendString(dst, e.Mod)
	} else if e.Reason != "" {
		dst = append(dst, `,"reason":`...)
		dst = appendString(dst, e.Reason)
	}
	return append(dst, '}')
}

// appendTime appends a time with up to six fractional digits. Once truncated,
// the layout with nine writes the same as one with six, and Go writes it faster.
func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().Truncate(time.Microsecond).AppendFormat(dst, time.RFC3339Nano)
}

func appendInt(dst []byte, n int64) []byte {
	return strconv.AppendInt(dst, n, 10)
}

// appendString appends s, which must be valid UTF-8, as a JSON string. It
// escapes what JSON demands and nothing more.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	done := 0 // everything before it is in dst
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}
