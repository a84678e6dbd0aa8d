package actions_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"olympus/internal/protocol"
)

func TestZZShot(t *testing.T) {
	if os.Getenv("SHOT") == "" {
		return
	}
	empty := newSite(t, siteOptions{name: "olympus.localhost"})
	s := newSite(t, siteOptions{name: "om.eu-central.example.com", interval: 30 * time.Second, url: "https://om.eu-central.example.com", token: token})
	now := time.Now().UTC().Truncate(time.Microsecond)
	names := []string{"example.com/platform/payments", "example.com/platform/Billing/v2", "example.com/go/httpx", "example.com/team/observability/tracing-with-a-rather-long-name/v3", "example.com/x"}
	var evs []protocol.Event
	for i := 0; i < 240; i++ {
		m := names[i%len(names)]
		v := fmt.Sprintf("v1.%d.%d", i/10, i%10)
		if m[len(m)-2:] == "v2" { v = "v2" + v[2:] }
		if m[len(m)-2:] == "v3" { v = "v3" + v[2:] }
		o := []string{"om.eu-central.example.com", "oa.us-east.example.com", "og.example.net/airgap"}[i%3]
		e := added(m, v, o)
		e.Time = now.Add(-time.Duration(240-i) * 37 * time.Minute)
		evs = append(evs, e)
	}
	s.log(evs...)
	s.exec(`UPDATE versions SET held=true, pinned=true, fetch_due_at=NULL WHERE module <> 'example.com/x'`)
	s.exec(`UPDATE versions SET fetch_attempts=4, fetch_error='from oa.us-east.example.com: GET https://oa.us-east.example.com/example.com/x/@v/v1.0.4.zip: 503 Service Unavailable; from upstream: asking upstream is off', fetch_error_at=now(), fetch_due_at=now()+interval '9 min' WHERE module='example.com/x' AND version = 'v1.0.4'`)
	c := added("example.com/go/httpx", "v1.0.2", "og.example.net/airgap")
	c.ZipHash = "h1:BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	c.Time = now.Add(-time.Minute)
	s.log(c, protocol.Event{Kind: "deprecate", Module: "example.com/platform/payments", Version: "v1.2.0", Origin: s.Name, Time: now.Add(-40*time.Second), Reason: "loses cents when rounding; use v1.3.0"},
		protocol.Event{Kind: "delete", Module: "example.com/x", Version: "v1.2.4", Origin: "oa.us-east.example.com", Time: now.Add(-3*time.Second), Reason: `leaked <script>alert(1)</script> <%= 6*7 %>`})
	s.knows("oa.us-east.example.com", "https://oa.us-east.example.com")
	s.knows("og.example.net/airgap", "http://10.20.30.40:3000/olympus")
	s.knows("ob.example.org", "https://ob.example.org")
	s.knows("new.example.org", "https://new.example.org")
	s.exec(`UPDATE peers SET pull_position=18211, head=18211, last_pull_at=now()-interval '4 s', last_push_sent_at=now()-interval '3 h', last_push_received_at=now()-interval '12 min' WHERE name LIKE 'oa%'`)
	s.exec(`UPDATE peers SET pull_position=90210, head=91000, last_pull_at=now()-interval '3 h', last_push_sent_at=now()-interval '2 day', last_error='pull from og.example.net/airgap: GET http://10.20.30.40:3000/olympus/eventlog?after=90210&limit=1000: dial tcp 10.20.30.40:3000: connect: connection refused', last_error_at=now()-interval '22 s' WHERE name LIKE 'og%'`)
	s.exec(`UPDATE peers SET pull_position=5, head=5, state='paused', last_pull_at=now()-interval '50 day' WHERE name LIKE 'ob%'`)
	ev := added("example.com/fresh", "v0.1.0", s.Name)
	ev.Time = now
	require.NoError(t, s.Append(true, []protocol.Event{ev}, nil))
	fmt.Println("BUSY", s.url, "EMPTY", empty.url)
	os.WriteFile("/tmp/shot.urls", []byte(s.url+" "+empty.url), 0o600)
	time.Sleep(40 * time.Minute)
}
