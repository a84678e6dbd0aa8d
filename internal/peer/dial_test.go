package peer_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"olympus/internal/peer"
)

// resolver answers every question for an address with what answer returns at that moment, through a real DNS server.
func resolver(t *testing.T, answer func() netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
			header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
			switch ip := answer(); {
			case q.Type == dnsmessage.TypeA && ip.Is4():
				m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: ip.As4()}}}
			case q.Type == dnsmessage.TypeAAAA && ip.Is6():
				m.Answers = []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}}}
			}
			if packed, err := m.Pack(); err == nil {
				_, _ = server.WriteTo(packed, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// named is a target under another host name, at the same port.
func named(t *testing.T, o *other, host string) peer.Target {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(o.URL, "http://"))
	require.NoError(t, err)
	return peer.Target{Name: o.target.Name, URL: "http://" + net.JoinHostPort(host, port)}
}

func TestNamesThatLeadWhereTheyMustNot(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		ip       string
		loopback bool // we live there ourselves
		kind     string
	}{
		"loopback":                     {ip: "127.0.0.1", kind: "loopback"},
		"another loopback":             {ip: "127.9.9.9", kind: "loopback"},
		"loopback, IPv6":               {ip: "::1", kind: "loopback"},
		"loopback behind NAT64":        {ip: "64:ff9b::7f00:1", kind: "loopback"},
		"compatible with loopback":     {ip: "::127.0.0.1", kind: "loopback"},
		"metadata service":             {ip: "169.254.169.254", kind: "link-local"},
		"metadata, living on loopback": {ip: "169.254.169.254", loopback: true, kind: "link-local"},
		"metadata behind NAT64":        {ip: "64:ff9b::a9fe:a9fe", kind: "link-local"},
		"link-local, IPv6":             {ip: "fe80::1", kind: "link-local"},
		"unspecified":                  {ip: "0.0.0.0", loopback: true, kind: "unspecified"},
		"this network":                 {ip: "0.1.2.3", kind: "unspecified"},
		"unspecified, IPv6":            {ip: "::", kind: "unspecified"},
		"multicast":                    {ip: "224.0.0.251", kind: "link-local"},
		"wider multicast":              {ip: "239.1.2.3", kind: "multicast"},
		"broadcast":                    {ip: "255.255.255.255", kind: "multicast"},
		"multicast, IPv6":              {ip: "ff0e::1", kind: "multicast"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{
				Loopback: test.loopback, Resolver: resolver(t, func() netip.Addr { return netip.MustParseAddr(test.ip) }),
			}, status(http.StatusOK, ""))
			for request, send := range requests {
				err := send(t.Context(), client, named(t, o, "om.example.com"))
				require.ErrorIs(t, err, peer.ErrAddress, request)
				require.ErrorContains(t, err, test.kind, request)
				require.ErrorContains(t, err, "om.example.com", request)
			}
			require.Zero(t, o.count())
		})
	}
}

// The name of a peer that leads elsewhere from one request to the next is followed no further than it may.
func TestNameThatChangesItsMind(t *testing.T) {
	t.Parallel()
	var ip atomic.Pointer[netip.Addr]
	turn := func(s string) {
		a := netip.MustParseAddr(s)
		ip.Store(&a)
	}
	o, client := newOther(t, peer.Options{
		Loopback: true, Resolver: resolver(t, func() netip.Addr { return *ip.Load() }),
	}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close") // or the next request needs no address
		http.NotFound(w, nil)
	})
	t2 := named(t, o, "om.example.com")
	turn("127.0.0.1")
	require.NotErrorIs(t, requests["describe"](t.Context(), client, t2), peer.ErrAddress)
	turn("169.254.169.254")
	require.ErrorIs(t, requests["describe"](t.Context(), client, t2), peer.ErrAddress)
	turn("127.0.0.1")
	require.NotErrorIs(t, requests["describe"](t.Context(), client, t2), peer.ErrAddress)
}

// A redirect to the peer's storage host is no way round.
func TestStorageHostThatLeadsWhereItMustNot(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, peer.Options{Resolver: resolver(t, func() netip.Addr { return netip.MustParseAddr("169.254.169.254") })},
		status(http.StatusFound, "", "Location", "http://storage.example.com/latest/meta-data/"))
	o.target.StorageHost = "storage.example.com"
	require.ErrorIs(t, client.Zip(t.Context(), o.target, modPath, "v1.0.0", "", zipLimit, io.Discard), peer.ErrAddress)
	require.Equal(t, 1, o.count())
}

func TestAddressesThatWereConfigured(t *testing.T) {
	t.Parallel()
	home := resolver(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	for name, test := range map[string]struct {
		host    string
		options peer.Options
	}{
		"the address itself":                    {"127.0.0.1", peer.Options{}},
		"localhost":                             {"localhost", peer.Options{Resolver: home}},
		"below localhost":                       {"om.localhost", peer.Options{Resolver: home}},
		"a name, while we live there ourselves": {"om.example.com", peer.Options{Resolver: home, Loopback: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, test.options, status(http.StatusOK, "PK"))
			target := named(t, o, test.host)
			var got bytes.Buffer
			err := client.Zip(t.Context(), target, modPath, "v1.0.0", "", zipLimit, &got)
			var refused *peer.StatusError
			if err != nil {
				require.ErrorAs(t, err, &refused, "it was reached, and minds the name it was signed for")
				require.Equal(t, http.StatusUnauthorized, refused.Status)
			}
		})
	}
}

func TestOnLoopback(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]bool{
		"http://127.0.0.1:3000": true, "http://127.7.7.7": true, "http://[::1]:3000": true, "http://localhost:3000": true,
		"https://om.localhost/olympus": true, "https://192.0.2.1": false, "https://[2001:db8::1]": false, "://": false, "": false,
	} {
		require.Equal(t, want, peer.OnLoopback(t.Context(), url), url)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.False(t, peer.OnLoopback(ended, "https://om.invalid"), "a name that cannot be looked up")
}
