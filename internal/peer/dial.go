package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// ErrAddress says that a host's name led to an address that no request of ours goes to: who answers for the name could send us anywhere in
// our own network, and to the metadata services of clouds.
var ErrAddress = errors.New("address refused")

// dialer connects to the host of a request. The address is judged when the connection is made, not when the name is looked up: a name may
// have another address the next time.
func dialer(options Options) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		d := net.Dialer{
			Timeout: options.DialTimeout, KeepAlive: 30 * time.Second, Resolver: options.Resolver,
			Control: func(_, to string, _ syscall.RawConn) error { return judge(host, to, options.Loopback) },
		}
		return d.DialContext(ctx, network, address)
	}
}

// judge returns why a connection to an address, which the name of a host led to, is not made.
func judge(host, to string, loopback bool) error {
	at, err := netip.ParseAddrPort(to)
	if err != nil {
		return fmt.Errorf("%w: %q of %s", ErrAddress, to, host)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil // no name, but the address that was configured
	}
	ip := inner(at.Addr())
	var kind string
	switch {
	case ip.IsLinkLocalUnicast(), ip.IsLinkLocalMulticast(), ip.IsInterfaceLocalMulticast():
		kind = "link-local"
	case ip.IsMulticast(), ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		kind = "multicast"
	case ip.IsUnspecified(), ip.Is4() && ip.As4()[0] == 0:
		kind = "unspecified"
	case ip.IsLoopback() && !loopback && !isLocalhost(host):
		kind = "loopback"
	default:
		return nil
	}
	return fmt.Errorf("%w: %s has the %s address %s", ErrAddress, host, kind, at.Addr())
}

// inner is the IPv4 address that an IPv6 address stands for, if it does: mapped, compatible, or behind the well-known prefix of NAT64
// (RFC 6052).
func inner(ip netip.Addr) netip.Addr {
	ip = ip.WithZone("").Unmap()
	if !ip.Is6() || ip.IsLoopback() || ip.IsUnspecified() {
		return ip
	}
	b := ip.As16()
	prefix, v4 := [12]byte(b[:12]), netip.AddrFrom4([4]byte(b[12:]))
	if prefix == ([12]byte{}) || prefix == ([12]byte{0: 0x00, 1: 0x64, 2: 0xff, 3: 0x9b}) {
		return v4
	}
	return ip
}

// isLocalhost is true for the names that always mean this machine (RFC 6761).
func isLocalhost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// OnLoopback reports whether a deployment that is reached at a URL lives on the loopback addresses of its machine, as in development: then
// its peers may as well. A name that cannot be looked up does not.
func OnLoopback(ctx context.Context, baseURL string) bool {
	u, err := url.Parse(baseURL)
	if err != nil {
		return false
	}
	host := u.Hostname()
	if isLocalhost(host) {
		return true
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, ip := range addresses {
		if !ip.Unmap().IsLoopback() {
			return false
		}
	}
	return err == nil && len(addresses) > 0
}

const lookupTimeout = 3 * time.Second
