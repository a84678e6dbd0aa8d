package federation

import (
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// numbered is a small module.
func numbered(prefix string, n int) testmod.Module {
	return testmod.Module{
		Path: fmt.Sprintf("example.com/%s%d", prefix, n), Version: "v1.0.0",
		Files: map[string]string{"m.go": fmt.Sprintf("package m // %d\n", n)},
	}
}

// crowd asks a file each in a goroutine of its own, and returns the answers once all have come.
func crowd(n int, ask func(i int) answer) []answer {
	answers := make([]answer, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { answers[i] = ask(i) })
	}
	all.Wait()
	return answers
}

// Two hundred clients want one version at once, at two processes: upstream is asked for each file once, and all get the same.
func TestFillOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	m := numbered("crowd", 1)
	up := testmod.NewUpstream(t, m)
	hold := make(chan struct{})
	up.Set(fileOf(m, "info"), testmod.Behaviour{Hold: hold})
	var come atomic.Int32
	const clients = 200
	counting := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if come.Add(1) == clients {
				close(hold) // everybody is here
			}
			next.ServeHTTP(w, r)
		})
	}
	om := start(t, "om.example.com", options{upstream: up.URL, wrap: counting})
	twin := om.another(nil)
	want := map[string]string{"info": m.Info(), "mod": m.Mod(), "zip": string(testmod.Zip(t, m))}
	files := []string{"info", "mod", "zip"}
	for i, got := range crowd(clients, func(i int) answer {
		return []*deployment{om, twin}[i/3%2].ask("GET", fileOf(m, files[i%3]))
	}) {
		require.Equal(t, http.StatusOK, got.status, got.body)
		require.Equal(t, want[files[i%3]], got.body)
	}
	for _, ext := range files {
		require.Equal(t, 1, up.Count(fileOf(m, ext)), "questions for the %s", ext)
	}
	require.Len(t, om.log(), 1)
	require.Len(t, om.blobs(), 1)
	require.Zero(t, om.count("fills"))
}

// A cold zip that is slow to come is fetched once, whoever asks while it comes.
func TestFillOneColdZip(t *testing.T) {
	t.Parallel()
	m := numbered("cold", 1)
	up := testmod.NewUpstream(t, m)
	hold := make(chan struct{})
	up.Set(fileOf(m, "zip"), testmod.Behaviour{Hold: hold, Sent: 100})
	om := start(t, "om.example.com", options{upstream: up.URL})

	answers := make(chan []answer)
	go func() {
		answers <- crowd(16, func(int) answer { return om.ask("GET", fileOf(m, "zip")) })
	}()
	eventually(t, "the zip is being fetched", func() bool { return up.Count(fileOf(m, "zip")) == 1 })
	// .info and .mod do not wait for it, and an answer that was given is durable, while the zip is not visible in part.
	require.Equal(t, m.Info(), om.mustGet(fileOf(m, "info")))
	require.Equal(t, m.Mod(), om.mustGet(fileOf(m, "mod")))
	require.Equal(t, 1, om.count("fills WHERE info = ? AND mod = ?", m.Info(), m.Mod()))
	require.Equal(t, http.StatusNotFound, om.ask("GET", fileOf(m, "zip"), "Disable-Module-Fetch", "true").status)
	require.Empty(t, om.blobs())
	// And it holds up no other module.
	up.Add(my)
	om.mustGet(fileOf(my, "zip"))

	close(hold)
	for _, got := range <-answers {
		require.Equal(t, http.StatusOK, got.status)
		require.Equal(t, string(testmod.Zip(t, m)), got.body)
	}
	require.Equal(t, 1, up.Count(fileOf(m, "zip")))
}

// Whatever is wrong with what upstream says: 502, nothing of it is visible, and as soon as upstream mends the next request succeeds.
func TestFillFromBadUpstream(t *testing.T) {
	t.Parallel()
	up := testmod.NewUpstream(t)
	om := start(t, "om.example.com", options{upstream: up.URL})
	strange := testmod.Module{Path: "example.com/strange", Version: "v1.0.0"}
	n := 0
	for name, fault := range map[string]struct {
		ext string
		is  func(m testmod.Module) testmod.Behaviour
	}{
		"no info":                 {"info", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Status: 500, Body: []byte("no")} }},
		"torn info":               {"info", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Sent: 5, Cut: true} }},
		"info of another version": {"info", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Body: []byte(`{"Version":"v1.0.1"}`)} }},
		"info without a version":  {"info", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Body: []byte(`{}`)} }},
		"info of no time": {"info", func(testmod.Module) testmod.Behaviour {
			return testmod.Behaviour{Body: []byte(`{"Version":"v1.0.0","Time":"yesterday"}`)}
		}},
		"torn mod":         {"mod", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Sent: 5, Cut: true} }},
		"mod that is none": {"mod", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Body: []byte("<html>")} }},
		"no zip":           {"zip", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Status: 500, Body: []byte("no")} }},
		"zip unknown":      {"zip", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Status: 404, Body: []byte("gone")} }},
		"torn zip":         {"zip", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Sent: 50, Cut: true} }},
		"zip that is none": {"zip", func(testmod.Module) testmod.Behaviour {
			return testmod.Behaviour{Body: []byte("<html>not a zip</html>")}
		}},
		"zip of another":     {"zip", func(testmod.Module) testmod.Behaviour { return testmod.Behaviour{Body: testmod.Zip(t, strange)} }},
		"zip with other mod": {"zip", func(m testmod.Module) testmod.Behaviour { return testmod.Behaviour{Body: testmod.Zip(t, withMod(m))} }},
	} {
		n++
		m := numbered("bad", n)
		up.Add(m)
		up.Set(fileOf(m, fault.ext), fault.is(m))
		got := om.ask("GET", fileOf(m, "zip"))
		want := http.StatusBadGateway
		if name == "zip unknown" {
			want = http.StatusNotFound
		}
		require.Equal(t, want, got.status, "%s: %s", name, got.body)
		require.Len(t, lines(got.body), 1, name)
		require.Contains(t, got.body, m.Path, name)
		require.Empty(t, om.log(), name)
		require.Empty(t, om.blobs(), name)
		// The zip of an earlier module may just be sought again.
		eventually(t, name+": nothing stays staged", func() bool {
			staged, err := os.ReadDir(om.Store.TempDir())
			require.NoError(t, err)
			return len(staged) == 0
		})
		if fault.ext == "zip" {
			// What may have been answered stays answered, while the zip is sought again.
			require.Equal(t, m.Info(), om.mustGet(fileOf(m, "info")), name)
			require.Error(t, om.Fill(m.Path, m.Version).Wait(t.Context()))
		} else {
			require.Zero(t, om.count("fills WHERE module = ?", m.Path), "%s: promised what cannot be kept", name)
			require.Equal(t, http.StatusBadGateway, om.ask("GET", fileOf(m, "info")).status, name)
		}
	}
	require.Zero(t, om.count("versions"))
	for i := range n {
		m := numbered("bad", i+1)
		for _, ext := range []string{"info", "mod", "zip"} {
			up.Set(fileOf(m, ext), testmod.Behaviour{})
		}
		eventually(t, "unknown is forgotten", func() bool { return om.ask("GET", fileOf(m, "zip")).status != http.StatusNotFound })
		require.Equal(t, string(testmod.Zip(t, m)), om.mustGet(fileOf(m, "zip")))
	}
	require.Len(t, om.log(), n)
}

func withMod(m testmod.Module) testmod.Module {
	m.Files = map[string]string{"go.mod": m.Mod() + "\n// altered\n"}
	return m
}

// What nobody knows is asked for once in a while, not once a request. A failure is not taken for ignorance.
func TestFillRemembersUnknown(t *testing.T) {
	t.Parallel()
	m, failing := numbered("unknown", 1), numbered("failing", 1)
	up := testmod.NewUpstream(t)
	om := start(t, "om.example.com", options{upstream: up.URL})
	for _, ext := range []string{"info", "mod", "zip", "info"} {
		for _, got := range crowd(5, func(int) answer { return om.ask("GET", fileOf(m, ext)) }) {
			require.Equal(t, http.StatusNotFound, got.status, got.body)
			require.Contains(t, got.body, m.Path+"@"+m.Version)
		}
	}
	require.Equal(t, 1, up.Total())

	up.Set(fileOf(failing, "info"), testmod.Behaviour{Status: 500, Body: []byte("out of order")})
	for range 2 {
		got := om.ask("GET", fileOf(failing, "info"))
		require.Equal(t, http.StatusBadGateway, got.status)
		require.Contains(t, got.body, "out of order")
	}
	require.Equal(t, 2, up.Count(fileOf(failing, "info")))
	up.Add(failing)
	up.Set(fileOf(failing, "info"), testmod.Behaviour{})
	om.mustGet(fileOf(failing, "zip"))

	// As soon as an event speaks of it, or lists would be asked for again, it is looked up again.
	eager := start(t, "oa.example.com", options{upstream: up.URL, listTTL: time.Millisecond})
	require.Equal(t, http.StatusNotFound, eager.ask("GET", fileOf(m, "info")).status)
	up.Add(m)
	eventually(t, "it is found", func() bool { return eager.ask("GET", fileOf(m, "info")).status == http.StatusOK })
	eager.mustGet(fileOf(m, "zip"))
	befriend(om, eager)
	om.pull(eager)
	require.Equal(t, m.Info(), om.mustGet(fileOf(m, "info")))
}
