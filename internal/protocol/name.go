package protocol

import "strings"

// ValidateName reports whether name can name a deployment: a host, or a host and
// a path, as in the name of a checksum database (golang.org/x/mod/sumdb/note
// forbids spaces and plus signs in it). The error is a *MalformedError.
func ValidateName(name string) error {
	if fault := nameFault(name); fault != "" {
		return malformed("name", name, fault)
	}
	return nil
}

// nameFault says what is wrong with a deployment's name, or nothing.
func nameFault(name string) string {
	switch {
	case name == "":
		return "empty"
	case len(name) > MaxOriginBytes:
		return "longer than 255 bytes"
	case name[0] == '/' || name[len(name)-1] == '/':
		return "begins or ends with a slash"
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || c == '+' {
			return "not printable ASCII without spaces and plus signs"
		}
	}
	// Names become paths of URLs, where clients resolve such elements away.
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element == "." || element == ".." {
			return "has an empty or dot element"
		}
	}
	return ""
}
