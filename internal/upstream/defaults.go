package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/goproxy/goproxy"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Defaults are the list of proxies and the checksum database that the go command uses unless told otherwise, for
// machines without one. No host name of the Go project is written down here, they are its to change: the values are
// read off the requests that a module fetcher with nothing configured makes. Nothing leaves this process.
func Defaults(ctx context.Context) (proxies, checksumDB string, err error) {
	seen := &recorder{}
	// Not nil, which would stand for the environment of this process.
	fetcher := &goproxy.GoFetcher{Env: []string{}, Transport: seen}
	_, _, _, err = fetcher.Download(ctx, probe.Path, probe.Version)
	if ctx.Err() != nil {
		return "", "", fmt.Errorf("learn Go's default proxy: %w", ctx.Err())
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if seen.proxy == nil || seen.sumdb == "" {
		return "", "", fmt.Errorf("learn Go's default proxy and checksum database: %w", err)
	}
	return seen.proxy.String() + ",direct", seen.sumdb, nil
}

// publicProxyHost is the host of Go's public proxy.
func publicProxyHost() (string, error) {
	proxies, _, err := Defaults(context.Background())
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(proxies, ",")
	u, err := url.Parse(first)
	if err != nil {
		return "", err
	}
	return hostOf(u), nil
}

// probe is the module that is asked for. It exists only in the answers of a recorder.
var probe = module.Version{Path: "example.com/m", Version: "v1.0.0"}

// recorder plays the proxy for the probe, up to the question whether it offers the checksum database.
type recorder struct {
	mu    sync.Mutex
	proxy *url.URL
	sumdb string
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, rest, ok := strings.Cut(req.URL.Path, "/sumdb/"); ok {
		r.sumdb = strings.TrimSuffix(rest, "/supported")
		return nil, context.Canceled // the one error after which the fetcher does not try again
	}
	base, file, ok := strings.Cut(req.URL.Path, "/"+probe.Path+"/@v/"+probe.Version)
	if !ok {
		return nil, context.Canceled
	}
	r.proxy = &url.URL{Scheme: req.URL.Scheme, Host: req.URL.Host, Path: base}
	var body bytes.Buffer
	switch file {
	case ".info":
		body.WriteString(`{"Version":"` + probe.Version + `"}`)
	case ".mod":
		body.WriteString("module " + probe.Path + "\n")
	case ".zip":
		if err := zip.Create(&body, probe, nil); err != nil {
			return nil, context.Canceled
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: int64(body.Len()), Body: io.NopCloser(&body), Request: req,
	}, nil
}
