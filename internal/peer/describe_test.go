package peer_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/signature"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	_, key, err := signature.GenerateKey("oa.example.com")
	require.NoError(t, err)
	o, client := newOther(t, peer.Options{}, status(http.StatusOK,
		fmt.Sprintf(`{"name":"oa.example.com","url":"https://OA.example.com/","key":%q,"since":2026}`, key)))
	got, err := client.Describe(t.Context(), o.URL+"/")
	require.NoError(t, err)
	require.Equal(t, peer.Description{Name: "oa.example.com", URL: "https://oa.example.com", Key: key}, got)
	r, _ := o.last(t)
	require.Equal(t, "/peer", r.URL.String())
	require.False(t, signature.Signed(r), "the two may not know each other yet")
}

func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	_, key, err := signature.GenerateKey("oa.example.com")
	require.NoError(t, err)
	_, otherKey, err := signature.GenerateKey("og.example.com")
	require.NoError(t, err)
	answer := func(name, url, key string) http.HandlerFunc {
		return status(http.StatusOK, fmt.Sprintf(`{"name":%q,"url":%q,"key":%q}`, name, url, key))
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"no name":       {answer("", "https://oa.example.com", key), "malformed name"},
		"bad name":      {answer("o a", "https://oa.example.com", key), "malformed name"},
		"no URL":        {answer("oa.example.com", "", key), "base URL"},
		"bad URL":       {answer("oa.example.com", "file:///", key), "base URL"},
		"no key":        {answer("oa.example.com", "https://oa.example.com", ""), "verifier key"},
		"another's key": {answer("oa.example.com", "https://oa.example.com", otherKey), "key of og.example.com"},
		"not JSON":      {status(http.StatusOK, "<html>"), "parse the answer"},
		"wrong type":    {status(http.StatusOK, `{"name":7}`), "parse the answer"},
		"twice":         {status(http.StatusOK, `{"name":"a","name":"b"}`), "duplicate"},
		"not Olympus":   {status(http.StatusNotFound, "404 page not found"), "404"},
		"redirect":      {status(http.StatusMovedPermanently, "", "Location", "https://oa.example.com/peer"), "301"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, test.handler)
			_, err := client.Describe(t.Context(), o.URL)
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, o.URL+"/peer")
			require.Equal(t, 1, o.count())
		})
	}
}
