package download

import "strings"

// unescape undoes the "!" escaping. It is false for a lone "!", a letter in upper case and anything but ASCII. A
// string without escapes, which is most of them, is returned as it is.
func unescape(s string) (string, bool) {
	escapes := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '!':
			if i++; i == len(s) || s[i] < 'a' || 'z' < s[i] {
				return "", false
			}
			escapes++
		case 'A' <= c && c <= 'Z', c >= 0x80:
			return "", false
		}
	}
	if escapes == 0 {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s) - escapes)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '!' {
			i++
			c = s[i] - 'a' + 'A'
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// appendEscaped appends s with the "!" escaping, and with percent-encoding of what a URL path may not hold.
func appendEscaped(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z':
			b = append(b, '!', c-'A'+'a')
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.IndexByte("/-._~$&+=@(),", c) >= 0:
			b = append(b, c)
		default:
			b = append(b, '%', hex[c>>4], hex[c&15])
		}
	}
	return b
}

// decode undoes percent-encoding, once. The reason is set if that is not possible, or not without doubt; the path
// is decoded as far as can be nevertheless, because only then it shows whether it is a download request.
func decode(s string) (path, reason string) {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) || nibble(s[i+1]) < 0 || nibble(s[i+2]) < 0 {
			reason = "invalid percent-encoding"
			b.WriteByte('%')
			continue
		}
		c := byte(nibble(s[i+1])<<4 | nibble(s[i+2]))
		if c == '/' {
			reason = "percent-encoded slash"
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), reason
}

// nibble is the value of a hexadecimal digit, or -1.
func nibble(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
