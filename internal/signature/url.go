package signature

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// BaseURL checks the base URL of a deployment and returns its normal form: an absolute http or https URL without
// user, query and fragment, scheme and host in lower case, no default port, no slash at the end.
//
// Signer and receiver must spell it alike, for it is part of what is signed.
func BaseURL(s string) (string, error) {
	u, err := parseBase(s)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return nil, fmt.Errorf("base URL %q: %w", s, err)
	}
	problem := ""
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		problem = "must begin with http:// or https://"
	case u.Opaque != "" || u.Hostname() == "":
		problem = "has no host"
	case u.User != nil:
		problem = "must not hold a user or password"
	case u.RawQuery != "" || u.ForceQuery:
		problem = "must not have a query"
	case strings.Contains(s, "#"):
		problem = "must not have a fragment"
	case !plainHost(u.Host):
		problem = "has a host that is not plain ASCII (write international names in punycode)"
	case !validPort(u.Port()):
		problem = "has a port that does not exist"
	case u.RawPath != "":
		problem = "has a path with needless escapes"
	}
	// Proxies and servers resolve these before they pass a request on, and would change what was signed.
	trimmed := strings.TrimRight(u.Path, "/")
	if problem == "" && trimmed != "" && path.Clean(trimmed) != trimmed {
		problem = "has a path with empty, . or .. parts"
	}
	if problem != "" {
		return nil, fmt.Errorf("base URL %q %s", u.Redacted(), problem)
	}
	return &url.URL{Scheme: u.Scheme, Host: normalHost(u), Path: trimmed}, nil
}

// targetURI is the URL that a client's request goes to, as it is signed.
func targetURI(u *url.URL) (*url.URL, error) {
	if u == nil || u.Scheme == "" || u.Host == "" || u.Opaque != "" {
		return nil, errors.New("the URL of the request is not absolute")
	}
	target := &url.URL{
		Scheme:     u.Scheme,
		Host:       normalHost(u),
		Path:       u.Path,
		RawPath:    u.RawPath,
		RawQuery:   u.RawQuery,
		ForceQuery: u.ForceQuery,
	}
	if target.Path == "" {
		target.Path = "/" // what is sent
	}
	return target, nil
}

// normalHost is RFC 9110, 4.2.3: lower case, the scheme's own port left out.
func normalHost(u *url.URL) string {
	host, port := strings.ToLower(u.Host), u.Port()
	if port == "" || u.Scheme == "http" && port == "80" || u.Scheme == "https" && port == "443" {
		return strings.TrimSuffix(host, ":"+port)
	}
	return host
}

func plainHost(host string) bool {
	for _, c := range []byte(host) {
		if c <= ' ' || c > '~' || strings.IndexByte(`%"<>\^{}|`+"`", c) >= 0 {
			return false
		}
	}
	return true
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}
