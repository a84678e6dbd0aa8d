package signature

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/dadrus/httpsig"
	"github.com/dunglas/httpsfv"
)

// input is our signature as its two headers state it: well-formed, but not yet true.
type input struct {
	list       httpsfv.InnerList // covered components and parameters, in the sender's order
	signature  httpsfv.Item
	components []string
	created    time.Time
	expires    time.Time
	nonce      string
	keyID      string
}

// parseInput finds the one signature labelled "olympus". Errors are *Error.
func parseInput(h http.Header) (*input, error) {
	inputs, member, err := parseHeader(h, inputHeader)
	if err != nil {
		return nil, err
	}
	list, ok := member.(httpsfv.InnerList)
	if !ok {
		return nil, refuse("%s of %s is not a list of components", inputHeader, label)
	}
	_, member, err = parseHeader(h, signatureHeader)
	if err != nil {
		return nil, err
	}
	signature, ok := member.(httpsfv.Item)
	if !ok {
		return nil, refuse("%s of %s is not a byte sequence", signatureHeader, label)
	}
	if _, ok := signature.Value.([]byte); !ok {
		return nil, refuse("%s of %s is not a byte sequence", signatureHeader, label)
	}

	in := &input{list: list, signature: signature}
	if in.components, err = componentNames(list.Items); err != nil {
		return nil, err
	}
	if err := in.readParameters(inputs.parameters); err != nil {
		return nil, err
	}
	return in, nil
}

// parseHeader parses one of the two headers and returns the member labelled "olympus".
func parseHeader(h http.Header, header string) (fieldKeys, httpsfv.Member, error) {
	lines := h.Values(header)
	if len(lines) == 0 {
		return fieldKeys{}, nil, refuse("the request has no %s header", header)
	}
	joined := strings.Join(lines, ",")
	if len(joined) > maxHeaderBytes {
		return fieldKeys{}, nil, refuse("%s is longer than %d bytes", header, maxHeaderBytes)
	}
	dict, err := parseDictionary(header, joined)
	if err != nil {
		return fieldKeys{}, nil, err
	}
	member, ok := dict.Get(label)
	if !ok {
		return fieldKeys{}, nil, refuse("%s has no signature labelled %s", header, label)
	}
	keys := keysOf(joined)
	if keys.members != 1 {
		return fieldKeys{}, nil, refuse("%s has more than one signature labelled %s", header, label)
	}
	return keys, member, nil
}

// parseDictionary parses a dictionary of RFC 9651. The library panics where a value is a Display String, also in
// signatures that are none of ours; nothing that is signed has one.
func parseDictionary(header, value string) (dict *httpsfv.Dictionary, err error) {
	defer func() {
		if recover() != nil {
			dict, err = nil, refuse("%s cannot be read", header)
		}
	}()
	if dict, err = httpsfv.UnmarshalDictionary([]string{value}); err != nil {
		return nil, refuse("%s is not a dictionary: %v", header, err)
	}
	return dict, nil
}

// componentNames keeps from the library what would make it panic (components that are not strings) and what would
// let one line of the signature base be read in two ways (parameters, other spellings of a name).
func componentNames(items []httpsfv.Item) ([]string, error) {
	names := make([]string, 0, len(items))
	for _, item := range items {
		name, ok := item.Value.(string)
		if !ok || name != strings.ToLower(name) {
			return nil, refuse("a covered component is not a string in lower case")
		}
		if len(item.Params.Names()) > 0 {
			return nil, refuse("component %q has parameters", name)
		}
		if slices.Contains(names, name) {
			return nil, refuse("component %q is covered twice", name)
		}
		names = append(names, name)
	}
	return names, nil
}

// readParameters takes the parameters' values; given holds their names as sent, which the parser has already folded.
func (in *input) readParameters(given []string) error {
	slices.Sort(given)
	for i := 1; i < len(given); i++ {
		if given[i] == given[i-1] {
			return refuse("parameter %s is given twice", given[i])
		}
	}
	var created, expires int64
	var gotTag string
	for _, p := range []struct {
		name   string
		number *int64
		text   *string
	}{
		{name: "created", number: &created},
		{name: "expires", number: &expires},
		{name: "nonce", text: &in.nonce},
		{name: "keyid", text: &in.keyID},
		{name: "tag", text: &gotTag},
	} {
		value, ok := in.list.Params.Get(p.name)
		if !ok {
			return refuse("parameter %s is missing", p.name)
		}
		if p.number != nil {
			*p.number, ok = value.(int64)
		} else {
			*p.text, ok = value.(string)
		}
		if !ok {
			return refuse("parameter %s has the wrong type", p.name)
		}
	}
	// Integers of a structured field have 15 digits at most: no arithmetic on these times overflows.
	in.created, in.expires = time.Unix(created, 0), time.Unix(expires, 0)

	switch alg, ok := in.list.Params.Get("alg"); {
	case ok && alg != string(httpsig.Ed25519):
		return refuse("alg is not %s", httpsig.Ed25519)
	case gotTag != tag:
		return refuse("tag is not %q", tag)
	case in.nonce == "" || len(in.nonce) > maxNonce:
		return refuse("nonce of %d characters, not 1 to %d", len(in.nonce), maxNonce)
	case in.keyID == "" || len(in.keyID) > maxKeyID:
		return refuse("keyid of %d characters, not 1 to %d", len(in.keyID), maxKeyID)
	}
	return nil
}

// check says whether the signature, if true, would be one for this moment and this kind of request.
func (in *input) check(now time.Time, hasBody bool) error {
	required := []string{methodComponent, targetComponent}
	if hasBody {
		required = append(required, digestComponent)
	}
	for _, name := range required {
		if !slices.Contains(in.components, name) {
			return refuse("component %q is not covered", name)
		}
	}
	switch {
	case in.expires.Before(in.created):
		return refuse("it expires before it was created")
	case in.expires.Sub(in.created) > maxLifetime:
		return refuse("it is valid for %s, longer than %s", in.expires.Sub(in.created), maxLifetime)
	case in.created.After(now.Add(Tolerance)):
		return refuse("it was created at %s, and it is %s here", stamp(in.created), stamp(now))
	case in.expires.Before(now.Add(-Tolerance)):
		return refuse("it expired at %s, and it is %s here", stamp(in.expires), stamp(now))
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// fieldKeys are the keys in a dictionary field as they were sent. RFC 9651 lets the last of several win, and so does
// the parser, silently; a signature in which two readers can see two different things is refused instead.
type fieldKeys struct {
	members    int      // how many members are labelled "olympus"
	parameters []string // names of its parameters, repetitions included
}

// keysOf walks over a dictionary field that has been parsed without error, and so need not check anything: outside
// strings a key follows the start, a comma (member) or a semicolon (parameter, also of a component: but we allow none).
func keysOf(field string) fieldKeys {
	var keys fieldKeys
	var ours, quoted bool
	member := func(rest string) {
		if ours = leadingKey(rest) == label; ours {
			keys.members++
		}
	}
	member(field)
	for i := 0; i < len(field); i++ {
		switch c := field[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == ',':
			member(field[i+1:])
		case c == ';' && ours:
			keys.parameters = append(keys.parameters, leadingKey(field[i+1:]))
		}
	}
	return keys
}

func leadingKey(s string) string {
	s = strings.TrimLeft(s, " \t")
	if end := strings.IndexAny(s, "=;, \t"); end >= 0 {
		s = s[:end]
	}
	return s
}
