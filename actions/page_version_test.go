package actions_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	add := added("example.com/Big", "v1.0.0-RC1", "om.example.com")
	deprecate := protocol.Event{
		Kind: protocol.KindDeprecate, Module: "example.com/Big", Version: "v1.0.0-RC1", Origin: s.Name, Time: add.Time, Reason: "<b> & more",
	}
	s.log(add)
	var got map[string]any
	s.json("/modules/example.com/!big@v1.0.0-!r!c1", &got)
	require.Equal(t, map[string]any{
		"module": "example.com/Big", "version": "v1.0.0-RC1", "state": "live", "held": false, "location": "om.example.com", "last_error": "",
		"events": []any{map[string]any{
			"position": 1.0, "kind": "add", "module": add.Module, "version": add.Version, "origin": add.Origin, "time": "2026-11-22T12:00:00.000001Z",
			"zip_hash": add.ZipHash, "zip_sha256": add.ZipSHA256, "zip_size": 1234.0, "mod_hash": add.ModHash, "info": add.Info, "mod": add.Mod,
		}},
	}, got)

	s.log(deprecate)
	s.exec(`UPDATE versions SET pinned = true, held = true, fetch_due_at = NULL`)
	for _, path := range []string{"/modules/example.com/Big@v1.0.0-RC1", "/modules/example.com/!big@v1.0.0-!r!c1/", "/modules/example.com/%21big@v1.0.0-%21r%21c1"} {
		s.json(path, &got)
		require.Equal(t, "deprecated", got["state"], path)
		require.Equal(t, true, got["held"], path)
		require.Equal(t, s.Name, got["location"], path)
		require.Len(t, got["events"], 2, path)
		require.Contains(t, s.page(path), "example.com/Big<wbr>", path)
	}

	s.log(added("example.com/gone", "v1.0.0", "om.example.com"),
		protocol.Event{Kind: protocol.KindDelete, Module: "example.com/gone", Version: "v1.0.0", Origin: s.Name, Time: add.Time},
		protocol.Event{Kind: protocol.KindDelete, Module: "example.com/never", Version: "v1.0.0", Origin: s.Name, Time: add.Time})
	for _, path := range []string{"/modules/example.com/gone@v1.0.0", "/modules/example.com/never@v1.0.0"} {
		s.json(path, &got)
		require.Equal(t, "deleted", got["state"], path)
		require.Equal(t, false, got["held"], path)
		require.Empty(t, got["location"], path)
		require.Contains(t, s.page(path), "Barred for good", path)
		require.NotContains(t, s.page(path), "/@v/", path)
	}
}

// A peer takes the events of a version as strictly as those of a page of the log, signature included.
func TestVersionAsAPeerReadsIt(t *testing.T) {
	t.Parallel()
	oa, om := newSite(t, siteOptions{name: "oa.example.com"}), newSite(t, siteOptions{name: "om.example.com"})
	om.knows(oa.Name, oa.url, oa.signer.VerifierKey())
	add := added("example.com/Big", "v1.0.0-RC1", om.Name)
	add.Mod = "module example.com/Big // </script> & \u2028 \"quoted\"\n\tüñí\r\n"
	add.ModHash = protocol.ModHash([]byte(add.Mod))
	add.Info = `{"Version":"v1.0.0-RC1","Origin":{"URL":"https://example.com/?a=1&b=<2>"}}`
	require.NoError(t, add.Validate())
	remove := protocol.Event{Kind: protocol.KindDelete, Module: add.Module, Version: add.Version, Origin: "og.example.com", Time: add.Time, Reason: `<&> "x"`}
	om.log(add, remove)

	target := peer.Target{Name: om.Name, URL: om.url, Key: om.signer.VerifierKey()}
	events, held, err := oa.Peers.Module(t.Context(), target, add.Module, add.Version)
	require.NoError(t, err)
	require.False(t, held)
	require.Equal(t, []protocol.Logged{{Position: 1, Event: add}, {Position: 2, Event: remove}}, events)
	_, _, err = oa.Peers.Module(t.Context(), target, add.Module, "v1.9.0")
	require.ErrorIs(t, err, peer.ErrNotFound)
}

// What the pages say of zips that are not here must be so in both modes.
func TestRemoteZips(t *testing.T) {
	t.Parallel()
	for lazy, says := range map[bool]struct{ remote, failed, next string }{
		false: {"Its zip is not here yet: it is fetched from om.example.com or any peer that holds it.", "tried again by itself", ">in 4 min</time>"},
		true:  {"Its zip is not here: it is fetched from om.example.com or any peer that holds it when a client asks for it.", "tried again when a client asks for it", ">when a client asks for it<"},
	} {
		s := newSite(t, siteOptions{lazy: lazy})
		s.log(added("example.com/~u/m", "v1.0.0", "om.example.com"))
		const version = "/modules/example.com/~u/m@v1.0.0"
		page := s.page(version)
		require.Contains(t, page, says.remote)
		require.NotContains(t, page, "Next try")
		require.Contains(t, page, "go get &#39;example.com/~u/m@v1.0.0&#39;<", "quoted for the shell")
		require.Contains(t, page, "olympus task modules:delete &#39;example.com/~u/m@v1.0.0&#39; 'REASON'<")

		s.exec(`UPDATE versions SET fetch_error = 'gone', fetch_error_at = now(), fetch_attempts = 3, fetch_due_at = now() + interval '299 seconds'`)
		page = s.page(version)
		require.Contains(t, page, "<dt>Next try</dt><dd>")
		require.Contains(t, page, says.next)
		require.NotContains(t, page, "Tried again")
		require.Contains(t, s.page("/alarms"), says.failed)
	}
}
