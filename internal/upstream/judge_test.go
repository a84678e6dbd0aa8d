package upstream

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestJudge has what the go command really says, with other names.
func TestJudge(t *testing.T) {
	t.Parallel()
	const path, query = "example.com/tls-timeout/m", "deadline"
	for text, unknown := range map[string]bool{
		"go: example.com/tls-timeout/m@deadline: invalid version: unknown revision deadline":                                                                                                             true,
		"go: module example.com/tls-timeout/m: git ls-remote -q origin in /var/cache/vcs/abc.d: exit status 128:\n\tfatal: could not read Username for 'https://example.com': terminal prompts disabled": true,
		"unrecognized import path \"example.com/tls-timeout/m\": reading https://example.com/tls-timeout/m?go-get=1: 404 Not Found":                                                                      true,
		"unrecognized import path \"example.com/tls-timeout/m\": parse https://example.com/tls-timeout/m?go-get=1: no go-import meta tags ()":                                                            true,
		"git ls-remote -q origin in /var/cache/vcs/abc.d: exit status 128:\n\tERROR: Repository not found.\n\tfatal: Could not read from remote repository.":                                             true,
		"fatal: repository 'https://example.com/tls-timeout/' not found":                                                                                                                                 true,
		"no matching versions for query \"deadline\"":                                                                   true,
		"parsing go.mod: module declares its path as: example.com/other but was required as: example.com/tls-timeout/m": true,

		"unrecognized import path \"example.com/tls-timeout/m\": reading https://example.com/tls-timeout/m?go-get=1: 503 Service Unavailable":                                                       false,
		"unrecognized import path \"example.com/tls-timeout/m\": https fetch: Get \"https://example.com/tls-timeout/m?go-get=1\": dial tcp: lookup example.com on 192.0.2.1:53: no such host":       false,
		"unrecognized import path \"example.com/tls-timeout/m\": https fetch: Get \"https://example.com/tls-timeout/m?go-get=1\": dial tcp 192.0.2.1:443: i/o timeout":                              false,
		"unrecognized import path \"example.com/tls-timeout/m\": https fetch: Get \"https://example.com/tls-timeout/m?go-get=1\": net/http: TLS handshake timeout":                                  false,
		"unrecognized import path \"example.com/tls-timeout/m\": https fetch: Get \"https://example.com/tls-timeout/m?go-get=1\": tls: failed to verify certificate: x509: certificate has expired": false,
		"git ls-remote: exit status 128:\n\tfatal: unable to access 'https://example.com/x/': Could not resolve host: example.com":                                                                  false,
		"git fetch: exit status 128:\n\tfatal: unable to access 'https://example.com/x/': The requested URL returned error: 502":                                                                    false,
		"git fetch: exit status 128:\n\tfatal: unable to access 'https://example.com/x/': Failed to connect to example.com port 443 after 3 ms: Connection refused":                                 false,
		"git fetch: exit status 128:\n\terror: RPC failed; curl 56 GnuTLS recv error\n\tfatal: early EOF":                                                                                           false,
		"git fetch: exit status 128:\n\tssh: connect to host example.com port 22: Connection timed out\n\tfatal: Could not read from remote repository.":                                            false,
		"git fetch: exit status 128:\n\tgit@example.com: Permission denied (publickey).\n\tfatal: Could not read from remote repository.":                                                           false,
		"git init --bare: exec: \"git\": executable file not found in $PATH":                                                                                                                        false,
		"write /var/cache/x.zip: no space left on device":              false,
		"module cache not found: neither GOMODCACHE nor GOPATH is set": false,
		"something that nobody has seen before":                        false,
		"":                                                             false,
	} {
		for name, err := range map[string]error{
			"stderr": judge(path, query, nil, text, errors.New("exit status 1")),
			"stdout": judge(path, query, jsonError(t, text), "", errors.New("exit status 1")),
		} {
			if unknown {
				requireNotFound(t, err)
			} else {
				require.NotEmpty(t, requireFailed(t, err).Error(), name)
			}
			require.NotContains(t, err.Error(), "\n")
		}
	}
	err := judge(path, query, nil, "fatal: unable to access 'https://me:secret@example.com/x/': no", errors.New("exit status 1"))
	require.NotContains(t, err.Error(), "secret")
	require.ErrorContains(t, err, "https://example.com/x/")
}

func jsonError(t testing.TB, text string) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]string{"Path": "example.com/m", "Error": text})
	require.NoError(t, err)
	return b
}
