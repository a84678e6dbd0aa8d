// Package peer is the client side of the traffic between deployments: pushing events, reading event logs, asking for
// module versions and downloading zips.
//
// It holds no state but idle connections, and knows neither the database nor what becomes of the answers. A peer may
// be slow, broken or hostile: every answer is bounded in bytes and in the patience spent on it, and all but the bytes
// of a zip, which the caller verifies, is checked before it is returned. No address is ever taken from an answer, except
// for a redirect of a zip to a host that the operator has named; and wherever the name of a host leads, nothing is sent to link-local,
// unspecified or multicast addresses, nor to loopback ones unless this deployment lives there itself. What is not bounded here is the total time of a large
// answer that keeps the minimum rate: that is the deadline of the caller's context.
package peer

import (
	"cmp"
	"net"
	"net/http"
	"time"

	"olympus/internal/signature"
)

// Target is the peer that a request goes to.
type Target struct {
	Name string // deployment name
	URL  string // base URL, as ParseURL returns it
	Key  string // note verifier key

	// StorageHost, host[:port], is the one other host that a zip may be redirected to. May be empty.
	StorageHost string
}

// Options are the limits of a client's patience. A zero field means the default.
type Options struct {
	// DialTimeout is for connecting, and then again for the TLS handshake. Default 5 s.
	DialTimeout time.Duration

	// HeaderTimeout is for the headers of the answer, from the last progress in sending the request. A long poll
	// gets its wait on top. Default 10 s.
	HeaderTimeout time.Duration

	// IdleTimeout is how long the body of an answer may stand still. Default 20 s.
	IdleTimeout time.Duration

	// MinRate, in bytes per second, is what the body must have averaged once MinRateAfter was spent waiting for it:
	// without it, a byte every now and then would hold a worker for ever. Compressed bytes count, and time in which
	// we did not read does not. Default 1024, after 30 s.
	MinRate      int64
	MinRateAfter time.Duration

	// Loopback lets the names of peers lead to loopback addresses. It is for a deployment that lives on one itself: see OnLoopback.
	Loopback bool

	// Resolver looks up the names of peers; nil for that of the system.
	Resolver *net.Resolver
}

func (o Options) withDefaults() Options {
	return Options{
		DialTimeout:   cmp.Or(o.DialTimeout, 5*time.Second),
		HeaderTimeout: cmp.Or(o.HeaderTimeout, 10*time.Second),
		IdleTimeout:   cmp.Or(o.IdleTimeout, 20*time.Second),
		MinRate:       cmp.Or(o.MinRate, 1024),
		MinRateAfter:  cmp.Or(o.MinRateAfter, 30*time.Second),
		Loopback:      o.Loopback,
		Resolver:      o.Resolver,
	}
}

// Client sends this deployment's requests to its peers. It is safe for concurrent use.
type Client struct {
	signer    *signature.Signer
	options   Options
	transport *http.Transport
	large     chan struct{} // places for answers that are larger than usual
}

// NewClient makes a client whose requests signer signs.
func NewClient(signer *signature.Signer, options Options) *Client {
	options = options.withDefaults()
	// One connection for each request, so that a zip that stalls holds up nothing else.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &Client{
		signer:  signer,
		options: options,
		large:   make(chan struct{}, maxLarge),
		transport: &http.Transport{
			// Peers are configured one by one. A proxy that the environment asks for would see every zip, and
			// redirects and addresses would no longer be ours to judge.
			Proxy:                  nil,
			Protocols:              &protocols,
			DialContext:            dialer(options),
			TLSHandshakeTimeout:    options.DialTimeout,
			DisableCompression:     true, // asked for, and bounded, where we want it
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        90 * time.Second,
		},
	}
}

// Close closes idle connections. Requests that are under way go on.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// ParseURL checks a peer's base URL and returns its normal form, which is part of what is signed: an absolute http or
// https URL without user, query, fragment and trailing slash. See [signature.BaseURL].
func ParseURL(s string) (string, error) { return signature.BaseURL(s) }
