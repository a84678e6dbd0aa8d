package federation

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/models"
)

// client sends what it is told: it follows no redirect and asks for no compression.
var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
}

// answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request without a body. A signed one is made by from.
func (d *deployment) ask(method, path string, header ...string) answer {
	d.t.Helper()
	req, err := http.NewRequest(method, d.url+path, nil)
	require.NoError(d.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return d.send(req)
}

// from sends a request without a body that another deployment has signed.
func (d *deployment) from(other *deployment, method, path string) answer {
	d.t.Helper()
	req, err := http.NewRequest(method, d.url+path, nil)
	require.NoError(d.t, err)
	require.NoError(d.t, other.signer.Sign(req, nil))
	return d.send(req)
}

func (d *deployment) send(req *http.Request) answer {
	d.t.Helper()
	resp, err := client.Do(req)
	require.NoError(d.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(d.t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// count returns what a query counts.
func (d *deployment) count(query string, args ...any) int {
	d.t.Helper()
	var row struct {
		N int `db:"n"`
	}
	require.NoError(d.t, d.DB.RawQuery("SELECT count(*)::int AS n FROM "+query, args...).First(&row))
	return row.N
}

// version returns the row of a version.
func (d *deployment) version(module, version string) *models.Version {
	d.t.Helper()
	v, err := models.FindVersion(d.DB, module, version)
	require.NoError(d.t, err)
	return v
}

// blobs returns the hashes of what is in the store.
func (d *deployment) blobs() []string {
	d.t.Helper()
	var sums []string
	require.NoError(d.t, d.Store.List(context.Background(), "", func(e blob.Entry) error {
		sums = append(sums, e.SHA256)
		return nil
	}))
	return sums
}

// hears appends events as if another deployment had told of them.
func (d *deployment) hears(events ...protocol.Event) {
	d.t.Helper()
	require.NoError(d.t, d.Append(false, events, nil))
}

// target is where others speak to this deployment.
func (d *deployment) target() peer.Target {
	return peer.Target{Name: d.Name, URL: d.url, Key: d.signer.VerifierKey()}
}

// tells pushes events to another deployment, whatever is in the log.
func (d *deployment) tells(other *deployment, events ...protocol.Event) {
	d.t.Helper()
	require.NoError(d.t, d.Peers.Push(context.Background(), other.target(), events))
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// added is an add whose zip nobody has: its hashes follow from seed.
func added(module, version, origin, seed string, at time.Time) protocol.Event {
	sum := sha256.Sum256([]byte(module + "@" + version + " " + seed))
	mod := "module " + module + "\n"
	return protocol.Event{
		Kind: protocol.KindAdd, Module: module, Version: version, Origin: origin, Time: at,
		ZipHash: "h1:" + base64.StdEncoding.EncodeToString(sum[:]), ZipSHA256: hex.EncodeToString(sum[:]), ZipSize: 1000,
		ModHash: protocol.ModHash([]byte(mod)), Mod: mod, Info: fmt.Sprintf(`{"Version":%q,"Origin":{"Seed":%q}}`, version, seed),
	}
}

// said is a deprecate or delete.
func said(kind protocol.Kind, module, version, origin string) protocol.Event {
	return protocol.Event{Kind: kind, Module: module, Version: version, Origin: origin, Time: now(), Reason: "because"}
}

// fileOf is the request path of a file of a version; the module path is in lower case.
func fileOf(m testmod.Module, ext string) string {
	return "/" + m.Path + "/@v/" + m.Version + "." + ext
}

// lines are the lines of a text that ends with a line break, or is empty.
func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
