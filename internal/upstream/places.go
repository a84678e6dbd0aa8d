package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// parsePlaces reads a list in the syntax of GOPROXY. It checks all of it, though what follows "direct" or "off" has no
// effect.
func parsePlaces(list string, web *webClient, direct *direct, maxZip int64, publicHost string) ([]place, error) {
	var places []place
	ended := false
	for rest := list; rest != ""; {
		entry, onError := rest, false
		if i := strings.IndexAny(rest, ",|"); i >= 0 {
			entry, onError, rest = rest[:i], rest[i] == '|', rest[i+1:]
		} else {
			rest = ""
		}
		var p place
		end := false
		switch entry = strings.TrimSpace(entry); entry {
		case "":
			continue
		case "off":
			end = true
		case "direct":
			p, end = place{source: direct}, true
		default:
			base, err := parseBase(entry)
			if err != nil {
				return nil, err
			}
			p = place{
				source:   &proxy{remote: web.at(base), maxZip: maxZip},
				isPublic: publicHost != "" && hostOf(base) == publicHost,
				onError:  onError,
			}
		}
		if !ended {
			places = append(places, p)
		}
		ended = ended || end
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("%q has no entries", list)
	}
	return places, nil
}

// parseBase reads the URL of a proxy or a checksum database. As in GOPROXY, a host stands for its https URL.
func parseBase(text string) (*url.URL, error) {
	bad := func(reason string) error { return fmt.Errorf("%q: %s", redactSetting(text), reason) }
	if strings.ContainsAny(text, ".:/") && !strings.Contains(text, ":/") && !path.IsAbs(text) {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		// What follows in the error of url.Parse may be a piece of the credentials.
		if inner, ok := errors.AsType[*url.Error](err); ok && !strings.Contains(text, "@") {
			return nil, bad("not a URL: " + inner.Err.Error())
		}
		return nil, bad("not a URL")
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return nil, bad("the URL names no host")
		}
		if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
			return nil, bad("the URL must end with its path")
		}
	case "file":
		if *u != (url.URL{Scheme: u.Scheme, Path: u.Path, RawPath: u.RawPath}) || u.Path == "" {
			return nil, bad("a file URL has a path and nothing else")
		}
	case "":
		return nil, bad(`neither a URL nor "direct" nor "off"`)
	default:
		return nil, bad("the scheme must be https, http or file")
	}
	return u, nil
}

// hostOf is the host of a URL in a form that can be compared: lower case, and with its port unless it is the usual one.
func hostOf(u *url.URL) string {
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return host
	}
	return host + ":" + port
}
