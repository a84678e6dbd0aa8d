package config

import (
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A size is what its number and unit say, never more than 2^62 bytes and never less than one.
func FuzzBytes(f *testing.F) {
	for _, seed := range []string{"1", "500MiB", "1 KB", "9223372036854775807", "4611686018427387904", "4294967296GiB", "4294967297GiB", "-1B", "0", "1e3", "1kb", "+1", "MiB", "0x10"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		v := newVariables([]string{"SIZE=" + value})
		n := v.bytes("SIZE", 42)
		if v.err != nil {
			require.Zero(t, n)
			require.NotContains(t, v.err.Error(), "\n")
			return
		}
		value = strings.TrimSpace(value)
		if value == "" {
			require.EqualValues(t, 42, n)
			return
		}
		digits := strings.TrimRight(value, "KMGiB")
		number, ok := new(big.Int).SetString(strings.TrimPrefix(strings.TrimSpace(digits), "+"), 10)
		require.True(t, ok, value)
		factor := map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[value[len(digits):]]
		require.Equal(t, number.Mul(number, big.NewInt(factor)).String(), big.NewInt(n).String())
		require.Positive(t, n)
		require.LessOrEqual(t, n, int64(1<<62))
	})
}

// A list of proxies is taken or refused, and the refusal tells no password that is in it.
func FuzzProxies(f *testing.F) {
	f.Add("https://", "me", "", "", "a.example.com/go,direct")
	f.Add("gopher://", "me", "", "", "a.example.com")
	f.Add("off|http://", "", "%", "#", "[::1")
	f.Add("gopher://", "me", "/", "", "a.example.com")
	f.Fuzz(func(t *testing.T, before, user, head, tail, after string) {
		const secret = "S3CRET"
		if strings.ContainsAny(user+head+tail, ",| \t\r\n\v\f") || strings.Contains(before, "@") || !strings.HasSuffix(before, "://") {
			return
		}
		v := newVariables([]string{"PROXIES=" + before + user + ":" + head + secret + tail + "@" + after})
		_ = v.proxies("PROXIES")
		if v.err != nil {
			require.NotContains(t, v.err.Error(), secret)
			require.NotContains(t, v.err.Error(), "\n")
		}
	})
}
