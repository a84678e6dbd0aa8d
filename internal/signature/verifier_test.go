package signature_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
)

const event = `{"events":[]}`

func TestVerifyAcceptsWhatTheRFCDescribes(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')

	for name, test := range map[string]struct {
		method, target, body string
		change               func(*recipe)
	}{
		"get":              {method: "GET", target: "/eventlog?after=0&limit=10&wait=30"},
		"post":             {method: "POST", target: "/push", body: event},
		"alg named":        {method: "GET", target: "/peer", change: func(r *recipe) { r.set("alg", `"ed25519"`) }},
		"escaped path":     {method: "GET", target: "/github.com/!azure/x%2Fy/@v/v1.0.0+incompatible.zip"},
		"slashes in front": {method: "GET", target: "//a//b"},
		"empty query":      {method: "GET", target: "/peer?"},
		"odd query":        {method: "GET", target: "/peer?a=%zz&b=ü"},
		"components in another order": {method: "POST", target: "/push", body: event, change: func(r *recipe) {
			r.components = []string{"content-digest", "@target-uri", "@method"}
		}},
		"parameters in another order": {method: "GET", target: "/peer", change: func(r *recipe) {
			r.params[0], r.params[4] = r.params[4], r.params[0]
		}},
		"more covered than needed": {method: "POST", target: "/push", body: event, change: func(r *recipe) {
			r.components = append(r.components, "@authority", "@path")
			r.lines = map[string]string{"@authority": "oa.example.com", "@path": "/push"}
		}},
		"longest life": {method: "GET", target: "/peer", change: func(r *recipe) { r.setTimes(noon, noon.Add(5*time.Minute)) }},
		"nonce like a header": {method: "GET", target: "/peer", change: func(r *recipe) {
			r.set("nonce", `"a\", olympus=(); \\;created=1,"`)
		}},
		"longest nonce": {method: "GET", target: "/peer", change: func(r *recipe) { r.set("nonce", `"`+strings.Repeat("n", 128)+`"`) }},
		"created 50 s ahead": {method: "GET", target: "/peer", change: func(r *recipe) {
			r.setTimes(noon.Add(50*time.Second), noon.Add(2*time.Minute))
		}},
		"expired 50 s ago": {method: "GET", target: "/peer", change: func(r *recipe) {
			r.setTimes(noon.Add(-2*time.Minute), noon.Add(-50*time.Second))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecipe(om, test.method, test.target, test.body)
			if test.change != nil {
				test.change(r)
			}
			got, err := newVerifier(t, audience, noon).Verify(r.build(), []byte(r.body), om.lookup)
			require.NoError(t, err)
			require.Equal(t, om.keyID, got.KeyID)
			require.Equal(t, sender, got.Name)
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	om, og := newIdentity(t, sender, 'm'), newIdentity(t, "og.example.com", 'g')

	type attempt struct {
		*recipe
		req  *http.Request // built before sent runs
		base string
	}
	get := func() *recipe { return newRecipe(om, "GET", "/eventlog?after=1", "") }
	post := func() *recipe { return newRecipe(om, "POST", "/push", event) }
	param := func(name, value string) func(*attempt) {
		return func(a *attempt) { a.set(name, value) }
	}
	input := func(change func(string) string) func(*attempt) {
		return func(a *attempt) {
			a.req.Header.Set("Signature-Input", change(a.req.Header.Get("Signature-Input")))
		}
	}

	for name, test := range map[string]struct {
		recipe *recipe
		signed func(*attempt) // changes what is signed
		sent   func(*attempt) // changes it afterwards
		reason string
	}{
		"unsigned": {recipe: get(), sent: func(a *attempt) { a.req.Header = http.Header{} }, reason: "no Signature-Input"},
		"no signature": {recipe: get(), sent: func(a *attempt) { a.req.Header.Del("Signature") },
			reason: "no Signature header"},
		"altered body": {recipe: post(), sent: func(a *attempt) { a.body = `{"events":[ ]}` }, reason: "body does not match"},
		"altered body and digest": {recipe: post(), sent: func(a *attempt) {
			forged := newRecipe(og, "POST", "/push", `{"events":[ ]}`)
			a.body = forged.body
			a.req.Header.Set("Content-Digest", forged.digest)
		}, reason: "does not match POST"},
		"body taken away": {recipe: post(), sent: func(a *attempt) { a.body = "" }, reason: "body does not match"},
		"body added":      {recipe: get(), sent: func(a *attempt) { a.body = event }, reason: `"content-digest" is not covered`},
		"body announced but not read": {recipe: get(), sent: func(a *attempt) { a.req.ContentLength = 13 },
			reason: `"content-digest" is not covered`},
		"altered path": {recipe: get(), sent: func(a *attempt) { a.req.URL.Path = "/push" }, reason: "does not match"},
		"altered escaping": {recipe: newRecipe(om, "GET", "/a%2Fb", ""), sent: func(a *attempt) { a.req.URL.RawPath = "/a/b" },
			reason: "does not match"},
		"altered query":  {recipe: get(), sent: func(a *attempt) { a.req.URL.RawQuery = "after=0" }, reason: "does not match"},
		"altered method": {recipe: get(), sent: func(a *attempt) { a.req.Method = "DELETE" }, reason: "does not match"},
		"wrong audience": {recipe: get(), sent: func(a *attempt) { a.base = "https://og.example.com" }, reason: "does not match"},
		"wrong scheme":   {recipe: get(), sent: func(a *attempt) { a.base = "http://oa.example.com" }, reason: "does not match"},
		"wrong port":     {recipe: get(), sent: func(a *attempt) { a.base = "https://oa.example.com:8443" }, reason: "does not match"},
		"audience of the Host header": {recipe: get(), signed: func(a *attempt) {
			a.target = "http://evil.example.com/eventlog?after=1"
		}, sent: func(a *attempt) { a.req.Host = "evil.example.com" }, reason: "does not match"},
		"not a path": {recipe: get(), sent: func(a *attempt) { a.req.URL.Path, a.req.URL.Opaque = "", "@evil.example.com" },
			reason: "is not a path"},
		"unknown key":      {recipe: newRecipe(og, "GET", "/peer", ""), reason: "unknown key"},
		"another's key":    {recipe: get(), signed: func(a *attempt) { a.key = og.private }, reason: "does not match"},
		"another's key ID": {recipe: get(), signed: param("keyid", fmt.Sprintf("%q", og.keyID)), reason: "unknown key"},
		"key ID too long":  {recipe: get(), signed: param("keyid", `"`+strings.Repeat("k", 513)+`"`), reason: "keyid of 513"},
		"expired": {recipe: get(), signed: func(a *attempt) {
			a.setTimes(noon.Add(-2*time.Minute), noon.Add(-70*time.Second))
		}, reason: "it expired"},
		"created 70 s ahead": {recipe: get(), signed: func(a *attempt) {
			a.setTimes(noon.Add(70*time.Second), noon.Add(2*time.Minute))
		}, reason: "it was created"},
		"lives 6 minutes": {recipe: get(), signed: func(a *attempt) { a.setTimes(noon, noon.Add(6*time.Minute)) },
			reason: "longer than 5m"},
		"expires before it is made": {recipe: get(), signed: func(a *attempt) { a.setTimes(noon, noon.Add(-time.Second)) },
			reason: "expires before"},
		"lifetime stretched": {recipe: get(), sent: input(func(s string) string {
			return strings.Replace(s, fmt.Sprint(noon.Add(2*time.Minute).Unix()), fmt.Sprint(noon.Add(4*time.Minute).Unix()), 1)
		}), reason: "does not match"},
		"no created":           {recipe: get(), signed: param("created", ""), reason: "created is missing"},
		"no expires":           {recipe: get(), signed: param("expires", ""), reason: "expires is missing"},
		"no nonce":             {recipe: get(), signed: param("nonce", ""), reason: "nonce is missing"},
		"no keyid":             {recipe: get(), signed: param("keyid", ""), reason: "keyid is missing"},
		"no tag":               {recipe: get(), signed: param("tag", ""), reason: "tag is missing"},
		"empty nonce":          {recipe: get(), signed: param("nonce", `""`), reason: "nonce of 0"},
		"nonce too long":       {recipe: get(), signed: param("nonce", `"`+strings.Repeat("n", 129)+`"`), reason: "nonce of 129"},
		"nonce exchanged":      {recipe: get(), sent: input(func(s string) string { return strings.Replace(s, "n-1", "n-2", 1) }), reason: "does not match"},
		"nonce not a string":   {recipe: get(), signed: param("nonce", "7"), reason: "nonce has the wrong type"},
		"created not a number": {recipe: get(), signed: param("created", `"7"`), reason: "created has the wrong type"},
		"wrong tag":            {recipe: get(), signed: param("tag", `"web"`), reason: "tag is not"},
		"wrong alg":            {recipe: get(), signed: param("alg", `"hmac-sha256"`), reason: "alg is not"},
		"alg a token":          {recipe: get(), signed: param("alg", "ed25519"), reason: "alg is not"},
		"unknown parameter":    {recipe: get(), signed: param("context", `"x"`), reason: "context is unknown"},
		"parameter twice": {recipe: get(), signed: func(a *attempt) { a.params = append(a.params, `nonce="n-2"`) },
			reason: "nonce is given twice"},
		"other label": {recipe: get(), signed: func(a *attempt) { a.label = "sig1" }, reason: "labelled olympus"},
		"label twice": {recipe: get(), sent: func(a *attempt) {
			a.req.Header.Add("Signature-Input", a.req.Header.Get("Signature-Input"))
		}, reason: "more than one signature"},
		"signature twice": {recipe: get(), sent: func(a *attempt) {
			a.req.Header.Add("Signature", a.req.Header.Get("Signature"))
		}, reason: "more than one signature"},
		"method not covered": {recipe: get(), signed: func(a *attempt) { a.components = []string{"@target-uri"} },
			reason: `"@method" is not covered`},
		"target not covered": {recipe: get(), signed: func(a *attempt) { a.components = []string{"@method"} },
			reason: `"@target-uri" is not covered`},
		"digest not covered": {recipe: post(), signed: func(a *attempt) { a.components = a.components[:2] },
			reason: `"content-digest" is not covered`},
		"digest missing": {recipe: post(), sent: func(a *attempt) { a.req.Header.Del("Content-Digest") }, reason: "no sha-256"},
		"digest of another kind": {recipe: post(), signed: func(a *attempt) {
			a.digest = strings.Replace(a.digest, "sha-256", "md5", 1)
		}, reason: "no sha-256"},
		"digest malformed": {recipe: post(), signed: func(a *attempt) { a.digest = "sha-256=7" }, reason: "content-digest"},
		"component twice": {recipe: get(), signed: func(a *attempt) { a.components = append(a.components, "@method") },
			reason: "covered twice"},
		"component in capitals": {recipe: post(), signed: func(a *attempt) { a.components[2] = "Content-Digest" },
			reason: "lower case"},
		"component with parameters": {recipe: get(), sent: input(func(s string) string {
			return strings.Replace(s, `"@method"`, `"@method";req`, 1)
		}), reason: "has parameters"},
		"component not a string": {recipe: get(), sent: input(func(s string) string {
			return strings.Replace(s, `"@method"`, `7 "@method"`, 1)
		}), reason: "not a string"},
		"component unknown": {recipe: get(), signed: func(a *attempt) { a.components = append(a.components, "@nonsense") },
			reason: "@nonsense"},
		"component absent": {recipe: get(), signed: func(a *attempt) { a.components = append(a.components, "date") },
			reason: "date not present"},
		"input not a list": {recipe: get(), sent: input(func(string) string { return `olympus="x"` }), reason: "not a list"},
		"display string": {recipe: get(), sent: func(a *attempt) { a.req.Header.Add("Signature", `other=%"x"`) },
			reason: "Signature cannot be read"},
		"display string in the digest": {recipe: post(), signed: func(a *attempt) { a.digest += `, other=%"x"` },
			reason: "Content-Digest cannot be read"},
		"input malformed": {recipe: get(), sent: input(func(s string) string { return s + "," }), reason: "not a dictionary"},
		"input too long": {recipe: get(), sent: input(func(s string) string {
			return s + `, other="` + strings.Repeat("x", 4096) + `"`
		}), reason: "longer than 4096"},
		"signature too long": {recipe: get(), sent: func(a *attempt) {
			a.req.Header.Add("Signature", "other=:"+strings.Repeat("AAAA", 1024)+":")
		}, reason: "longer than 4096"},
		"signature a string": {recipe: get(), sent: func(a *attempt) { a.req.Header.Set("Signature", `olympus="x"`) },
			reason: "not a byte sequence"},
		"signature a list": {recipe: get(), sent: func(a *attempt) { a.req.Header.Set("Signature", `olympus=("x")`) },
			reason: "not a byte sequence"},
		"signature short": {recipe: get(), sent: func(a *attempt) { a.req.Header.Set("Signature", `olympus=:AAAA:`) },
			reason: "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &attempt{recipe: test.recipe, base: audience}
			if test.signed != nil {
				test.signed(a)
			}
			a.req = a.build()
			if test.sent != nil {
				test.sent(a)
			}
			_, err := newVerifier(t, a.base, noon).Verify(a.req, []byte(a.body), om.lookup)
			var refused *signature.Error
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Reason, test.reason)
			require.NotContains(t, refused.Reason, "\n")
		})
	}
}

func TestVerifyIgnoresOtherLabels(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')
	req := newRecipe(om, "GET", "/peer", "").build()
	// What would make the library fail or panic, were it handed on; and a string that looks like a second label.
	req.Header.Add("Signature-Input", `proxy=(7 "@method";req);nonce=7;note=", olympus=()"`)
	req.Header.Add("Signature", `proxy=:AAAA:`)
	before := req.Header.Clone()

	_, err := newVerifier(t, audience, noon).Verify(req, nil, om.lookup)
	require.NoError(t, err)
	require.Equal(t, before, req.Header, "others may want to see their signatures")
}

func TestVerifyReturnsTheNonceOfAReplay(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')
	req := newRecipe(om, "POST", "/push", event).build()
	verifier := newVerifier(t, audience, noon)

	first, err := verifier.Verify(req, []byte(event), om.lookup)
	require.NoError(t, err)
	second, err := verifier.Verify(req, []byte(event), om.lookup)
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.Equal(t, "n-1", first.Nonce)
	require.True(t, first.Expires.Equal(noon.Add(2*time.Minute)))
}

func TestVerifyBehindAProxy(t *testing.T) {
	t.Parallel()
	om := newIdentity(t, sender, 'm')

	for name, test := range map[string]struct{ base, signed string }{
		"host differs":          {base: audience, signed: audience + "/push?a=b"},
		"proxy strips a prefix": {base: "https://example.com/olympus", signed: "https://example.com/olympus/push?a=b"},
		"slash at the end":      {base: "https://example.com/olympus/", signed: "https://example.com/olympus/push?a=b"},
		"written in capitals":   {base: "HTTPS://OA.Example.com", signed: audience + "/push?a=b"},
		"port written out":      {base: "https://oa.example.com:443", signed: audience + "/push?a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRecipe(om, "POST", "/push?a=b", event)
			r.target = test.signed
			req := r.build()
			req.Host = "10.0.0.7:3000"
			_, err := newVerifier(t, test.base, noon).Verify(req, []byte(event), om.lookup)
			require.NoError(t, err)
		})
	}
}

func TestVerifyLookup(t *testing.T) {
	t.Parallel()
	om, og := newIdentity(t, sender, 'm'), newIdentity(t, "og.example.com", 'g')
	down := errors.New("database is down")

	for name, test := range map[string]struct {
		vkey    string
		err     error
		refused bool
	}{
		"wrapped unknown key":   {err: fmt.Errorf("peers: %w", signature.ErrUnknownKey), refused: true},
		"key of another peer":   {vkey: og.vkey, refused: true},
		"same key, other name":  {vkey: newIdentity(t, "renamed.example.com", 'm').vkey, refused: true},
		"database down":         {err: down},
		"configured key broken": {vkey: "om.example.com+00000000+AAAA"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lookup := func(string) (string, error) { return test.vkey, test.err }
			_, err := newVerifier(t, audience, noon).Verify(newRecipe(om, "GET", "/peer", "").build(), nil, lookup)
			var refused *signature.Error
			require.Error(t, err)
			require.Equal(t, test.refused, errors.As(err, &refused), err)
			if test.err == down {
				require.ErrorIs(t, err, down)
			}
		})
	}
}

func TestSigned(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header string
		want   bool
	}{
		"neither":         {header: "Accept"},
		"signature":       {header: "Signature", want: true},
		"signature input": {header: "signature-input", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := httptest.NewRequest("GET", "/peer", nil)
			req.Header.Set(test.header, "")
			require.Equal(t, test.want, signature.Signed(req))
		})
	}
}

// FuzzVerify gives the verifier any two headers. Whatever they say, it must not panic, must answer refusals only, and
// can accept nothing but the one signature there is.
func FuzzVerify(f *testing.F) {
	om := newIdentity(f, sender, 'm')
	seed := newRecipe(om, "POST", "/push", event)
	input, sig := seed.headers()
	f.Add(input, sig)
	f.Add(input+`, a=();x`, `a=?1, `+sig)
	f.Add(`olympus=(7 "@method";req "x";key=1);nonce=@7;tag=%"a";keyid=x:y`, `olympus=1.5`)
	f.Add(`olympus;a;a`, `olympus`)
	f.Fuzz(func(t *testing.T, input, sig string) {
		req := seed.build()
		req.Header.Set("Signature-Input", input)
		req.Header.Set("Signature", sig)
		got, err := newVerifier(t, audience, noon).Verify(req, []byte(event), om.lookup)
		if err != nil {
			var refused *signature.Error
			require.ErrorAs(t, err, &refused)
			return
		}
		require.Equal(t, &signature.Verified{
			KeyID: om.keyID, Name: sender, Nonce: "n-1", Expires: time.Unix(noon.Add(2*time.Minute).Unix(), 0),
		}, got)
	})
}
