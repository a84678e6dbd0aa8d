package protocol

import (
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxJoinBytes bounds a request to join and the announcement of a key.
const MaxJoinBytes = 64 << 10

// maxURLBytes bounds what anybody may have shown to an operator.
const maxURLBytes = 1024

// Join is how a deployment introduces itself to one that it wants as a peer: as it answers GET /peer.
type Join struct {
	Name string // as ValidateName has it
	URL  string // base URL, not checked here
	Key  string // note verifier key, not checked here
}

// NewKey announces the key that a deployment will sign with.
type NewKey struct {
	Key   string // note verifier key, not checked here
	Proof string // note that is signed with it, not checked here (see package signature)
}

var (
	joinNames   = []string{"name", "url", "key"}
	newKeyNames = []string{"key", "proof"}
)

// ParseJoin reads the body of a request to join. The error wraps ErrTooLarge for more than MaxJoinBytes, and is else a *MalformedError.
func ParseJoin(body []byte) (Join, error) {
	var j Join
	if err := parseStrings(body, "join", joinNames, &j.Name, &j.URL, &j.Key); err != nil {
		return Join{}, err
	}
	if err := ValidateName(j.Name); err != nil {
		return Join{}, err
	}
	if len(j.URL) > maxURLBytes {
		return Join{}, malformed("url", j.URL, "longer than 1024 bytes")
	}
	return j, nil
}

// ParseNewKey reads the body of the announcement of a key. Its errors are those of ParseJoin.
func ParseNewKey(body []byte) (NewKey, error) {
	var k NewKey
	if err := parseStrings(body, "announcement", newKeyNames, &k.Key, &k.Proof); err != nil {
		return NewKey{}, err
	}
	return k, nil
}

// AppendJoin appends a request to join, whose strings must be valid UTF-8.
func AppendJoin(dst []byte, j Join) []byte {
	return appendStrings(dst, joinNames, j.Name, j.URL, j.Key)
}

// AppendNewKey appends the announcement of a key, whose strings must be valid UTF-8.
func AppendNewKey(dst []byte, k NewKey) []byte {
	return appendStrings(dst, newKeyNames, k.Key, k.Proof)
}

// parseStrings reads an object that has a string, not empty, under each of the names.
func parseStrings(body []byte, what string, names []string, into ...*string) error {
	if len(body) > MaxJoinBytes {
		return fmt.Errorf("%s of %d bytes: %w", what, len(body), ErrTooLarge)
	}
	var s scanner
	if err := s.reset(body); err != nil {
		return err
	}
	if err := s.open(what, jsontext.KindBeginObject); err != nil {
		return err
	}
	for {
		i, err := s.name(names)
		if err != nil {
			return err
		}
		if i == endOfObject {
			break
		}
		text, err := s.bytes(names[i])
		if err != nil {
			return err
		}
		*into[i] = string(text)
	}
	for i, name := range names {
		if *into[i] == "" {
			return malformed(name, "", "missing or empty")
		}
	}
	return s.end()
}

func appendStrings(dst []byte, names []string, values ...string) []byte {
	dst = append(dst, '{')
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, name), ':')
		dst = appendString(dst, values[i])
	}
	return append(dst, '}')
}
