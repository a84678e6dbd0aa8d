package federation

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/testmod"
	"olympus/models"
)

// envelope is a push as its sender would put it on the wire, signed by hand after RFC 9421. Tests change one thing.
type envelope struct {
	key              string // note signer key
	audience, target string // whom it is signed for, and the path
	body             []byte
	created, expires time.Time
	nonce            string

	sentBody []byte                // what is sent instead of body
	change   func(r *http.Request) // applied last
}

func (d *deployment) envelope(to *deployment, nonce string, body []byte) *envelope {
	return &envelope{
		key: d.made.key, audience: to.made.url, target: "/push", body: body,
		created: time.Now(), expires: time.Now().Add(time.Minute), nonce: nonce,
	}
}

func (e *envelope) sendTo(d *deployment) answer {
	d.t.Helper()
	parts := strings.SplitN(e.key, "+", 5) // PRIVATE+KEY+name+hash+key
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	require.NoError(d.t, err)
	private := ed25519.NewKeyFromSeed(raw[1:])
	sum := sha256.Sum256(e.body)
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	params := fmt.Sprintf(`("@method" "@target-uri" "content-digest");created=%d;expires=%d;nonce="%s";keyid="%s+%s";tag="olympus"`,
		e.created.Unix(), e.expires.Unix(), e.nonce, parts[2], parts[3])
	base := fmt.Sprintf("\"@method\": POST\n\"@target-uri\": %s%s\n\"content-digest\": %s\n\"@signature-params\": %s",
		e.audience, e.target, digest, params)

	body := e.body
	if e.sentBody != nil {
		body = e.sentBody
	}
	req, err := http.NewRequest(http.MethodPost, d.url+e.target, bytes.NewReader(body))
	require.NoError(d.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Digest", digest)
	req.Header.Set("Signature-Input", "olympus="+params)
	req.Header.Set("Signature", "olympus=:"+base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(base)))+":")
	if e.change != nil {
		e.change(req)
	}
	return d.send(req)
}

// traces are the rows that a push can leave behind.
func (d *deployment) traces() (events, jobs, nonces int) {
	return d.count("events"), d.count("river_job WHERE kind = 'receive'"), d.count("nonces")
}

// A push that is signed as it should be is acknowledged, and one that is not leaves no row.
func TestPushSignatures(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{noJobs: true})
	stranger := start(t, "og.example.com", options{noJobs: true})
	oa.knows(om)
	twin := oa.another(nil)
	body := protocol.AppendPush(nil, []protocol.Event{testmod.Event(t, mx, om.Name)})

	forged, _, err := signature.GenerateKey(om.Name)
	require.NoError(t, err)
	altered := slices.Clone(body)
	altered[bytes.Index(altered, []byte("v1.0.0"))+1] = '2'
	for name, change := range map[string]func(e *envelope){
		"no signature": func(e *envelope) {
			e.change = func(r *http.Request) { r.Header.Del("Signature"); r.Header.Del("Signature-Input") }
		},
		"altered body":           func(e *envelope) { e.sentBody = altered },
		"body of another length": func(e *envelope) { e.sentBody = append(slices.Clone(body), '\n') },
		"no body":                func(e *envelope) { e.sentBody = []byte{} },
		"digest of another body": func(e *envelope) {
			e.change = func(r *http.Request) { r.Header.Set("Content-Digest", "sha-256=:AAAA:") }
		},
		"no digest":               func(e *envelope) { e.change = func(r *http.Request) { r.Header.Del("Content-Digest") } },
		"signature of other data": func(e *envelope) { e.target = "/pushed"; e.change = func(r *http.Request) { r.URL.Path = "/push" } },
		"altered nonce": func(e *envelope) {
			e.change = func(r *http.Request) {
				r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), e.nonce, "fresh", 1))
			}
		},
		"altered signature": func(e *envelope) {
			e.change = func(r *http.Request) {
				r.Header.Set("Signature", "olympus=:"+base64.StdEncoding.EncodeToString(make([]byte, 64))+":")
			}
		},
		"expired":            func(e *envelope) { e.created, e.expires = ago(4*time.Minute), ago(2*time.Minute) },
		"from the future":    func(e *envelope) { e.created, e.expires = ago(-3*time.Minute), ago(-4*time.Minute) },
		"valid for too long": func(e *envelope) { e.expires = ago(-time.Hour) },
		"for somebody else":  func(e *envelope) { e.audience = stranger.url },
		"of a stranger":      func(e *envelope) { e.key = stranger.made.key },
		"with a forged key":  func(e *envelope) { e.key = forged },
	} {
		e := om.envelope(oa, "refused "+name, body)
		change(e)
		got := e.sendTo(oa)
		require.Equal(t, http.StatusUnauthorized, got.status, "%s: %s", name, got.body)
		require.Len(t, lines(got.body), 1, name)
		events, jobs, nonces := oa.traces()
		require.Equal(t, [3]int{}, [3]int{events, jobs, nonces}, name)
	}

	// A clock that is wrong by less than a minute is none of our business.
	late := om.envelope(oa, "late", body)
	late.created, late.expires = ago(2*time.Minute), ago(30*time.Second)
	require.Equal(t, http.StatusAccepted, late.sendTo(oa).status)
	good := om.envelope(oa, "good", body)
	got := good.sendTo(oa)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	require.JSONEq(t, `{"accepted":1}`, got.body)
	require.Equal(t, http.StatusUnauthorized, good.sendTo(oa).status, "a replay")
	require.Equal(t, http.StatusUnauthorized, good.sendTo(twin).status, "a replay at another process")
	events, jobs, nonces := oa.traces()
	require.Equal(t, [3]int{0, 2, 2}, [3]int{events, jobs, nonces})

	for _, state := range []string{models.PeerPaused, models.PeerRemoved} {
		require.NoError(t, models.SetPeerState(oa.DB, om.Name, state))
		got := om.envelope(oa, state, body).sendTo(oa)
		require.Equal(t, http.StatusForbidden, got.status, got.body)
		require.Contains(t, got.body, state)
	}
	events, jobs, nonces = oa.traces()
	require.Equal(t, [3]int{0, 2, 2}, [3]int{events, jobs, nonces})
}

func ago(d time.Duration) time.Time { return time.Now().Add(-d) }

// What a peer may not say is refused whole, with one line that names the fault.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{noJobs: true})
	oa := start(t, "oa.example.com", options{noJobs: true})
	oa.knows(om)
	add := testmod.Event(t, mx, om.Name)
	bar := said(protocol.KindDelete, "example.com/bar", "v1.0.0", om.Name)

	type refusal struct {
		body   string
		status int
		named  string
	}
	pushOf := func(events ...protocol.Event) string { return string(protocol.AppendPush(nil, events)) }
	edited := func(e protocol.Event, edit func(*protocol.Event)) string {
		edit(&e)
		return pushOf(bar, e)
	}
	replaced := func(old, new string) string {
		require.Equal(t, 1, strings.Count(pushOf(add), old), old)
		return strings.Replace(pushOf(add), old, new, 1)
	}
	many := make([]protocol.Event, protocol.MaxPushEvents+1)
	for i := range many {
		many[i] = said(protocol.KindDelete, fmt.Sprintf("example.com/m%d", i), "v1.0.0", om.Name)
	}
	cases := map[string]refusal{
		"another origin":     {edited(add, func(e *protocol.Event) { e.Origin = "og.example.com" }), 403, "og.example.com"},
		"our own origin":     {edited(add, func(e *protocol.Event) { e.Origin = oa.Name }), 403, oa.Name},
		"too many events":    {pushOf(many...), 413, "100"},
		"too large":          {`{"events":[],"x":"` + strings.Repeat("x", protocol.MaxPushBytes) + `"}`, 413, "push of"},
		"no events":          {`{"events":[]}`, 400, "events"},
		"nothing":            {`{}`, 400, "events"},
		"not JSON":           {`events`, 400, "json"},
		"cut off":            {pushOf(add)[:200], 400, "json"},
		"an array":           {`[` + pushOf(add) + `]`, 400, "push"},
		"more behind it":     {pushOf(add) + `{}`, 400, "json"},
		"events twice":       {strings.Replace(pushOf(add), `{"events"`, `{"events":[],"events"`, 1), 400, "json"},
		"EVENTS":             {strings.Replace(pushOf(add), `{"events"`, `{"EVENTS"`, 1), 400, "EVENTS"},
		"invalid UTF-8":      {replaced(`"example.com/mx"`, "\"example.com/mx\xff\""), 400, "json"},
		"a member twice":     {replaced(`"kind":"add"`, `"kind":"add","kind":"add"`), 400, "json"},
		"a Member":           {replaced(`"kind":"add"`, `"kind":"add","Module":"example.com/mx"`), 400, "Module"},
		"a number as text":   {replaced(fmt.Sprintf(`"zip_size":%d`, add.ZipSize), `"zip_size":"7"`), 400, "zip_size"},
		"null":               {replaced(`"kind":"add"`, `"kind":null`), 400, "kind"},
		"no kind":            {replaced(`"kind":"add",`, ``), 400, "kind"},
		"a delete of a hash": {strings.Replace(pushOf(bar), `"kind"`, `"zip_hash":"`+add.ZipHash+`","kind"`, 1), 400, "zip_hash"},
	}
	for field, edit := range map[string][]func(*protocol.Event){
		"kind":       {func(e *protocol.Event) { e.Kind = "remove" }},
		"module":     {func(e *protocol.Event) { e.Module = "mx" }, func(e *protocol.Event) { e.Module = "example.com/" + strings.Repeat("m", 1025) }},
		"version":    {func(e *protocol.Event) { e.Version = "v1" }, func(e *protocol.Event) { e.Version = "v2.0.0" }, func(e *protocol.Event) { e.Version = "v1.0.0+meta" }},
		"origin":     {func(e *protocol.Event) { e.Origin = "" }, func(e *protocol.Event) { e.Origin = "a+b" }},
		"time":       {func(e *protocol.Event) { e.Time = time.Time{} }},
		"zip_hash":   {func(e *protocol.Event) { e.ZipHash = "" }, func(e *protocol.Event) { e.ZipHash = "h1:short" }},
		"zip_sha256": {func(e *protocol.Event) { e.ZipSHA256 = "" }, func(e *protocol.Event) { e.ZipSHA256 = strings.ToUpper(e.ZipSHA256) }},
		"zip_size":   {func(e *protocol.Event) { e.ZipSize = 0 }},
		"mod_hash":   {func(e *protocol.Event) { e.ModHash = "" }, func(e *protocol.Event) { e.Mod += "// altered\n" }},
		"mod":        {func(e *protocol.Event) { e.Mod = strings.Repeat("/", protocol.MaxModBytes+1) }},
		"info":       {func(e *protocol.Event) { e.Info = "" }, func(e *protocol.Event) { e.Info = `{"Version":"v1.0.1"}` }},
	} {
		for i, edit := range edit {
			cases[fmt.Sprintf("add with a bad %s (%d)", field, i)] = refusal{edited(add, edit), 400, field}
		}
	}
	cases["reason of two lines"] = refusal{edited(bar, func(e *protocol.Event) { e.Reason = "a\nb" }), 400, "reason"}

	for name, c := range cases {
		got := om.envelope(oa, name, []byte(c.body)).sendTo(oa)
		require.Equal(t, c.status, got.status, "%s: %s", name, got.body)
		require.Len(t, lines(got.body), 1, name)
		require.Contains(t, got.body, c.named, name)
		require.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"), name)
	}
	events, jobs, nonces := oa.traces()
	require.Equal(t, [3]int{}, [3]int{events, jobs, nonces})

	reads := om.envelope(oa, "problem", []byte(`{"events":[]}`))
	reads.change = func(r *http.Request) { r.Header.Set("Accept", "application/problem+json") }
	problem := reads.sendTo(oa)
	require.Equal(t, http.StatusBadRequest, problem.status)
	require.Equal(t, "application/problem+json", problem.header.Get("Content-Type"))
	require.Contains(t, problem.body, `"status":400`)

	text := om.envelope(oa, "text", []byte(pushOf(add)))
	text.change = func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }
	require.Equal(t, http.StatusUnsupportedMediaType, text.sendTo(oa).status)
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "PATCH"} {
		got := oa.ask(method, "/push")
		require.Equal(t, http.StatusMethodNotAllowed, got.status, method)
		require.Equal(t, "POST", got.header.Get("Allow"), method)
	}
	events, jobs, nonces = oa.traces()
	require.Equal(t, [3]int{}, [3]int{events, jobs, nonces})
}
