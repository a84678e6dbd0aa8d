package main

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
)

func ask(t *testing.T, url string) (status int, body string, err error) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func TestUpstream(t *testing.T) {
	t.Parallel()
	u := newUpstream()
	t.Cleanup(u.close)
	older := release{"example.com/Faults/m", "v1.0.0"}
	newer := release{older.module, "v1.10.0"}
	zip := u.url("om") + newer.path(download.Zip)
	list := u.url("om") + release{module: newer.module}.path(download.List)

	status, _, err := ask(t, zip)
	require.NoError(t, err)
	require.Equal(t, 404, status, "not published yet")
	u.publish(newer)
	u.publish(older)
	u.publish(older)
	want, err := newer.files()
	require.NoError(t, err)
	for _, ext := range fileKinds {
		status, body, err := ask(t, u.url("om")+newer.path(ext))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, string(want.of(ext)), body)
	}
	_, body, err := ask(t, list)
	require.NoError(t, err)
	require.Equal(t, "v1.0.0\nv1.10.0\n", body)
	_, body, err = ask(t, u.url("om")+release{module: newer.module}.path(download.Latest))
	require.NoError(t, err)
	require.Equal(t, want.info, body)

	times, last := u.times("om", newer, download.Zip)
	require.Equal(t, 2, times)
	require.NotEmpty(t, u.askedSince("om", newer, last.Add(-time.Minute)))
	require.Empty(t, u.askedSince("om", newer, last))
	require.Empty(t, u.askedSince("oa", newer, time.Time{}), "each is counted by itself")

	// What fails fails for one deployment only, and is never wrong.
	for _, test := range []struct {
		kind   kind
		url    string
		status int
		broken bool
		body   string
	}{
		{failingUpstream, zip, 0, false, ""},
		{resettingUpstream, zip, 200, true, ""},
		{slowUpstream, zip, 200, false, string(want.zip)},
		{forgetfulUpstream, zip, 200, false, string(want.zip)},
		{forgetfulUpstream, list, 200, false, "v1.10.0\n"},
	} {
		f := fault{number: 1, kind: test.kind, deployment: "om"}
		u.begin(f)
		status, body, err := ask(t, test.url)
		require.Equal(t, test.broken, err != nil, "%s: %v", test.kind, err)
		if test.status != 0 {
			require.Equal(t, test.status, status)
		} else {
			require.GreaterOrEqual(t, status, 500)
		}
		if test.body != "" {
			require.Equal(t, test.body, body)
		}
		status, body, err = ask(t, u.url("oa")+newer.path(download.Zip))
		require.NoError(t, err)
		require.Equal(t, 200, status)
		require.Equal(t, string(want.zip), body)
		u.end(f)
	}
	require.Equal(t, 5, u.broken)
}
