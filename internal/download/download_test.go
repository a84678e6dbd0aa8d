package download

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"

	"olympus/internal/protocol"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]Request{
		"/example.com/m/@v/list":                             {Module: "example.com/m", Ext: List},
		"/example.com/m/@latest":                             {Module: "example.com/m", Ext: Latest},
		"/example.com/m/@v/v1.0.0.info":                      {Module: "example.com/m", Version: "v1.0.0", Ext: Info, Canonical: true},
		"/example.com/m/@v/v1.0.0.mod":                       {Module: "example.com/m", Version: "v1.0.0", Ext: Mod, Canonical: true},
		"/example.com/m/@v/v1.0.0.zip":                       {Module: "example.com/m", Version: "v1.0.0", Ext: Zip, Canonical: true},
		"/example.com/!big!m/@v/v1.0.0-!r!c1.zip":            {Module: "example.com/BigM", Version: "v1.0.0-RC1", Ext: Zip, Canonical: true},
		"/example.com/%21big%21m/@v/v1.0.0-%21r%21c1.zip":    {Module: "example.com/BigM", Version: "v1.0.0-RC1", Ext: Zip, Canonical: true},
		"/example.com/m/@v/v2.0.0+incompatible.zip":          {Module: "example.com/m", Version: "v2.0.0+incompatible", Ext: Zip, Canonical: true},
		"/example.com/m/@v/v2.0.0%2Bincompatible.mod":        {Module: "example.com/m", Version: "v2.0.0+incompatible", Ext: Mod, Canonical: true},
		"/example.com/m/@v/v2.0.0%2bincompatible.info":       {Module: "example.com/m", Version: "v2.0.0+incompatible", Ext: Info, Canonical: true},
		"/example.com/m/v2/@v/v2.1.0.zip":                    {Module: "example.com/m/v2", Version: "v2.1.0", Ext: Zip, Canonical: true},
		"/gopkg.in/yaml.v3/@v/v3.0.1.mod":                    {Module: "gopkg.in/yaml.v3", Version: "v3.0.1", Ext: Mod, Canonical: true},
		"/example.com/m/@v/v0.0.0-20200102030405-abcdef.zip": {Module: "example.com/m", Version: "v0.0.0-20200102030405-abcdef", Ext: Zip, Canonical: true},
		// Version queries, which only .info may hold.
		"/example.com/m/@v/main.info":         {Module: "example.com/m", Version: "main", Ext: Info},
		"/example.com/m/@v/latest.info":       {Module: "example.com/m", Version: "latest", Ext: Info},
		"/example.com/m/@v/list.info":         {Module: "example.com/m", Version: "list", Ext: Info},
		"/example.com/m/@v/v1.info":           {Module: "example.com/m", Version: "v1", Ext: Info},
		"/example.com/m/@v/v1.2.info":         {Module: "example.com/m", Version: "v1.2", Ext: Info},
		"/example.com/m/@v/v2.0.0.info":       {Module: "example.com/m", Version: "v2.0.0", Ext: Info},
		"/example.com/m/@v/v1.0.0+meta.info":  {Module: "example.com/m", Version: "v1.0.0+meta", Ext: Info},
		"/example.com/m/@v/feature.zip.info":  {Module: "example.com/m", Version: "feature.zip", Ext: Info},
		"/example.com/m/@v/!release.info":     {Module: "example.com/m", Version: "Release", Ext: Info},
		"/example.com/m/@v/50%25.info":        {Module: "example.com/m", Version: "50%", Ext: Info},
		"/example.com/m/%40v/v1.0.0.info":     {Module: "example.com/m", Version: "v1.0.0", Ext: Info, Canonical: true},
		"/example.com/m/@v/0123456789ab.info": {Module: "example.com/m", Version: "0123456789ab", Ext: Info},
		"/" + longModule(1024) + "/@v/list":   {Module: longModule(1024), Ext: List},
		"/example.com/m/@v/v1.0.0-" + strings.Repeat("a", 249) + ".zip": {
			Module: "example.com/m", Version: "v1.0.0-" + strings.Repeat("a", 249), Ext: Zip, Canonical: true,
		},
	} {
		got, ok, err := Parse(path)
		require.NoError(t, err, path)
		require.True(t, ok, path)
		require.Equal(t, want, got, path)

		again, _, err := Parse(got.Path())
		require.NoError(t, err, got.Path())
		require.Equal(t, want, again, "%s written again as %s", path, got.Path())
	}
}

func TestParseOtherRoutes(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"", "/", "/healthz", "/eventlog", "/example.com/m", "/modules/example.com/m@v1.0.0", "/modules/example.com%2Fm@v1.0.0",
		"/example.com/m/@v", "/example.com/m/@latest/", "/example.com/m@latest", "/sumdb/sum.example.com/tile/8/0/x001/000",
		"/sumdb/sum.example.com/lookup/example.com/m@v1.0.0", "/%zz",
	} {
		_, ok, err := Parse(path)
		require.False(t, ok, path)
		require.NoError(t, err, path)
	}
}

func TestParseMalformed(t *testing.T) {
	t.Parallel()
	for path, reason := range map[string]string{
		"/@v/list":                                       "no module path",
		"/@latest":                                       "no module path",
		"example.com/m/@v/list":                          "no module path",
		"//@v/list":                                      "empty string",
		"//example.com/m/@v/list":                        "empty path element",
		"/example.com//m/@v/list":                        "double slash",
		"/example.com/m//@v/list":                        "trailing slash",
		"/example.com/./m/@v/list":                       "invalid path element",
		"/example.com/../m/@v/list":                      "invalid path element",
		"/example.com/.hidden/@v/list":                   "leading dot",
		"/nodot/m/@v/list":                               "missing dot",
		"/example.com/m/v1/@v/list":                      "invalid version",
		"/example.com/con/@v/list":                       "Windows",
		"/example.com/m/@v/list/@v/list":                 "no such file",
		"/example.com/m/@v/../@latest":                   "no such file",
		"/example.com/M/@v/list":                         "wrongly escaped",
		"/example.com/!M/@v/list":                        "wrongly escaped",
		"/example.com/!!m/@v/list":                       "wrongly escaped",
		"/example.com/m!/@v/list":                        "wrongly escaped",
		"/example.com/!1/@v/list":                        "wrongly escaped",
		"/!example.com/m/@v/list":                        "invalid char 'E'",
		"/example.com/%6D%4D/@v/list":                    "wrongly escaped",
		"/example.com/m%2Fn/@v/list":                     "percent-encoded slash",
		"/example.com/m%2f@v/list":                       "percent-encoded slash",
		"/example.com/m/@v/a%2Fb.info":                   "percent-encoded slash",
		"/example.com/m/@v/%zz.info":                     "percent-encoding",
		"/example.com/m/@v/a.info%2":                     "percent-encoding",
		"/example.com/m%252fn/@v/list":                   "invalid char '%'",
		"/example.com/m%00/@v/list":                      "invalid char",
		"/example.com/m\xff/@v/list":                     "wrongly escaped",
		"/example.com/%C3%A9/@v/list":                    "wrongly escaped",
		"/example.com/m/@v/":                             "no such file",
		"/example.com/m/@v/v1.0.0":                       "no such file",
		"/example.com/m/@v/v1.0.0.ziphash":               "no such file",
		"/example.com/m/@v/v1.0.0.INFO":                  "no such file",
		"/example.com/m/@v/v1.0.0.zip/":                  "no such file",
		"/example.com/m/@v/.info":                        "not a version",
		"/example.com/m/@v/...info":                      "not a version",
		"/example.com/m/@v/a/b.info":                     "not a version",
		"/example.com/m/@v/%3Cv1.info":                   "not a version",
		"/example.com/m/@v/con.info":                     "not a version",
		"/example.com/m/@v/V1.0.0.info":                  "wrongly escaped",
		"/example.com/m/@v/v1.0.0-RC1.zip":               "wrongly escaped",
		"/example.com/m/@v/v1.mod":                       "canonical",
		"/example.com/m/@v/main.zip":                     "canonical",
		"/example.com/m/@v/v1.0.0+meta.zip":              "canonical",
		"/example.com/m/@v/v2.0.0.zip":                   "canonical",
		"/example.com/m/v2/@v/v1.0.0.mod":                "canonical",
		"/example.com/m/v2/@v/v2.0.0+incompat.mod":       "canonical",
		"/example.com/m/@v/v01.0.0.mod":                  "canonical",
		"/" + longModule(1025) + "/@v/list":              "longer than 1024",
		"/example.com/m/@v/" + long(257) + ".info":       "longer than 256",
		"/example.com/m/@v/v1.0.0-" + long(250) + ".zip": "longer than 256",
	} {
		req, ok, err := Parse(path)
		require.True(t, ok, path)
		require.Error(t, err, path)
		require.ErrorContains(t, err, reason, path)
		require.Zero(t, req, path)
		var malformed *Error
		require.ErrorAs(t, err, &malformed, path)
		require.Equal(t, path, malformed.Path)
		require.Less(t, len(err.Error()), 2048)
		require.NotContains(t, err.Error(), "\n")
	}
}

// TestParseAgainstModule compares with x/mod, whose rules these are.
func TestParseAgainstModule(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"example.com/m", "example.com/m/v2", "gopkg.in/check.v1", "example.com/Upper"} {
		for _, version := range []string{
			"v0.0.0", "v1.0.0", "v1.0", "v2.0.0", "v2.3.4-pre.1", "v2.0.0+incompatible", "v1.0.0+incompatible",
			"v0.0.0-20161208181325-20d25e280405", "v1.0.0+x", "v3.0.0", "main",
		} {
			canonical := module.Check(path, version) == nil && module.CanonicalVersion(version) == version
			req, ok, err := Parse(Request{Module: path, Version: version, Ext: Info}.Path())
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, Request{Module: path, Version: version, Ext: Info, Canonical: canonical}, req)
			_, _, err = Parse(Request{Module: path, Version: version, Ext: Zip}.Path())
			require.Equal(t, canonical, err == nil, "%s@%s: %v", path, version, err)
		}
	}
}

// FuzzPlain checks that the short way to accept a module path accepts nothing that x/mod refuses.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{
		"example.com/m", "example.com/con", "example.com/a/Nul.go", "example.com/lpt1/v2", "example.com/a/v1", "com1.x/m",
		"gopkg.in/yaml.v3", "gopkg.in/yaml", "example.com/a..b", "Example.com/m", "a_b.c/d", "-a.b/c", "m/n.o", "a./b", "example.com/v0",
		"example.com/com0", "example.com/abcd~1", "aux.example.com/m",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if isPlain(path) {
			require.NoError(t, module.CheckPath(path))
		}
	})
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"example.com/m", "example.com/Owner/some_module.go/v2", "go.example.com", "gopkg.in/yaml.v3"} {
		require.True(t, isPlain(path), "%s takes the long way", path)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/example.com/m/@v/list", "/example.com/!m/@latest", "/example.com/m/@v/v2.0.0%2Bincompatible.zip", "/%2F/@v/%.info",
		"/example.com/m/@v/v1.0.0-!r!c.1.mod", "/example.com/m/@v/50%25.info", "//./@v/..zip",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		req, ok, err := Parse(path)
		if !ok || err != nil {
			require.Zero(t, req)
			return
		}
		require.NoError(t, module.CheckPath(req.Module))
		require.LessOrEqual(t, len(req.Module), protocol.MaxPathBytes)
		require.LessOrEqual(t, len(req.Version), protocol.MaxVersionBytes)
		require.Equal(t, req.Version == "", req.Ext == List || req.Ext == Latest)
		valid := module.Check(req.Module, req.Version) == nil && module.CanonicalVersion(req.Version) == req.Version
		require.Equal(t, valid, req.Canonical)
		require.True(t, valid || req.Ext == List || req.Ext == Latest || req.Ext == Info)

		again, ok, err := Parse(req.Path())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, req, again)
		if !strings.Contains(path, "%") && !strings.ContainsAny(req.Path(), "%") {
			require.Equal(t, path, req.Path(), "two spellings of one file")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, path := range map[string]string{
		"lower":   "/example.com/owner/module/@v/v1.12.3.zip",
		"list":    "/example.com/owner/module/@v/list",
		"pseudo":  "/example.com/owner/module/@v/v0.0.0-20200102030405-abcdef123456.mod",
		"escaped": "/example.com/%21owner/module/@v/v1.12.3.info",
		"none":    "/modules/example.com/owner/module@v1.12.3",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Parse(path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func long(n int) string { return strings.Repeat("a", n) }

func longModule(n int) string {
	return "example.com/" + strings.Repeat("a", n-len("example.com/"))
}
