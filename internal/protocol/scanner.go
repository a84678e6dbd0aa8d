package protocol

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner reads one JSON text strictly, object by object. It keeps its memory
// for the next text. All its errors are *MalformedError.
type scanner struct {
	src  bytes.Buffer
	dec  jsontext.Decoder // refuses invalid UTF-8 and duplicate names by itself
	text []byte           // what the string read last says, if it had escapes
}

// endOfObject is what name returns instead of an index at the end of an object.
const endOfObject = -1

// reset begins with a new text, which must stay unchanged until it is read.
func (s *scanner) reset(text []byte) error {
	if i := indexNUL(text); i >= 0 {
		return malformed("json", string(text[max(0, i-40):i]), "a NUL follows in a string")
	}
	// From a bytes.Buffer the decoder reads in place.
	s.src = *bytes.NewBuffer(text)
	s.dec.Reset(&s.src)
	return nil
}

// indexNUL returns where a string in a JSON text contains U+0000, or -1. JSON can
// only write it as an escape: a backslash that is not itself escaped, and u0000.
func indexNUL(text []byte) int {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(`\u0000`))
		if i < 0 {
			return -1
		}
		i += from
		before := text[:i]
		if (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 0 {
			return i
		}
		from = i + len(`\u0000`)
	}
}

// open reads the beginning of an object, or of an array.
func (s *scanner) open(field string, kind jsontext.Kind) error {
	if s.dec.PeekKind() != kind {
		value, err := s.dec.ReadValue()
		if err != nil {
			return s.syntax(err)
		}
		if kind == jsontext.KindBeginArray {
			return malformed(field, string(value), "not an array")
		}
		return malformed(field, string(value), "not an object")
	}
	_, err := s.dec.ReadToken()
	return s.syntax(err)
}

// more reports whether the array that was opened has another element, and
// otherwise reads its end.
func (s *scanner) more() (bool, error) {
	if s.dec.PeekKind() != jsontext.KindEndArray {
		return true, nil
	}
	_, err := s.dec.ReadToken()
	return false, s.syntax(err)
}

// name reads on to the next member that has one of these names and returns the
// name's index, or endOfObject. The member's value must be read next.
func (s *scanner) name(names []string) (int, error) {
	for {
		if s.dec.PeekKind() == jsontext.KindEndObject {
			_, err := s.dec.ReadToken()
			return endOfObject, s.syntax(err)
		}
		quoted, err := s.dec.ReadValue()
		if err != nil {
			return 0, s.syntax(err)
		}
		found := s.unquote(quoted)
		for i, name := range names {
			if string(found) == name {
				return i, nil
			}
		}
		for _, name := range names {
			if strings.EqualFold(string(found), name) {
				return 0, malformed(name, string(found), "a name in the wrong case")
			}
		}
		if err := s.dec.SkipValue(); err != nil {
			return 0, s.syntax(err)
		}
	}
}

// bytes reads a string. The result is valid until the next read.
func (s *scanner) bytes(field string) ([]byte, error) {
	value, err := s.dec.ReadValue()
	if err != nil {
		return nil, s.syntax(err)
	}
	if value.Kind() != jsontext.KindString {
		return nil, malformed(field, string(value), "not a string")
	}
	return s.unquote(value), nil
}

// unquote returns what a JSON string says that the decoder has found valid: a
// part of the text itself, or of the scanner's memory if there are escapes.
func (s *scanner) unquote(quoted jsontext.Value) []byte {
	inside := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return inside
	}
	s.text, _ = jsontext.AppendUnquote(s.text[:0], quoted)
	return s.text
}

// integer reads an integer from 0 to maxInteger.
func (s *scanner) integer(field string) (int64, error) {
	value, err := s.dec.ReadValue()
	if err != nil {
		return 0, s.syntax(err)
	}
	if value.Kind() != jsontext.KindNumber {
		return 0, malformed(field, string(value), "not a number")
	}
	var n int64
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, malformed(field, string(value), "not a plain integer")
		}
		// The product cannot overflow: n is at most 2^62/10 before it.
		if n > maxInteger/10 {
			return 0, malformed(field, string(value), "larger than 2^62")
		}
		n = n*10 + int64(c-'0')
	}
	if n > maxInteger {
		return 0, malformed(field, string(value), "larger than 2^62")
	}
	return n, nil
}

// end checks that nothing but white space follows the value that was read.
func (s *scanner) end() error {
	switch _, err := s.dec.ReadToken(); err {
	case io.EOF:
		return nil
	case nil:
		return malformed("json", "", "more than one value")
	default:
		return s.syntax(err)
	}
}

// syntax turns the decoder's error, if it is one, into a MalformedError that
// points at the place.
func (s *scanner) syntax(err error) error {
	if err == nil {
		return nil
	}
	pointer, reason := "", err.Error() // io.EOF if there is no value at all
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) && syntactic.Err != nil {
		pointer, reason = string(syntactic.JSONPointer), syntactic.Err.Error()
	}
	return malformed("json", pointer, reason)
}
