package actions_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/models"
)

// newcomer is a deployment that nobody knows yet.
type newcomer struct {
	t      testing.TB
	signer *signature.Signer
	join   protocol.Join
}

func newNewcomer(t testing.TB, name, url string) *newcomer {
	t.Helper()
	key, _, err := signature.GenerateKey(name)
	require.NoError(t, err)
	signer, err := signature.NewSigner(key)
	require.NoError(t, err)
	return &newcomer{t, signer, protocol.Join{Name: name, URL: url, Key: signer.VerifierKey()}}
}

// sign makes a signed request for a site; it can be sent once, and replayed.
func (n *newcomer) sign(s *site, path, body string) *http.Request {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPost, s.url+path, strings.NewReader(body))
	require.NoError(n.t, err)
	req.Header.Set("Content-Type", "application/json")
	require.NoError(n.t, n.signer.Sign(req, []byte(body)))
	return req
}

func (n *newcomer) asks(s *site) answerOf {
	n.t.Helper()
	return s.send(n.sign(s, "/peer/join", string(protocol.AppendJoin(nil, n.join))))
}

func (s *site) send(req *http.Request) answerOf {
	s.t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return answerOf{resp.StatusCode, resp.Header, string(body)}
}

// rows are what a request to join can leave behind.
func (s *site) rows() (rows [3]int) {
	s.t.Helper()
	for i, table := range []string{"peers", "join_requests", "nonces"} {
		require.NoError(s.t, s.DB.RawQuery("SELECT count(*) FROM "+table).First(&rows[i]))
	}
	return rows
}

func TestJoin(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{token: token})
	var asked atomic.Int64
	at := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(at.Close)
	oa := newNewcomer(t, "oa.example.com/eu", at.URL)

	first := oa.sign(s, "/peer/join", string(protocol.AppendJoin(nil, oa.join)))
	replay := first.Clone(t.Context())
	replay.Body, _ = first.GetBody()
	got := s.send(first)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	require.JSONEq(t, `{"state":"pending"}`, got.body)
	require.Equal(t, [3]int{0, 1, 1}, s.rows())
	got = s.send(replay)
	require.Equal(t, http.StatusUnauthorized, got.status, got.body)
	require.Contains(t, got.body, "was used before")

	// Once more, from a new address; and somebody else under its name.
	oa.join.URL = at.URL + "/moved/"
	require.Equal(t, http.StatusAccepted, oa.asks(s).status)
	other := newNewcomer(t, oa.join.Name, at.URL)
	got = other.asks(s)
	require.Equal(t, http.StatusConflict, got.status)
	require.Contains(t, got.body, "oa.example.com/eu is known here with another key")
	require.Equal(t, [3]int{0, 1, 2}, s.rows())

	// It is shown, and nothing is done with it.
	var all []map[string]any
	s.json("/peers", &all)
	require.Len(t, all, 1)
	require.Equal(t, []any{"pending", oa.join.Key, at.URL + "/moved"}, []any{all[0]["state"], all[0]["key"], all[0]["url"]})
	require.NotEmpty(t, all[0]["asked_at"])
	const path = "/peers/oa.example.com/eu"
	for _, page := range []string{s.page("/peers"), s.page(path)} {
		require.Contains(t, page, `<span class="tag note">pending</span>`)
	}
	require.Contains(t, s.page(path), signature.Fingerprint(oa.join.Key))
	require.Contains(t, s.page("/"), "1 deployment asks to become a peer")
	require.Contains(t, s.do(http.MethodGet, "/metrics", "").body, "olympus_peers_pending 1\n")
	for action, want := range map[string]int{"/pause": 400, "/resume": 400, "/accept": 409, "/pull": 409} {
		requireProblem(t, s.admin(http.MethodPost, path+action, ""), want, "pending")
	}
	requireProblem(t, s.admin(http.MethodPost, path+"/rekey", `{"key":"`+other.join.Key+`"}`), 400, "pending")
	push := oa.sign(s, "/push", `{"events":[]}`)
	got = s.send(push)
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, "the operator has not approved it yet")
	got = s.send(oa.sign(s, "/peer/key", `{}`))
	require.Equal(t, http.StatusForbidden, got.status)
	_, err := s.VerifyPeer(t.Context(), oa.join.Name)
	require.ErrorContains(t, err, "pending")
	_, err = s.Pull(t.Context(), oa.join.Name, 0)
	require.ErrorContains(t, err, "the peer is pending")

	// Approved with the key that was compared, and with no other.
	requireProblem(t, s.admin(http.MethodPost, path+"/approve", `{}`), 400, `"key" is missing`)
	requireProblem(t, s.admin(http.MethodPost, path+"/approve", `{"key":"`+other.join.Key+`"}`), 400, oa.join.Key)
	requireProblem(t, s.admin(http.MethodPost, "/peers/og.example.com/approve", `{"key":"x"}`), 404, "og.example.com")
	require.Zero(t, asked.Load(), "nobody goes where it says, before it is approved")
	got = s.admin(http.MethodPost, path+"/approve", `{"key":"`+oa.join.Key+`"}`)
	require.Equal(t, http.StatusOK, got.status, got.body)
	require.Contains(t, got.body, `"state":"active"`)
	require.NotContains(t, got.body, "asked_at")
	requireProblem(t, s.admin(http.MethodPost, path+"/approve", `{"key":"`+oa.join.Key+`"}`), 409, "active, not pending")
	require.Equal(t, []string{"http approve peer oa.example.com/eu"}, trimmed(s.audited()))

	// A peer that asks is told what it is, and so is one that is paused; nothing is recorded.
	before := s.rows()
	require.JSONEq(t, `{"state":"active"}`, oa.asks(s).body)
	require.Equal(t, http.StatusConflict, other.asks(s).status)
	require.Equal(t, http.StatusOK, s.admin(http.MethodPost, path+"/pause", "").status)
	require.JSONEq(t, `{"state":"paused"}`, oa.asks(s).body)
	require.Equal(t, before, s.rows())

	// A removed one may ask again, and so may another in its place.
	require.Equal(t, http.StatusNoContent, s.admin(http.MethodDelete, path, "").status)
	require.Equal(t, http.StatusAccepted, other.asks(s).status)
	require.Equal(t, http.StatusNoContent, s.admin(http.MethodDelete, path, "").status)
	require.Equal(t, http.StatusNotFound, s.do(http.MethodGet, path, "").status)
	require.Equal(t, http.StatusAccepted, oa.asks(s).status)
	got = s.send(oa.sign(s, "/push", `{"events":[]}`))
	require.Equal(t, http.StatusForbidden, got.status)
	require.Contains(t, got.body, "has not approved")
}

// What is refused leaves no row.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	oa := newNewcomer(t, "oa.example.com", "https://oa.example.com")
	stranger := newNewcomer(t, "oa.example.com", "https://oa.example.com")
	body := func(name, url, key string) string {
		return fmt.Sprintf(`{"name":%q,"url":%q,"key":%q}`, name, url, key)
	}
	good := body(oa.join.Name, oa.join.URL, oa.join.Key)
	for name, c := range map[string]struct {
		body   string
		status int
		named  string
	}{
		"not JSON":              {`name`, 400, "json"},
		"an array":              {`[` + good + `]`, 400, "join"},
		"more behind it":        {good + `{}`, 400, "json"},
		"nothing":               {`{}`, 400, "name"},
		"no url":                {`{"name":"oa.example.com","key":"` + oa.join.Key + `"}`, 400, "url"},
		"an empty key":          {body(oa.join.Name, oa.join.URL, ""), 400, "key"},
		"name twice":            {strings.Replace(good, `{`, `{"name":"oa.example.com",`, 1), 400, "name"},
		"Name":                  {strings.Replace(good, `{`, `{"Name":"oa.example.com",`, 1), 400, "Name"},
		"KEY":                   {strings.Replace(good, `{`, `{"KEY":"x",`, 1), 400, "KEY"},
		"a number":              {strings.Replace(good, `"https://oa.example.com"`, `7`, 1), 400, "url"},
		"null":                  {strings.Replace(good, `"https://oa.example.com"`, `null`, 1), 400, "url"},
		"invalid UTF-8":         {body(oa.join.Name, "https://oa.example.com/", oa.join.Key)[:40] + "\xff" + good[40:], 400, "json"},
		"a NUL":                 {strings.Replace(good, `oa.example.com"`, `oa.example.com\u0000"`, 1), 400, "NUL"},
		"a bad name":            {body("a+b", oa.join.URL, oa.join.Key), 400, "name"},
		"another's name":        {body("om.example.com", oa.join.URL, oa.join.Key), 400, "it is the key of oa.example.com"},
		"no key":                {body(oa.join.Name, oa.join.URL, "nonsense"), 400, "key"},
		"a URL of another kind": {body(oa.join.Name, "ftp://oa.example.com", oa.join.Key), 400, "url"},
		"a URL with a password": {body(oa.join.Name, "https://u:secret@oa.example.com", oa.join.Key), 400, "url"},
		"a long URL":            {body(oa.join.Name, "https://oa.example.com/"+strings.Repeat("x", 1024), oa.join.Key), 400, "url"},
		"too much":              {strings.Replace(good, `{`, `{"x":"`+strings.Repeat("x", 64<<10)+`",`, 1), 413, "65536"},
		"the key of another":    {body(oa.join.Name, oa.join.URL, stranger.join.Key), 401, "unknown key"},
		"our own key":           {body(s.Name, oa.join.URL, s.signer.VerifierKey()), 400, "this deployment itself"},
	} {
		got := s.send(oa.sign(s, "/peer/join", c.body))
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		require.Contains(t, got.body, c.named, name)
		require.NotContains(t, got.body, "secret", name)
		require.Equal(t, 1, strings.Count(got.body, "\n"), name)
	}
	own := newNewcomer(t, s.Name, "https://twin.example.com")
	require.Contains(t, own.asks(s).body, "this deployment itself")
	for name, change := range map[string]func(r *http.Request){
		"unsigned": func(r *http.Request) { r.Header.Del("Signature"); r.Header.Del("Signature-Input") },
		"altered": func(r *http.Request) {
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(good, "https", "http:", 1)))
		},
		"digest": func(r *http.Request) { r.Header.Del("Content-Digest") },
		"nonce": func(r *http.Request) {
			r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), `nonce="`, `nonce="x`, 1))
		},
		"elsewhere": func(r *http.Request) { r.URL.RawQuery = "x=1" },
	} {
		req := oa.sign(s, "/peer/join", good)
		change(req)
		req.ContentLength = int64(len(good))
		got := s.send(req)
		require.Equal(t, http.StatusUnauthorized, got.status, "%s: %s", name, got.body)
	}
	text := oa.sign(s, "/peer/join", good)
	text.Header.Set("Content-Type", "text/plain")
	require.Equal(t, http.StatusUnsupportedMediaType, s.send(text).status)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		require.Equal(t, "POST", s.do(method, "/peer/join", "").header.Get("Allow"), method)
	}
	require.Equal(t, [3]int{}, s.rows())
}

// However many ask, and however often one does, little is kept.
func TestJoinIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{})
	oa := newNewcomer(t, "oa.example.com", "https://oa.example.com")
	for i := range 20 {
		require.Equal(t, http.StatusAccepted, oa.asks(s).status, i)
	}
	got := oa.asks(s)
	require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
	require.NotEmpty(t, got.header.Get("Retry-After"))
	s.exec(`INSERT INTO join_requests (name, url, key) SELECT 'n' || i, 'https://n', 'n' || i || '+aaaaaaaa+AAAA' FROM generate_series(1, 99) i`)
	before := s.rows()
	got = newNewcomer(t, "om.example.com", "https://om.example.com").asks(s)
	require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
	require.Contains(t, got.body, "100 wait for the operator")
	require.NotEmpty(t, got.header.Get("Retry-After"))
	require.Equal(t, before, s.rows())
	require.Contains(t, s.page("/"), "100 deployments ask to become a peer")
	require.Less(t, len(s.page("/")), 40_000, "they do not fill the overview")
}

func TestApproveInTheBrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, siteOptions{})
	oa := newNewcomer(t, "oa.example.com", "https://oa.example.com")
	require.Equal(t, http.StatusAccepted, oa.asks(b.site).status)
	form := b.signIn()
	page := b.send(http.MethodGet, "/peers/oa.example.com", "", "Accept", "text/html").body
	require.Contains(t, page, `action="/peers/oa.example.com/approve"`)
	require.Contains(t, page, `name="key" value="`+oa.join.Key+`"`)
	require.NotContains(t, page, "/pause")
	got := b.form("/peers/oa.example.com/approve", url.Values{"form": {form}, "back": {"/peers/oa.example.com"}, "key": {oa.join.Key}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	require.Contains(t, b.send(http.MethodGet, got.header.Get("Location"), "").body, "The peer is approved")
	p, err := models.FindPeer(b.DB, "oa.example.com")
	require.NoError(t, err)
	require.Equal(t, models.PeerActive, p.State)

	// And the same for a key that it announces.
	next, proof := oa.announces(oa.join.Key)
	got = b.site.send(oa.sign(b.site, "/peer/key", string(protocol.AppendNewKey(nil, protocol.NewKey{Key: next, Proof: proof}))))
	require.JSONEq(t, `{"state":"announced"}`, got.body)
	page = b.send(http.MethodGet, "/peers/oa.example.com", "", "Accept", "text/html").body
	require.Contains(t, page, signature.Fingerprint(next))
	require.Contains(t, page, `name="key" value="`+next+`"`)
	got = b.form("/peers/oa.example.com/rekey", url.Values{"form": {form}, "back": {"/peers/oa.example.com"}, "key": {next}})
	require.Equal(t, http.StatusSeeOther, got.status, got.body)
	p, err = models.FindPeer(b.DB, "oa.example.com")
	require.NoError(t, err)
	require.Equal(t, []string{next, oa.join.Key}, p.Keys())
	require.NotContains(t, b.page("/peers/oa.example.com"), "New key")
}
