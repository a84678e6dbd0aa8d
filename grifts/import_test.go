package grifts

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

func TestImportOfADirectory(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	dir := t.TempDir()
	good, upper, broken := testmod.Module{Path: "example.com/m", Version: "v1.0.0"}, testmod.Module{Path: "example.com/UPPER", Version: "v2.0.0+incompatible",
		Files: map[string]string{"a.go": "package a\n"}}, testmod.Module{Path: "example.com/m", Version: "v1.1.0"}
	testmod.Tree(t, dir, good)
	testmod.Athens(t, dir, upper)
	require.Equal(t, "2 imported, 0 known and now held, 0 present already, 0 deleted here, 0 in conflict, 0 failed; "+
		size(int64(len(testmod.Zip(t, good))+len(testmod.Zip(t, upper))))+" read\n", s.must("modules:import", dir))
	require.Contains(t, s.must("log:show"), "example.com/UPPER@v2.0.0+incompatible\tom.example.com\t")
	require.JSONEq(t, `{"events":2,"versions":2,"blobs":2,"orphans":0,"problems":[]}`, s.must("log:verify", "--json"))
	require.JSONEq(t, `{"imported":0,"held":0,"present":2,"deleted":0,"conflicts":0,"failed":0,"bytes":0,"complete":true,"problems":[],"problems_left_out":0}`,
		s.must("modules:import", "--json", dir), "again")

	// A version that is damaged, one that was deleted here, and one of which the log has something else.
	testmod.Tree(t, dir, broken, testmod.Module{Path: "example.com/m", Version: "v1.2.0"})
	require.NoError(t, os.Truncate(filepath.Join(dir, "example.com/m/@v/v1.1.0.zip"), 100))
	other := good
	other.Files = map[string]string{"other.go": "package other\n"}
	testmod.Tree(t, dir, other)
	s.must("modules:delete", "example.com/m@v1.2.0", "why")
	out, _, err := s.run("modules:import", dir, "--check")
	require.EqualError(t, err, "not imported: 1 failed, 1 in conflict")
	require.Contains(t, out, "example.com/m@v1.0.0: conflict: the log has h1:")
	require.Contains(t, out, "example.com/m@v1.1.0: failed: check zip of example.com/m@v1.1.0: invalid module zip")
	require.Contains(t, out, "\n0 imported, 0 known and now held, 1 present already, 1 deleted here, 1 in conflict, 1 failed; ")
	out, _, err = s.run("modules:import", dir, "--json")
	require.Error(t, err)
	answer := parse[imported](t, out)
	require.Equal(t, []int64{0, 2, 1, 0, 1}, []int64{answer.Imported, answer.Present, answer.Deleted, answer.Conflicts, answer.Failed})
	require.Len(t, answer.Problems, 1)
	require.True(t, answer.Complete)
}

func TestImportOfAServer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	var modules []testmod.Module
	for n := range 5 {
		modules = append(modules, testmod.Module{Path: "example.com/M", Version: fmt.Sprintf("v1.%d.0", n)})
	}
	up := testmod.NewUpstream(t, modules...)
	catalog := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/catalog" {
			up.ServeHTTP(w, r)
			return
		}
		if r.FormValue("token") == "" {
			fmt.Fprint(w, `{"modules":[{"module":"example.com/M","version":"v1.0.0"},{"module":"example.com/M","version":"v1.1.0"}],"next":"x"}`)
			return
		}
		fmt.Fprint(w, `{"modules":[{"module":"example.com/M","version":"v1.2.0"},{"module":"\u001b[2J","version":"v1.0.0"}]}`)
	})
	athens := httptest.NewServer(catalog)
	defer athens.Close()
	out, _, err := s.run("modules:import", athens.URL)
	require.EqualError(t, err, "not imported: 1 failed, 0 in conflict")
	require.Contains(t, out, "\n3 imported, ")
	require.NotContains(t, out, "\x1b")

	// A server without a catalog, with a list of its versions in each form.
	_, _, err = s.run("modules:import", up.URL)
	require.ErrorContains(t, err, "--versions")
	list := filepath.Join(t.TempDir(), "go.sum")
	require.NoError(t, os.WriteFile(list, []byte(testmod.GoSum(t, modules[3])), 0o600))
	require.Contains(t, s.must("modules:import", up.URL, "--versions", list), "1 imported, ")
	s.input = "example.com/M@v1.3.0\nexample.com/M@v1.4.0\n"
	require.Contains(t, s.must("modules:import", "--versions=-", up.URL), "1 imported, 0 known and now held, 1 present already")
	require.JSONEq(t, `{"events":5,"versions":5,"blobs":5,"orphans":0,"problems":[]}`, s.must("log:verify", "--json"))
	_, _, err = s.run("modules:import", up.URL, "--versions", filepath.Join(t.TempDir(), "nothing"))
	require.ErrorContains(t, err, "no such file")

	_, _, err = s.run("modules:import")
	var misused *UsageError
	require.ErrorAs(t, err, &misused)
	require.Equal(t, "olympus task modules:import DIR|URL [--versions FILE] [--check] [--json]", misused.Usage)

	// A password in the URL is in no message.
	_, _, err = s.run("modules:import", "http://me:secret@127.0.0.1:1")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

// Problems in JSON are bounded, whatever a catalog holds.
func TestImportBoundsItsAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	s.input = strings.Repeat("what\n", maxProblems+7)
	out, _, err := s.run("modules:import", "http://127.0.0.1:1", "--versions", "-", "--json")
	require.Error(t, err)
	answer := parse[imported](t, out)
	require.Len(t, answer.Problems, maxProblems)
	require.EqualValues(t, 7, answer.LeftOut)
	require.EqualValues(t, maxProblems+7, answer.Failed)
}
