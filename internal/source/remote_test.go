package source_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/source"
	"olympus/internal/testmod"
	"olympus/internal/upstream"
)

func remote(t *testing.T, o source.RemoteOptions) *source.Remote {
	t.Helper()
	r, err := source.NewRemote(o)
	require.NoError(t, err)
	return r
}

func list(text string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }
}

func TestRemoteList(t *testing.T) {
	t.Parallel()
	m := modules[2]
	up := testmod.NewUpstream(t, modules...)
	sums := strings.Split(testmod.GoSum(t, m), "\n")
	r := remote(t, source.RemoteOptions{URL: up.URL, MaxZip: 1 << 20, Again: true, List: list(
		"\n# what we use\n  example.com/plain@v1.0.0\r\n" + sums[0] + "\n" + sums[1] + "\nexample.com/plain\nexample.com/plain@master\n\x1b[2J@v1.0.0\n")})
	require.True(t, r.Countable())
	found, bad, versions := walked(t, r)
	require.Equal(t, []string{"example.com/UPPER/Case@v1.0.0-RC.1", "example.com/plain@v1.0.0"}, found)
	require.Len(t, bad, 3)
	require.NotContains(t, strings.Join(bad, ""), "\x1b")
	v := versions[found[0]]
	require.Equal(t, strings.Fields(sums[0])[2], v.Sum)
	info, mod, err := r.Metadata(t.Context(), &v)
	require.NoError(t, err)
	require.Equal(t, []string{m.Info(), m.Mod()}, []string{string(info), string(mod)})
	zip, err := content(t, r, &v)
	require.NoError(t, err)
	require.Equal(t, testmod.Zip(t, m), zip)

	stdin := remote(t, source.RemoteOptions{URL: up.URL, List: list("")})
	require.False(t, stdin.Countable(), "it can be read once")
	long := remote(t, source.RemoteOptions{URL: up.URL, List: list(strings.Repeat("x", 1<<20))})
	none := func(source.Version) error { return errors.New("unexpected") }
	require.ErrorContains(t, long.Walk(t.Context(), none, func(*source.Error) {}), "too long")
	_, err = source.NewRemote(source.RemoteOptions{URL: up.URL + "," + up.URL})
	require.ErrorContains(t, err, "one URL")
}

// Of a catalog all pages are read, in the form that Athens answers with.
func TestRemoteCatalog(t *testing.T) {
	t.Parallel()
	pages := map[string]string{
		"":    `{"modules":[{"module":"example.com/plain","version":"v1.0.0"},{"module":"example.com/UPPER/Case","version":"v1.0.0-RC.1"}],"next":"a|b"}` + "\n",
		"a|b": `{"modules":null,"next":"c d","more":{"x":[1]}}`,
		"c d": `{"modules":[{"module":"example.com/../x","version":"v1.0.0"},{"module":"example.com/old","version":"v2.0.0+incompatible","x":1}]}`,
	}
	var asked []string
	server := httptest.NewServer(http.StripPrefix("/athens", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if r.URL.Path != "/catalog" || user+password != "mesecret" || r.FormValue("pagesize") == "" {
			http.NotFound(w, r)
			return
		}
		asked = append(asked, r.FormValue("token"))
		fmt.Fprint(w, pages[r.FormValue("token")])
	})))
	defer server.Close()
	r := remote(t, source.RemoteOptions{URL: strings.Replace(server.URL, "://", "://me:secret@", 1) + "/athens"})
	require.False(t, r.Countable())
	found, bad, _ := walked(t, r)
	require.Equal(t, []string{"example.com/UPPER/Case@v1.0.0-RC.1", "example.com/old@v2.0.0+incompatible", "example.com/plain@v1.0.0"}, found)
	require.Len(t, bad, 1)
	require.Equal(t, []string{"", "a|b", "c d"}, asked)

	// Without the password: errors must not show it either.
	err := remote(t, source.RemoteOptions{URL: strings.Replace(server.URL, "://", "://me:wrong@", 1) + "/athens"}).
		Walk(t.Context(), nil, nil)
	require.ErrorContains(t, err, "--versions")
	require.NotContains(t, err.Error(), "wrong")
}

func TestRemoteCatalogThatIsHostile(t *testing.T) {
	t.Parallel()
	entry := `{"module":"example.com/m","version":"v1.0.0"}`
	for _, test := range []struct {
		name   string
		answer func(w io.Writer)
		want   string
	}{
		{"the same page for ever", func(w io.Writer) { fmt.Fprintf(w, `{"modules":[%s],"next":"x"}`, entry) }, "its next page is the one before"},
		{"a page", func(w io.Writer) { io.WriteString(w, "<html>") }, "not a catalog"},
		{"nothing", func(io.Writer) {}, "not a catalog"},
		{"an array", func(w io.Writer) { io.WriteString(w, "["+entry+"]") }, "no object"},
		{"names", func(w io.Writer) { io.WriteString(w, `{"modules":["example.com/m@v1.0.0"]}`) }, "not a catalog"},
		{"cut off", func(w io.Writer) { io.WriteString(w, `{"modules":[`+entry) }, "not a catalog"},
		{"a huge name", func(w io.Writer) { io.WriteString(w, `{"modules":[{"module":"`+strings.Repeat("x", 1<<20)) }, "larger than"},
		{"a huge token", func(w io.Writer) { io.WriteString(w, `{"next":"`+strings.Repeat("x", 1<<20)) }, "larger than"},
		{"something huge", func(w io.Writer) { io.WriteString(w, `{"x":[`+strings.Repeat("[],", 1<<20)) }, "larger than"},
		{"deep", func(w io.Writer) { io.WriteString(w, `{"modules":[`+strings.Repeat("[", 1<<20)) }, "not a catalog"},
		{"twice", func(w io.Writer) { io.WriteString(w, `{"modules":[],"modules":[]}`) }, "not a catalog"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { test.answer(w) }))
			defer server.Close()
			err := remote(t, source.RemoteOptions{URL: server.URL}).Walk(t.Context(), func(source.Version) error { return nil }, func(*source.Error) {})
			var failed *upstream.FailedError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, err, test.want)
		})
	}
}
