package federation

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/testmod"
)

// asking is a request that an operation is tried with.
type asking struct {
	operation, path string // METHOD and described path; what is asked for
	body            string
	header          []string
	status          int
	signedBy        *deployment
}

// try sends a request and requires the status, an answer as described, and of a body that was taken that it is as described too.
func (s *description) try(d *deployment, a asking) answer {
	s.t.Helper()
	method, path, _ := strings.Cut(a.operation, " ")
	req, err := http.NewRequest(method, d.url+a.path, strings.NewReader(a.body))
	require.NoError(s.t, err)
	req.Header.Set("Accept", "application/json, application/problem+json")
	for i := 0; i+1 < len(a.header); i += 2 {
		req.Header.Set(a.header[i], a.header[i+1])
	}
	if a.signedBy != nil {
		require.NoError(s.t, a.signedBy.signer.Sign(req, []byte(a.body)))
	}
	got := d.send(req)
	require.Equal(s.t, a.status, got.status, "%s %s: %s", method, a.path, got.body)
	s.check(a.operation, got)
	if pointer := []string{"paths", path, strings.ToLower(method), "requestBody", "content", "application/json"}; got.status < 300 && a.body != "" && s.at(pointer...) != nil {
		s.validate(a.operation, a.body, append(pointer, "schema")...)
	}
	return got
}

// What a deployment with data answers is as described: every operation once well, and every kind of refusal.
func TestAnswersAreAsDescribed(t *testing.T) {
	t.Parallel()
	leaked := testmod.Module{Path: "example.com/leaked", Version: "v1.0.0", Files: map[string]string{"leaked.go": "package leaked\n"}}
	up := testmod.NewUpstream(t, mx, my, leaked)
	om := start(t, "om.example.com", options{upstream: up.URL, admin: adminToken})
	oa := start(t, "oa.example.com", options{})
	stranger := start(t, "ox.example.com", options{noJobs: true})
	befriend(om, oa)
	s := readDescription(t, om)
	admin := []string{"Authorization", "Bearer " + adminToken}
	for _, m := range []testmod.Module{mx, leaked} {
		om.mustGet(fileOf(m, "zip"))
	}
	eventually(t, "the push arrives", func() bool { return len(oa.log()) == 2 })
	oa.pull(om)
	oa.hears(said(protocol.KindDeprecate, "example.com/other", "v1.0.0", oa.Name))
	om.pull(oa)

	version, one := "/modules/"+mx.Path+"@"+mx.Version, "{module}@{version}"
	peerBody := fmt.Sprintf(`{"url":%q,"key":%q}`, stranger.url, stranger.signer.VerifierKey())
	explain := strings.Replace(version, "/modules/", "/explain/", 1)
	joins := func(d *deployment) string {
		return string(protocol.AppendJoin(nil, protocol.Join{Name: d.signer.Name(), URL: d.url, Key: d.signer.VerifierKey()}))
	}
	impostor := &deployment{url: oa.url, signer: newSignerOf(t, oa.Name)}
	newcomer := &deployment{url: "https://og.example.com", signer: newSignerOf(t, "og.example.com")}
	compared := `{"key":"` + stranger.signer.VerifierKey() + `"}`
	next := newSignerOf(t, stranger.Name)
	proof, err := next.ProveNewKey(stranger.signer.VerifierKey())
	require.NoError(t, err)
	announcement := string(protocol.AppendNewKey(nil, protocol.NewKey{Key: next.VerifierKey(), Proof: proof}))
	push := func(e ...protocol.Event) string { return string(protocol.AppendPush(nil, e)) }
	json := []string{"Content-Type", "application/json"}
	for _, a := range []asking{
		{operation: "GET /healthz", path: "/healthz", status: 200},
		{operation: "GET /readyz", path: "/readyz", status: 200},
		{operation: "GET /metrics", path: "/metrics", header: []string{"Accept", "text/plain"}, status: 200},
		{operation: "GET /openapi.json", path: "/openapi.json", status: 200},
		{operation: "GET /eventlog", path: "/eventlog?limit=2", status: 200},
		{operation: "GET /eventlog", path: "/eventlog?after=2", signedBy: oa, status: 200},
		{operation: "GET /eventlog", path: "/eventlog?after=-1", status: 400},
		{operation: "GET /eventlog", path: "/eventlog?after=99", status: 409},
		{operation: "GET /checkpoint", path: "/checkpoint", status: 200},
		{operation: "GET /tile/{path}", path: "/tile/0/000.p/2", status: 200},
		{operation: "GET /tile/{path}", path: "/tile/entries/000.p/3", status: 200},
		{operation: "GET /tile/{path}", path: "/tile/0/001", status: 404},
		{operation: "GET /tile/{path}", path: "/tile/x", status: 400},
		{operation: "GET /index", path: "/index", status: 200},
		{operation: "GET /index", path: "/index?since=yesterday", status: 400},
		{operation: "GET /sumdb/{path}", path: "/sumdb/" + om.Name + "/latest", status: 200},
		{operation: "GET /sumdb/{path}", path: "/sumdb/" + om.Name + "/tile/8/0/000.p/1", status: 200},
		{operation: "GET /sumdb/{path}", path: "/sumdb/nobody.example.com/latest", status: 404},
		{operation: "GET /sumdb/{path}", path: "/sumdb/" + om.Name + "/lookup/x", status: 400},
		{operation: "GET /peer", path: "/peer", status: 200},
		{operation: "GET /peer/greeting", path: "/peer/greeting", status: 200},
		{operation: "GET /peer/greeting", path: "/peer/greeting", signedBy: oa, status: 200},
		{operation: "GET /peer/greeting", path: "/peer/greeting", signedBy: stranger, status: 200},
		{operation: "GET /peer/witness/{name}", path: "/peer/witness/" + oa.Name, status: 200},
		{operation: "GET /peer/witness/{name}", path: "/peer/witness/nobody.example.com", status: 404},

		{operation: "POST /push", path: "/push", body: push(said(protocol.KindDeprecate, "example.com/old", "v1.0.0", oa.Name)), header: json, signedBy: oa, status: 202},
		{operation: "POST /push", path: "/push", body: `{"events":[]}`, header: json, signedBy: oa, status: 400},
		{operation: "POST /push", path: "/push", body: `{}`, header: json, status: 401},
		{operation: "POST /push", path: "/push", body: `{}`, header: json, signedBy: stranger, status: 401},
		{operation: "POST /push", path: "/push", body: push(said(protocol.KindDelete, "example.com/old", "v1.0.0", om.Name)), header: json, signedBy: oa, status: 403},
		{operation: "POST /push", path: "/push", body: `{}`, header: []string{"Content-Type", "text/plain"}, signedBy: oa, status: 415},
		{operation: "POST /push", path: "/push", body: strings.Repeat(" ", protocol.MaxPushBytes+1), header: json, signedBy: oa, status: 413},

		{operation: "GET /", path: "/", status: 200},
		{operation: "GET /", path: "/", header: []string{"Accept", "text/html"}, status: 200},
		{operation: "GET /status", path: "/status", header: []string{"Accept", "*/*"}, status: 200},
		{operation: "GET /peers", path: "/peers", status: 200},
		{operation: "GET /peers/{name}", path: "/peers/" + oa.Name, status: 200},
		{operation: "GET /peers/{name}", path: "/peers/nobody.example.com", status: 404},
		{operation: "GET /events", path: "/events", status: 200},
		{operation: "GET /events", path: "/events?before=x", status: 400},
		{operation: "GET /events", path: "/events?kind=add&origin=om.example.com&module=" + mx.Path, status: 200},
		{operation: "GET /events", path: "/events?kind=nonsense", status: 400},
		{operation: "GET /events/{position}", path: "/events/1", status: 200},
		{operation: "GET /events/{position}", path: "/events/3", status: 200},
		{operation: "GET /events/{position}", path: "/events/first", status: 400},
		{operation: "GET /events/{position}", path: "/events/99", status: 404},
		{operation: "GET /modules", path: "/modules", status: 200},
		{operation: "GET /modules", path: "/modules?state=nonsense", status: 400},
		{operation: "GET /modules", path: "/modules?contains=LEAK", status: 200},
		{operation: "GET /modules", path: "/modules?contains=leak&before=example.com/m@v1.0.0", status: 400},
		{operation: "GET /modules/" + one, path: version, status: 200},
		{operation: "GET /modules/" + one, path: "/modules/example.com/unknown@v1.0.0", status: 404},
		{operation: "GET /modules/" + one, path: "/modules/example.com/mx@v1", status: 400},
		{operation: "GET /explain/" + one, path: explain, status: 200},
		{operation: "GET /explain/" + one, path: explain + "?here=true", status: 200},
		{operation: "GET /explain/" + one, path: explain, signedBy: oa, status: 200},
		{operation: "GET /explain/" + one, path: "/explain/example.com/unknown@v1.0.0", status: 200},
		{operation: "GET /explain/" + one, path: "/explain/example.com/mx@v1", status: 400},
		{operation: "GET /alarms", path: "/alarms", status: 200},
		{operation: "GET /jobs", path: "/jobs", status: 200},
		{operation: "GET /jobs", path: "/jobs?before=1&after=1", status: 400},
		{operation: "GET /assets/{file}", path: "/assets/olympus.css", status: 200},
		{operation: "GET /assets/{file}", path: "/assets/nothing", status: 404},
		{operation: "GET /signin", path: "/signin", status: 200},

		{operation: "POST /peer/join", path: "/peer/join", body: joins(stranger), header: json, signedBy: stranger, status: 202},
		{operation: "POST /peer/join", path: "/peer/join", body: `{}`, header: json, signedBy: stranger, status: 400},
		{operation: "POST /peer/join", path: "/peer/join", body: joins(stranger), header: json, status: 401},
		{operation: "POST /peer/join", path: "/peer/join", body: joins(stranger), header: json, signedBy: oa, status: 401},
		{operation: "POST /peer/join", path: "/peer/join", body: joins(impostor), header: json, signedBy: impostor, status: 409},
		{operation: "POST /peer/join", path: "/peer/join", body: joins(stranger), header: []string{"Content-Type", "text/plain"}, signedBy: stranger, status: 415},
		{operation: "POST /peer/join", path: "/peer/join", body: strings.Repeat(" ", protocol.MaxJoinBytes+1), header: json, signedBy: stranger, status: 413},
		{operation: "GET /peer/greeting", path: "/peer/greeting", signedBy: stranger, status: 200},
		{operation: "GET /peers", path: "/peers", status: 200},
		{operation: "GET /peers/{name}", path: "/peers/ox.example.com", status: 200},
		{operation: "GET /alarms", path: "/alarms", status: 200},
		{operation: "POST /push", path: "/push", body: `{}`, header: json, signedBy: stranger, status: 403},
		{operation: "POST /peer/key", path: "/peer/key", body: announcement, header: json, signedBy: stranger, status: 403},
		{operation: "POST /peers/{name}/pull", path: "/peers/ox.example.com/pull", header: admin, status: 409},
		{operation: "POST /peers/{name}/approve", path: "/peers/ox.example.com/approve", body: compared, status: 401},
		{operation: "POST /peers/{name}/approve", path: "/peers/ox.example.com/approve", body: `{}`, header: admin, status: 400},
		{operation: "POST /peers/{name}/approve", path: "/peers/nobody.example.com/approve", body: compared, header: admin, status: 404},
		{operation: "POST /peers/{name}/approve", path: "/peers/ox.example.com/approve", body: compared, header: admin, status: 200},
		{operation: "POST /peers/{name}/approve", path: "/peers/ox.example.com/approve", body: compared, header: admin, status: 409},
		{operation: "POST /peer/join", path: "/peer/join", body: joins(stranger), header: json, signedBy: stranger, status: 200},
		{operation: "POST /peer/key", path: "/peer/key", body: announcement, header: json, status: 401},
		{operation: "POST /peer/key", path: "/peer/key", body: `{}`, header: json, signedBy: stranger, status: 400},
		{operation: "POST /peer/key", path: "/peer/key", body: announcement, header: json, signedBy: stranger, status: 202},
		{operation: "POST /peer/key", path: "/peer/key", body: announcement, header: []string{"Content-Type", "text/plain"}, signedBy: stranger, status: 415},
		{operation: "POST /peer/key", path: "/peer/key", body: strings.Repeat(" ", protocol.MaxJoinBytes+1), header: json, signedBy: stranger, status: 413},
		{operation: "GET /peers/{name}", path: "/peers/ox.example.com", status: 200},
		{operation: "DELETE /peers/{name}", path: "/peers/ox.example.com", header: admin, status: 204},

		{operation: "PUT /peers/{name}", path: "/peers/ox.example.com", body: peerBody, status: 401},
		{operation: "PUT /peers/{name}", path: "/peers/ox.example.com", body: `{"url":7}`, header: admin, status: 400},
		{operation: "PUT /peers/{name}", path: "/peers/ox.example.com", body: strings.Repeat(" ", 70_000), header: admin, status: 413},
		{operation: "PUT /peers/{name}", path: "/peers/ox.example.com", body: peerBody, header: admin, status: 201},
		{operation: "PUT /peers/{name}", path: "/peers/ox.example.com", body: peerBody, header: admin, status: 200},
		{operation: "POST /peers/{name}/rekey", path: "/peers/ox.example.com/rekey", body: `{"key":"` + newSignerOf(t, "ox.example.com").VerifierKey() + `","overlap":"1h"}`, header: admin, status: 200},
		{operation: "POST /peers/{name}/rekey", path: "/peers/ox.example.com/rekey", body: `{"key":"nonsense"}`, header: admin, status: 400},
		{operation: "POST /peers/{name}/accept", path: "/peers/ox.example.com/accept", header: admin, status: 409},
		{operation: "POST /peers/{name}/pause", path: "/peers/ox.example.com/pause", header: admin, status: 200},
		{operation: "GET /eventlog", path: "/eventlog", signedBy: stranger, status: 403},
		{operation: "POST /peers/{name}/pull", path: "/peers/ox.example.com/pull", header: admin, status: 409},
		{operation: "POST /peers/{name}/pull", path: "/peers/nobody.example.com/pull", header: admin, status: 404},
		{operation: "POST /peers/{name}/pull", path: "/peers/oa.example.com/pull", header: admin, status: 200},
		{operation: "POST /peers/{name}/resume", path: "/peers/ox.example.com/resume", header: admin, status: 200},
		{operation: "POST /peers/{name}/remove", path: "/peers/ox.example.com/remove", header: admin, status: 204},
		{operation: "PUT /peers/{name}", path: "/peers/ox.example.com", body: peerBody, header: admin, status: 201},
		{operation: "DELETE /peers/{name}", path: "/peers/ox.example.com", header: admin, status: 204},
		{operation: "DELETE /peers/{name}", path: "/peers/nobody.example.com", header: admin, status: 404},
		{operation: "POST /modules", path: "/modules", body: fmt.Sprintf(`{"module":%q,"version":%q}`, my.Path, my.Version), header: admin, status: 200},
		{operation: "POST /modules", path: "/modules", body: `{"module":"example.com/unknown","version":"v1.0.0"}`, header: admin, status: 404},
		{operation: "POST /modules/" + one + "/deprecate", path: version + "/deprecate", body: `{"reason":"superseded"}`, header: admin, status: 200},
		{operation: "POST /modules/" + one + "/delete", path: "/modules/example.com/leaked@v1.0.0/delete", body: `{"reason":"holds a credential"}`, header: admin, status: 200},
		{operation: "POST /modules", path: "/modules", body: `{"module":"example.com/leaked","version":"v1.0.0"}`, header: admin, status: 403},
		{operation: "GET /modules/" + one, path: "/modules/example.com/leaked@v1.0.0", status: 200},
		{operation: "GET /events", path: "/events", status: 200},
		{operation: "GET /audit", path: "/audit", status: 200},
		{operation: "GET /audit", path: "/audit?before=-1", status: 400},

		{operation: "POST /signin", path: "/signin", body: "token=wrong", header: formHeader(), status: 403},
		{operation: "POST /signin", path: "/signin", body: "token=" + adminToken, header: formHeader(), status: 303},
		{operation: "POST /signin", path: "/signin", body: `{}`, status: 400},
		{operation: "POST /signout", path: "/signout", header: formHeader(), status: 303},
		{operation: "POST /peers/{name}/pause", path: "/peers/oa.example.com/pause", header: formHeader(), status: 303},
	} {
		s.try(om, a)
	}

	require.NoError(t, om.DB.RawQuery(`INSERT INTO river_job (id, kind, state, args, max_attempts, queue, attempt, scheduled_at, errors) OVERRIDING SYSTEM VALUE
		SELECT n, 'push', 'retryable', '{"peer":"oa.example.com"}', 5, 'push', 1, now() + interval '1 hour', ARRAY[jsonb_build_object('error', 'no route')]
		FROM generate_series(900001, 900060) n`).Exec())
	require.NoError(t, om.DB.RawQuery(`UPDATE versions SET held = false, conflict = true, fetch_error = 'no route', fetch_error_at = now(), fetch_attempts = 1 WHERE module = ?`, my.Path).Exec())
	require.NoError(t, om.DB.RawQuery(`UPDATE peers SET state = 'quarantined', evidence_before = 'one', evidence_after = 'two', last_error = 'two histories', last_error_at = now() WHERE name = 'oa.example.com'`).Exec())
	for _, a := range []asking{
		{operation: "GET /peers/{name}", path: "/peers/oa.example.com", status: 200},
		{operation: "GET /jobs", path: "/jobs?before=900055", status: 200},
		{operation: "POST /jobs/{id}/retry", path: "/jobs/900001/retry", header: admin, status: 200},
		{operation: "POST /jobs/{id}/retry", path: "/jobs/800001/retry", header: admin, status: 404},
		{operation: "POST /jobs/{id}/discard", path: "/jobs/900002/discard", body: `{"reason":"the peer is gone"}`, header: admin, status: 200},
		{operation: "POST /jobs/{id}/discard", path: "/jobs/900002/discard", body: `{"reason":"again"}`, header: admin, status: 409},
		{operation: "POST /jobs/{id}/discard", path: "/jobs/900002/discard", body: `{}`, header: admin, status: 400},
		{operation: "POST /push", path: "/push", body: `{}`, header: json, signedBy: oa, status: 403},
		{operation: "GET /status", path: "/status", status: 200},
		{operation: "GET /alarms", path: "/alarms", status: 200},
		{operation: "POST /peers/{name}/accept", path: "/peers/oa.example.com/accept", header: admin, status: 200},
	} {
		s.try(om, a)
	}
	for range 20 {
		s.try(om, asking{operation: "POST /peer/join", path: "/peer/join", body: joins(newcomer), header: json, signedBy: newcomer, status: 202})
	}
	s.try(om, asking{operation: "POST /peer/join", path: "/peer/join", body: joins(newcomer), header: json, signedBy: newcomer, status: 429})
	s.listen(om)
	oa.server.Close()
	s.try(om, asking{operation: "GET /explain/" + one, path: explain, status: 200})
	s.try(om, asking{operation: "POST /peers/{name}/pull", path: "/peers/oa.example.com/pull", header: admin, status: 502})
	s.try(stranger, asking{operation: "POST /modules", path: "/modules", body: `{}`, header: admin, status: 403})

	require.Empty(t, slices.DeleteFunc(s.operations(), func(operation string) bool { return s.answered[operation] }),
		"described and never answered here: add requests to the table of this test")
	for _, refused := range []struct{ method, path string }{{"POST", "/eventlog"}, {"DELETE", "/jobs"}, {"GET", "/push"}, {"POST", "/openapi.json"}, {"GET", version + "/delete"}} {
		got := om.ask(refused.method, refused.path, "Accept", "application/json")
		require.Equal(t, http.StatusMethodNotAllowed, got.status, refused)
		require.NotEmpty(t, got.header.Get("Allow"))
		require.Equal(t, "application/problem+json", got.header.Get("Content-Type"))
		s.validate(refused.method+" "+refused.path, got.body, "components", "schemas", "Problem")
	}
}

// formHeader are the headers with which a browser sends the form of a page.
func formHeader() []string {
	return []string{"Content-Type", "application/x-www-form-urlencoded", "Accept", "text/html"}
}

func newSignerOf(t *testing.T, name string) *signature.Signer {
	t.Helper()
	key, _, err := signature.GenerateKey(name)
	require.NoError(t, err)
	signer, err := signature.NewSigner(key)
	require.NoError(t, err)
	return signer
}

// listen asks for a stream, and takes its first message.
func (s *description) listen(d *deployment) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/live", nil)
	require.NoError(s.t, err)
	resp, err := client.Do(req)
	require.NoError(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	const first = "retry: 5000\ndata:\n\n"
	message := make([]byte, len(first))
	_, err = io.ReadFull(resp.Body, message)
	require.NoError(s.t, err)
	require.Equal(s.t, first, string(message))
	s.check("GET /live", answer{resp.StatusCode, resp.Header, string(message)})
}
