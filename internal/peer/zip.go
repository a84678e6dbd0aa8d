package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

const maxRedirects = 3

// Zip downloads a zip that a peer holds and writes it to w: not more than maxBytes, and nothing at all if the peer
// announces that it is larger, or that it is another one than wantSHA256 (64 hexadecimal digits; empty: any).
//
// What was written has not been verified, and after an error it is a part. Errors are ErrNotFound, ErrOtherBytes,
// ErrTooLarge, ErrSlow, a *StatusError, or from w or the network.
func (c *Client) Zip(ctx context.Context, t Target, path, version, wantSHA256 string, maxBytes int64, w io.Writer) error {
	call, resp, err := c.openZip(ctx, http.MethodGet, t, path, version)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case notFound(resp):
		return fmt.Errorf("%s: %w", call, ErrNotFound)
	case resp.StatusCode != http.StatusOK:
		return statusError(call, resp)
	case wantSHA256 != "" && !call.unsigned && namesOther(resp.Header.Get("ETag"), wantSHA256):
		return fmt.Errorf("%s: %w", call, ErrOtherBytes)
	case resp.ContentLength > maxBytes:
		return fmt.Errorf("%s: %d bytes, %d accepted: %w", call, resp.ContentLength, maxBytes, ErrTooLarge)
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return fmt.Errorf("%s: content encoding %q was not asked for", call, encoding)
	}
	if _, err := io.Copy(w, &cappedReader{r: resp.Body, left: maxBytes}); err != nil {
		return fmt.Errorf("%s: copy the body: %w", call, err)
	}
	return nil
}

// HasZip reports whether a peer holds the zip of a module version. A redirect to its storage says so too, and is not
// followed.
func (c *Client) HasZip(ctx context.Context, t Target, path, version string) (bool, error) {
	call, err := zipCall(http.MethodHead, t, path, version)
	if err != nil {
		return false, err
	}
	resp, err := c.send(ctx, call)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK:
		return true, nil
	case notFound(resp):
		return false, nil
	case isRedirect(resp):
		_, err := follow(t, call, resp)
		return err == nil, err
	default:
		return false, statusError(call, resp)
	}
}

func zipCall(method string, t Target, path, version string) (call, error) {
	escaped, escapedVersion, err := escape(path, version)
	if err != nil {
		return call{}, fmt.Errorf("download from %s: %w", t.Name, err)
	}
	base, err := ParseURL(t.URL)
	if err != nil {
		return call{}, fmt.Errorf("download %s@%s from %s: %w", path, version, t.Name, err)
	}
	return call{
		method: method,
		url:    base + "/" + escaped + "/@v/" + escapedVersion + ".zip",
		header: heldOnly(),
	}, nil
}

// heldOnly asks for what the peer holds itself: two deployments that lack a zip must not ask each other for ever.
func heldOnly() http.Header { return http.Header{"Disable-Module-Fetch": {"true"}} }

// openZip asks for a zip and goes where it is sent. It returns the call that was answered in the end.
func (c *Client) openZip(ctx context.Context, method string, t Target, path, version string) (call, *http.Response, error) {
	next, err := zipCall(method, t, path, version)
	if err != nil {
		return call{}, nil, err
	}
	for range 1 + maxRedirects {
		resp, err := c.send(ctx, next)
		if err != nil {
			return call{}, nil, err
		}
		if !isRedirect(resp) {
			return next, resp, nil
		}
		_ = resp.Body.Close()
		if next, err = follow(t, next, resp); err != nil {
			return call{}, nil, err
		}
	}
	return call{}, nil, fmt.Errorf("%s: %w: more than %d redirects", next, ErrRedirected, maxRedirects)
}

// namesOther reports whether an entity tag is the SHA-256 of another zip. Deployments use the hash as a strong tag; tags
// of any other form say nothing.
func namesOther(etag, wantSHA256 string) bool {
	tag, quoted := strings.CutPrefix(etag, `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	raw, err := hex.DecodeString(tag)
	return quoted && closed && err == nil && len(raw) == sha256.Size && !strings.EqualFold(tag, wantSHA256)
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// follow returns the call that a redirect asks for, if it stays at the peer, where the call is signed anew, or goes to
// its storage host, which gets neither signature nor headers of ours: no other address counts, or an answer could send
// our requests anywhere in our network.
func follow(t Target, from call, resp *http.Response) (call, error) {
	at, err := url.Parse(from.url)
	if err != nil {
		return call{}, fmt.Errorf("%s: %w", from, err)
	}
	to, err := at.Parse(resp.Header.Get("Location"))
	if err != nil || resp.Header.Get("Location") == "" {
		return call{}, fmt.Errorf("%s: %w without a usable Location", from, ErrRedirected)
	}
	to.Fragment, to.RawFragment = "", ""
	home, err := url.Parse(t.URL)
	if err != nil {
		return call{}, fmt.Errorf("%s: %w", from, err)
	}
	switch {
	case to.Scheme != "http" && to.Scheme != "https", to.User != nil, to.Opaque != "":
		err = fmt.Errorf("%w to something that is no plain http or https URL", ErrRedirected)
	case at.Scheme == "https" && to.Scheme == "http":
		err = fmt.Errorf("%w from https to http, %s", ErrRedirected, to.Host)
	case hostPort(to.Scheme, to.Host) == hostPort(home.Scheme, home.Host):
		return call{method: from.method, url: to.String(), header: heldOnly()}, nil
	case t.StorageHost != "" && hostPort(to.Scheme, to.Host) == hostPort(to.Scheme, t.StorageHost):
		return call{method: from.method, url: to.String(), unsigned: true}, nil
	default:
		err = fmt.Errorf("%w to %s, which is neither the peer nor its storage host", ErrRedirected, to.Host)
	}
	return call{}, fmt.Errorf("%s: %w", from, err)
}

// hostPort is a host in lower case, with the port that a scheme implies.
func hostPort(scheme, host string) string {
	u := url.URL{Host: strings.ToLower(host)}
	if u.Port() != "" {
		return u.Host
	}
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return strings.TrimSuffix(u.Host, ":") + port
}
