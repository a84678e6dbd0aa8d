package upstream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestList(t *testing.T) {
	t.Parallel()
	// One letter for each place: its kind, or the host of a proxy, with "|" if the next one is asked after any error.
	describe := func(u *Upstream) string {
		text := ""
		for _, p := range u.places {
			switch s := p.source.(type) {
			case nil:
				text += "off "
			case *direct:
				text += "direct "
			case *proxy:
				text += s.remote.base.String()
				if s.remote.user != nil {
					text += "(" + s.remote.user.String() + ")"
				}
				if p.onError {
					text += "|"
				}
				text += " "
			}
		}
		return text
	}
	for list, want := range map[string]string{
		"off":                               "off ",
		"direct":                            "direct ",
		"https://a.example.com":             "https://a.example.com ",
		"a.example.com":                     "https://a.example.com ",
		"a.example.com/go,off":              "https://a.example.com/go off ",
		"https://a.example.com,direct":      "https://a.example.com direct ",
		"http://a.example.com:80/go|direct": "http://a.example.com:80/go| direct ",
		"https://a.example.com|b.example.org/,file:///srv/mod|off": "https://a.example.com| https://b.example.org/ file:///srv/mod| off ",
		" https://a.example.com , , direct ,":                      "https://a.example.com direct ",
		"direct,https://a.example.com":                             "direct ",
		"off|https://a.example.com":                                "off ",
		"https://me:secret@a.example.com/go,direct":                "https://a.example.com/go(me:secret) direct ",
	} {
		u, err := New(Options{Proxies: list, ChecksumDB: "off"})
		require.NoError(t, err, list)
		require.Equal(t, want, describe(u), list)
	}
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts Options
		want string
	}{
		"no list":            {Options{}, `list of proxies: "" has no entries`},
		"empty list":         {Options{Proxies: " ,| "}, `" ,| " has no entries`},
		"unknown word":       {Options{Proxies: "directly"}, `"directly": neither a URL nor "direct" nor "off"`},
		"path":               {Options{Proxies: "/srv/mod"}, `"/srv/mod": neither a URL`},
		"unknown scheme":     {Options{Proxies: "https://a.example.com,ftp://b.example.com"}, `"ftp://b.example.com": the scheme must be`},
		"after the end":      {Options{Proxies: "direct,ftp://b.example.com"}, `"ftp://b.example.com"`},
		"no host":            {Options{Proxies: "https:///go"}, `"https:///go": the URL names no host`},
		"query":              {Options{Proxies: "https://a.example.com/?token=1"}, "must end with its path"},
		"fragment":           {Options{Proxies: "https://a.example.com/#x"}, "must end with its path"},
		"file with a host":   {Options{Proxies: "file://host/srv"}, `"file://host/srv": a file URL has a path and nothing else`},
		"file without path":  {Options{Proxies: "file://"}, "a file URL has a path"},
		"not a URL":          {Options{Proxies: "https://a.example.com:port"}, "not a URL: invalid port"},
		"secret":             {Options{Proxies: "ftp://me:secret@a.example.com"}, `"ftp://a.example.com"`},
		"secret, unreadable": {Options{Proxies: "https://me:secret%zz@a.example.com"}, `"https://a.example.com": not a URL`},
		"pattern":            {Options{Proxies: "off", Private: "example.com/x,example.com/["}, `private pattern "example.com/["`},
		"no database":        {Options{Proxies: "off"}, "checksum database: neither"},
		"unknown database":   {Options{Proxies: "off", ChecksumDB: "sum.example.com"}, `unknown checksum database "sum.example.com": give name+hash+key`},
		"garbage key":        {Options{Proxies: "off", ChecksumDB: "sum.example.com+033de0ae+AAAA"}, `key "sum.example.com+033de0ae+AAAA"`},
		"three fields":       {Options{Proxies: "off", ChecksumDB: "a b c"}, `"a b c" has more than two fields`},
		"no go command":      {Options{Proxies: "direct", ChecksumDB: "off", GoBin: "/nonexistent/go"}, "direct needs the go command"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.opts.ChecksumDB == "" && name != "no database" {
				c.opts.ChecksumDB = "off"
			}
			_, err := New(c.opts)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "secret")
		})
	}
}

// TestChecksumDBName refuses names that would lead requests astray.
func TestChecksumDBName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sum.example.com/", "sum.example.com?x", "me@sum.example.com", "/path", "sum.example.com/%2e%2e"} {
		_, err := New(Options{Proxies: "off", ChecksumDB: newSumDB(t, name, nil).key})
		require.ErrorContains(t, err, "must be a host, or a host and a path", name)
	}
	for _, name := range []string{"sum.example.com", "sum.example.com/path", "sum.example.com:8080"} {
		db := newSumDB(t, name, nil)
		_, err := New(Options{Proxies: "off", ChecksumDB: db.key})
		require.NoError(t, err, name)
		_, err = New(Options{Proxies: "off", ChecksumDB: db.key + " https://mirror.example.com"})
		require.NoError(t, err, name)
		_, err = New(Options{Proxies: "off", ChecksumDB: db.key + " ftp://mirror.example.com"})
		require.ErrorContains(t, err, "scheme", name)
	}
}

func TestHostOf(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://A.Example.com": "a.example.com", "https://a.example.com:443/x": "a.example.com", "http://a.example.com.:80": "a.example.com",
		"http://a.example.com:443": "a.example.com:443", "https://me:pw@a.example.com:8443": "a.example.com:8443",
	} {
		u, err := parseBase(text)
		require.NoError(t, err)
		require.Equal(t, want, hostOf(u), text)
	}
}
