package peer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/peer"
	"olympus/internal/protocol"
)

// logged is an event in the answer to a question about a module.
func logged(position int64, e protocol.Event) string {
	return strings.TrimSpace(string(protocol.AppendLine(nil, &protocol.Logged{Position: position, Event: e})))
}

func moduleAnswer(path, version string, held bool, events ...string) string {
	return fmt.Sprintf(`{"module":%q,"version":%q,"state":"live","held":%t,"location":"om.example.com","events":[%s],"last_error":null}`,
		path, version, held, strings.Join(events, ",\n"))
}

func TestModule(t *testing.T) {
	t.Parallel()
	first, second := added("v1.0.0"), deleted("v1.0.0", "leaked")
	for name, test := range map[string]struct {
		body   string
		held   bool
		events []protocol.Logged
	}{
		"held": {moduleAnswer(modPath, "v1.0.0", true, logged(3, first)), true, []protocol.Logged{{Position: 3, Event: first}}},
		"two events, far apart": {moduleAnswer(modPath, "v1.0.0", false, logged(3, first), logged(9, second)), false,
			[]protocol.Logged{{Position: 3, Event: first}, {Position: 9, Event: second}}},
		"line breaks inside": {
			moduleAnswer(modPath, "v1.0.0", false, strings.ReplaceAll(logged(9, second), `,"`, ",\n\t\"")), false,
			[]protocol.Logged{{Position: 9, Event: second}}},
		"no events": {moduleAnswer(modPath, "v1.0.0", false), false, []protocol.Logged{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, status(http.StatusOK, test.body))
			events, held, err := client.Module(t.Context(), o.target, modPath, "v1.0.0")
			require.NoError(t, err)
			require.Equal(t, test.held, held)
			require.Equal(t, test.events, events)
			r, _ := o.last(t)
			require.Equal(t, "/modules/example.com/m@v1.0.0", r.URL.String())
			require.Equal(t, "application/json", r.Header.Get("Accept"))
		})
	}
}

func TestModuleEscapes(t *testing.T) {
	t.Parallel()
	o, client := newOther(t, peer.Options{}, status(http.StatusOK, moduleAnswer("example.com/Big", "v2.0.0-RC+incompatible", false)))
	_, _, err := client.Module(t.Context(), o.target, "example.com/Big", "v2.0.0-RC+incompatible")
	require.NoError(t, err)
	r, _ := o.last(t)
	require.Equal(t, "/modules/example.com/!big@v2.0.0-!r!c+incompatible", r.URL.String())

	for _, bad := range [][2]string{{"../etc", "v1.0.0"}, {modPath, "v1/../x"}, {"", ""}, {"example.com/m?x", "v1.0.0"}} {
		_, _, err := client.Module(t.Context(), o.target, bad[0], bad[1])
		require.Error(t, err)
		require.Error(t, client.Zip(t.Context(), o.target, bad[0], bad[1], "", 1, nil))
		_, err = client.HasZip(t.Context(), o.target, bad[0], bad[1])
		require.Error(t, err)
	}
	require.Equal(t, 1, o.count())
}

func TestModuleRefuses(t *testing.T) {
	t.Parallel()
	event := logged(3, added("v1.0.0"))
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		says    string
	}{
		"unknown":        {status(http.StatusNotFound, "no such module"), peer.ErrNotFound.Error()},
		"server error":   {status(http.StatusInternalServerError, "oops"), "500"},
		"HTML":           {status(http.StatusOK, "<html>"), "parse the answer"},
		"null":           {status(http.StatusOK, "null"), `about "" at ""`},
		"another module": {status(http.StatusOK, moduleAnswer("example.com/n", "v1.0.0", true, event)), "about"},
		"another version": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.1", true)),
			"about"},
		"event of another version": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, logged(3, added("v1.0.1")))),
			"event 0 is about"},
		"duplicate name": {status(http.StatusOK, `{"module":"example.com/m",`+moduleAnswer(modPath, "v1.0.0", true, event)[1:]),
			"duplicate"},
		"duplicate name in an event": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, `{"kind":"add",`+event[1:])),
			"duplicate"},
		"name in another case": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, `{"Kind":"delete",`+event[1:])),
			"wrong case"},
		"wrong hash": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, strings.Replace(event, `"mod":"`, `"mod":"//x\n`, 1))),
			"mod_hash"},
		"event not an object":   {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, "7")), "event 0"},
		"event null":            {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, "null")), "event 0: position 0"},
		"held not a bool":       {status(http.StatusOK, strings.Replace(moduleAnswer(modPath, "v1.0.0", true), "true", `"yes"`, 1)), "parse the answer"},
		"no position":           {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, strings.Replace(event, `"position":3,`, "", 1))), "position 0"},
		"position not a number": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, strings.Replace(event, `:3,`, `:"3",`, 1))), "position"},
		"positions repeated":    {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, event, event)), "position 3 after 3"},
		"position out of range": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, strings.Replace(event, `:3,`, `:9223372036854775807,`, 1))), "2^62"},
		"too many events": {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true, strings.Repeat("{},", 10000)+"{}")),
			"10001 events"},
		"more after it":  {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true)+"{}"), "parse the answer"},
		"invalid UTF-8":  {status(http.StatusOK, moduleAnswer(modPath, "v1.0.0", true)[:20]+"\xff\"}"), "parse the answer"},
		"gzip not asked": {status(http.StatusOK, "x", "Content-Encoding", "br"), "encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, client := newOther(t, peer.Options{}, test.handler)
			events, held, err := client.Module(t.Context(), o.target, modPath, "v1.0.0")
			require.ErrorContains(t, err, test.says)
			require.ErrorContains(t, err, o.URL+"/modules/example.com/m@v1.0.0")
			require.Nil(t, events)
			require.False(t, held)
			if test.says == peer.ErrNotFound.Error() {
				require.ErrorIs(t, err, peer.ErrNotFound)
			}
		})
	}
}
