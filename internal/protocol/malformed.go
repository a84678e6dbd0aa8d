package protocol

import (
	"errors"
	"fmt"
)

// maxShownBytes is how much of an offending value an error repeats: enough to
// recognise it in a log, too little to flood one.
const maxShownBytes = 120

// MalformedError says which part of an event, push or page breaks the rules.
// It means that the writer is at fault, not the connection.
type MalformedError struct {
	Field  string // name of the offending member, or of the whole: "push", "line"
	Value  string // what it held: as text, or as raw JSON if it has the wrong type
	Reason string // why it was refused
}

// Error returns one line with at most the first 120 bytes of the value.
func (e *MalformedError) Error() string {
	if len(e.Value) > maxShownBytes {
		return fmt.Sprintf("malformed %s %q… (%d bytes): %s", e.Field, e.Value[:maxShownBytes], len(e.Value), e.Reason)
	}
	return fmt.Sprintf("malformed %s %q: %s", e.Field, e.Value, e.Reason)
}

// malformed is used for its shortness where an event is checked field by field.
func malformed(field, value, reason string) error {
	return &MalformedError{Field: field, Value: value, Reason: reason}
}

// innermost strips the wrapping of golang.org/x/mod's errors, which repeats the
// path and version that a MalformedError names already.
func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
