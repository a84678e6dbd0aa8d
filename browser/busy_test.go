package browser

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testmod"
	"olympus/models"
)

// hostile is what a module's author, an administrator elsewhere or a peer may write where text is expected.
const hostile = `<script>alert(1)</script> <img src=/x onerror=alert(2)> <%= 6*7 %> "'> {{6*7}}`

// The peers of the busy deployment.
const (
	lagging  = "om.example.com"
	dead     = "og.example.com"
	paused   = "ob.example.com"
	evil     = `oe.example.com/<script>alert(1)</script>?a=b&c#d%2F"'`
	longPeer = "a-deployment-with-a-name-that-does-not-end-so-soon.and-that-nobody-would-choose-for-a-deployment.of-their-own.example.com/" +
		"and/yet/it/is/a-name-that-a-deployment-may-have"
)

// The versions of the busy deployment, one of each kind. Two more are of modules whose paths no path check has seen.
const (
	held       = "example.com/held@v1.0.0"
	upper      = "example.com/Upper/Case@v1.0.0-RC1"
	remote     = "example.com/remote@v0.0.0-20261122120000-abcdef123456"
	failed     = "example.com/failed@v1.0.0"
	deprecated = "example.com/deprecated@v1.0.0"
	deleted    = "example.com/deleted@v1.0.0"
	unknown    = "example.com/unknown@v1.0.0"
	conflicted = "example.com/conflicted@v1.0.0"
	wide       = "example.com/aVeryLongElementOfAModulePathThatHasNoPlaceWhereALineCouldBreakAndThatGoesOnAndOnUntilItIsWiderThanAnyScreen/" +
		"anotherElementOfTheSameKindWhichIsNotAnyShorterThanTheFirstOneAndStillAValidModulePath" +
		"@v1.0.0-a-pre-release-of-a-length-that-nobody-has-thought-of-when-they-designed-the-table-it-is-shown-in"
)

// busy is a deployment with everything that can be seen on one: peers in every state, versions in every state, jobs that fail.
// Whatever others can write is hostile, and some of it is too long.
func busy(t *testing.T) *deployment {
	t.Helper()
	source := testmod.NewUpstream(t, testmod.Module{Path: "example.com/held", Version: "v1.0.0"})
	om, oa := start(t, lagging, source.URL), start(t, "oa.example.com", "off")
	om.knows(oa.Name, oa.url, oa.signer.VerifierKey())
	oa.knows(om.Name, om.url, om.signer.VerifierKey())
	oa.knows(dead, nobodyThere(t), stranger(t, dead))
	oa.knows(paused, "https://ob.example.com", stranger(t, paused))
	oa.knows(evil, refuses(t), stranger(t, evil))
	oa.knows(longPeer, "https://"+longPeer, stranger(t, longPeer))
	for _, name := range []string{paused, longPeer} {
		require.NoError(t, oa.SetPeerState(context.Background(), "test", name, models.PeerPaused))
	}

	// One version is held by way of OM, which filled it; of another OM only has told, and no peer has it.
	response, _ := om.get(t, "/example.com/held/@v/v1.0.0.zip", "*/*")
	require.Equal(t, http.StatusOK, response.StatusCode)
	om.hears(added(failed, om.Name, ""))
	oa.pull(om.Name)
	response, _ = oa.get(t, "/example.com/held/@v/v1.0.0.zip", "*/*")
	require.Equal(t, http.StatusOK, response.StatusCode)
	response, _ = oa.get(t, "/example.com/failed/@v/v1.0.0.zip", "*/*")
	require.GreaterOrEqual(t, response.StatusCode, 400)
	require.Equal(t, 1, oa.count("versions WHERE held"))
	require.Equal(t, 1, oa.count("versions WHERE fetch_error LIKE '%' || ? || '%'", hostile), "the words of the peer that refuses")

	events := []protocol.Event{
		added(upper, om.Name, ""), added(remote, om.Name, ""), added(wide, longPeer, ""), added(deprecated, om.Name, ""), added(deleted, om.Name, ""),
		added(conflicted, om.Name, "one"), added(conflicted, evil, "other"),
		added("example.com/<script>alert(1)</script>@v1.0.0", evil, ""), added(`example.com/<%= 6*7 %>"'>@v1.0.0`, evil, ""),
		{
			Kind: protocol.KindDeprecate, Module: "example.com/unknown", Version: "v1.0.0", Origin: longPeer, Time: now(),
			Reason: strings.Repeat("reason", 100),
		},
	}
	oa.hears(events...)
	for _, change := range []func(actor, path, version, reason string) (bool, error){oa.Deprecate, oa.Delete} {
		_, err := change("test", "example.com/deleted", "v1.0.0", hostile)
		require.NoError(t, err)
	}
	_, err := oa.Deprecate("test", "example.com/deprecated", "v1.0.0", hostile)
	require.NoError(t, err)

	// OM takes the pushes of these; the others fail, and are not tried again for an hour.
	require.Eventually(t, func() bool { return oa.count("river_job WHERE state IN ('available', 'running')") == 0 }, patience, 5*time.Millisecond)
	require.Positive(t, oa.count("river_job WHERE state = 'completed'"))
	require.Positive(t, oa.count("river_job WHERE state = 'retryable'"))
	for _, name := range []string{dead, evil} {
		_, err := oa.Pull(context.Background(), name, 0)
		require.Error(t, err)
	}
	oa.exec(`UPDATE peers SET last_error = ?, last_error_at = now() WHERE name = ?`, strings.Repeat("error", 200), longPeer)
	oa.exec(`UPDATE peers SET head = pull_position + 1234, last_push_received_at = now() - interval '3 hours' WHERE name = ?`, lagging)
	return oa
}

// pull takes the log of a peer now.
func (d *deployment) pull(name string) {
	d.t.Helper()
	_, err := d.Pull(context.Background(), name, 0)
	require.NoError(d.t, err)
}

// nobodyThere is a URL at which nothing listens any more.
func nobodyThere(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	return server.URL
}

// refuses is the URL of a peer that answers everything with hostile words.
func refuses(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, hostile, http.StatusTeapot)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// added is an add of module@version whose zip nobody has; its hashes follow from seed.
func added(of, origin, seed string) protocol.Event {
	module, version, _ := strings.Cut(of, "@")
	sum := sha256.Sum256([]byte(of + " " + seed))
	mod := "module " + module + "\n"
	return protocol.Event{
		Kind: protocol.KindAdd, Module: module, Version: version, Origin: origin, Time: now(),
		ZipHash: "h1:" + base64.StdEncoding.EncodeToString(sum[:]), ZipSHA256: hex.EncodeToString(sum[:]), ZipSize: 1234,
		ModHash: protocol.ModHash([]byte(mod)), Mod: mod, Info: fmt.Sprintf(`{"Version":%q}`, version),
	}
}
