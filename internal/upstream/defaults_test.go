package upstream

import (
	"context"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDefaults(t *testing.T) {
	t.Parallel()
	proxies, checksumDB, err := Defaults(t.Context())
	require.NoError(t, err)
	first, ok := strings.CutSuffix(proxies, ",direct")
	require.True(t, ok, proxies)
	u, err := url.Parse(first)
	require.NoError(t, err)
	require.Equal(t, "https", u.Scheme)
	require.Contains(t, u.Host, ".")
	require.Empty(t, u.Path)
	require.NotContains(t, checksumDB, "/")
	require.NotContains(t, checksumDB, "+")

	host, err := publicProxyHost()
	require.NoError(t, err)
	require.Equal(t, u.Host, host)

	// The key that is built in belongs to this database, and to no other.
	up, err := New(Options{Proxies: proxies, ChecksumDB: checksumDB, Private: "example.com"})
	require.NoError(t, err)
	require.Equal(t, checksumDB, up.sums.name)
	require.True(t, up.places[0].isPublic)
	_, err = New(Options{Proxies: proxies, ChecksumDB: "x" + checksumDB})
	require.ErrorContains(t, err, "give name+hash+key")
}

func TestDefaultsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := Defaults(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
