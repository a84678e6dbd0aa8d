package peer

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFollow is about the addresses that no test server can have.
func TestFollow(t *testing.T) {
	t.Parallel()
	target := Target{URL: "https://oa.example.com/olympus", StorageHost: "s3.example.com"}
	for name, test := range map[string]struct {
		from, to string
		want     string // empty: refused
		unsigned bool
	}{
		"relative":             {to: "/x", want: "https://oa.example.com/x"},
		"port written out":     {to: "https://OA.example.com:443/x", want: "https://OA.example.com:443/x"},
		"fragment":             {to: "/x#y", want: "https://oa.example.com/x"},
		"other port":           {to: "https://oa.example.com:8443/x"},
		"no TLS":               {to: "http://oa.example.com/x"},
		"no TLS, port of TLS":  {to: "http://oa.example.com:443/x"},
		"subdomain":            {to: "https://evil.oa.example.com/x"},
		"longer name":          {to: "https://oa.example.com.evil.example/x"},
		"without a scheme":     {to: "//evil.example.com/x"},
		"storage":              {to: "https://s3.example.com/x?sig=y", want: "https://s3.example.com/x?sig=y", unsigned: true},
		"storage, other port":  {to: "https://s3.example.com:9000/x"},
		"storage without TLS":  {to: "http://s3.example.com/x"},
		"storage and back":     {from: "https://s3.example.com/x", to: "https://oa.example.com/x", want: "https://oa.example.com/x"},
		"relative, at storage": {from: "https://s3.example.com/a/b", to: "c", want: "https://s3.example.com/a/c", unsigned: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := call{method: http.MethodGet, url: "https://oa.example.com/olympus/example.com/m/@v/v1.0.0.zip"}
			if test.from != "" {
				from = call{method: http.MethodGet, url: test.from, unsigned: true}
			}
			got, err := follow(target, from, &http.Response{Header: http.Header{"Location": {test.to}}})
			if test.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, got.url)
			require.Equal(t, test.unsigned, got.unsigned)
			require.Equal(t, test.unsigned, got.header == nil)
		})
	}
}
