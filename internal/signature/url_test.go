package signature_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://oa.example.com":             "https://oa.example.com",
		"https://oa.example.com/":            "https://oa.example.com",
		"HTTPS://OA.example.COM:443":         "https://oa.example.com",
		"http://oa.example.com:80/":          "http://oa.example.com",
		"http://oa.example.com:":             "http://oa.example.com",
		"http://oa.example.com:443":          "http://oa.example.com:443",
		"http://127.0.0.1:3001":              "http://127.0.0.1:3001",
		"http://[::1]:3001/":                 "http://[::1]:3001",
		"http://[::1]:80":                    "http://[::1]",
		"https://example.com/go/olympus//":   "https://example.com/go/olympus",
		"https://example.com/go%20modules":   "https://example.com/go%20modules",
		"https://example.com/Case/Is/Kept~1": "https://example.com/Case/Is/Kept~1",
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := signature.BaseURL(in)
			require.NoError(t, err)
			require.Equal(t, want, got)
			again, err := signature.BaseURL(got)
			require.NoError(t, err)
			require.Equal(t, got, again)
		})
	}
}

func TestBaseURLRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ url, says string }{
		"empty":            {"", "must begin with"},
		"no scheme":        {"oa.example.com", "must begin with"},
		"other scheme":     {"ftp://oa.example.com", "must begin with"},
		"file":             {"file:///srv", "must begin with"},
		"no host":          {"https:///path", "has no host"},
		"port only":        {"https://:443", "has no host"},
		"opaque":           {"https:oa.example.com", "has no host"},
		"user":             {"https://me@oa.example.com", "user or password"},
		"password":         {"https://me:secret@oa.example.com", "user or password"},
		"query":            {"https://oa.example.com?x=1", "query"},
		"empty query":      {"https://oa.example.com/?", "query"},
		"fragment":         {"https://oa.example.com/#x", "fragment"},
		"empty fragment":   {"https://oa.example.com/#", "fragment"},
		"host not ASCII":   {"https://ü.example.com", "punycode"},
		"port zero":        {"https://oa.example.com:0", "port"},
		"port too large":   {"https://oa.example.com:70000", "port"},
		"port not a digit": {"https://oa.example.com:http", "port"},
		"dots":             {"https://oa.example.com/a/../b", ".."},
		"empty part":       {"https://oa.example.com/a//b", "empty"},
		"escaped slash":    {"https://oa.example.com/a%2Fb", "escapes"},
		"space":            {"https://oa.example.com /", "invalid"},
		"line break":       {"https://oa.example.com/\n", "control character"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := signature.BaseURL(test.url)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "secret")
			_, err = signature.NewVerifier(test.url, nil)
			require.Error(t, err)
		})
	}
}
