package federation

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/signature"
)

// task runs a task with the settings of a process, and returns what it prints; it has to succeed.
func (p *process) task(args ...string) string {
	p.site.t.Helper()
	out, errs, code := p.site.run(p.env, append([]string{"task"}, args...)...)
	require.Zero(p.site.t, code, "%s: %s%s", args, out, errs)
	return out
}

// bar makes an event.
func (p *process) bar(module string) {
	p.site.t.Helper()
	p.administrate(http.StatusOK, http.MethodPost, "/modules/example.com/"+module+"@v1.0.0/delete", "")
}

// One side asks, the other approves, and both push and pull. Until then nothing goes to the one that has asked, and nothing is taken from it.
func TestJoin(t *testing.T) {
	t.Parallel()
	om, oa := newSite(t, "om.example.com", "OLYMPUS_PULL_INTERVAL=1s"), newSite(t, "oa.example.com", "OLYMPUS_PULL_INTERVAL=1s")
	p, q := om.start(), oa.start()
	omKey, oaKey := om.target(p).Key, oa.target(q).Key
	out := q.task("peers:join", p.url, omKey)
	require.Contains(t, out, "its operator approves with: olympus task peers:approve oa.example.com\nand compares the fingerprint "+signature.Fingerprint(oaKey))
	require.Contains(t, q.task("peers:join", p.url, omKey), "its operator approves with", "asked again")

	// The one that has asked reads, as anybody may.
	p.bar("a")
	eventually(t, "oa reads", func() bool { return len(oa.log()) == 1 })
	q.bar("b")
	eventually(t, "the push is refused, and not repeated", func() bool {
		return oa.count("SELECT count(*) FROM river_job WHERE kind = 'push' AND state = 'cancelled'") == 1
	})
	require.Contains(t, p.get("/metrics"), `olympus_pushes_received_total{peer="",status="403"} 1`)
	require.Equal(t, []string{"delete example.com/a@v1.0.0"}, om.log())
	require.Zero(t, om.count("SELECT count(*) FROM river_job WHERE kind IN ('push', 'pull', 'receive')"))
	require.Zero(t, om.count("SELECT count(*) FROM peers"))
	require.Contains(t, p.task("peers:list"), "oa.example.com  pending  0       0     0    0       never      "+q.url)
	said, code := oa.doctor(q)
	require.Equal(t, 1, code)
	require.Contains(t, said, "WRONG  peer om.example.com: its operator has not approved this deployment yet\n       its operator runs: olympus task peers:approve oa.example.com "+oaKey)
	said, code = om.doctor(p)
	require.Zero(t, code, said)
	require.Contains(t, said, "ok     peer oa.example.com: has asked to become a peer")

	require.Contains(t, p.task("peers:approve", "oa.example.com", oaKey), "peer oa.example.com is active")
	eventually(t, "om pulls what it had refused", func() bool { return len(om.log()) == 2 })
	p.bar("c")
	eventually(t, "oa has it", func() bool { return len(oa.log()) == 3 })
	q.bar("d")
	eventually(t, "om has it", func() bool { return len(om.log()) == 4 })
	for _, process := range []*process{p, q} {
		eventually(t, "a push has come", func() bool {
			return process.site.count("SELECT count(*) FROM peers WHERE last_push_received_at IS NOT NULL") == 1
		})
		said, code = process.site.doctor(process)
		require.Zero(t, code, said)
	}
	require.Contains(t, q.task("peers:join", p.url, omKey), "which is active there")
	require.Equal(t, 1, om.count("SELECT count(*) FROM audit WHERE action = 'approve peer'"))
}

// A deployment changes its key by one task, and one confirmation at the peer: no push is refused, and nobody takes its log from the start.
func TestRotationOfKey(t *testing.T) {
	t.Parallel()
	om, oa := newSite(t, "om.example.com"), newSite(t, "oa.example.com")
	p, q := om.start(), oa.start()
	omKey, oaKey := om.target(p).Key, oa.target(q).Key
	p.task("peers:add", q.url, oaKey)
	q.task("peers:add", p.url, omKey)
	pushed := 0
	push := func(by *process) {
		pushed++
		by.bar("m" + string(rune('a'+pushed)))
		eventually(t, "the push is taken", func() bool { return len(oa.log()) == pushed })
	}
	push(p)

	announced := p.task("key:rotate")
	require.Contains(t, announced, "oa.example.com: announced\n")
	require.Equal(t, announced, p.task("key:rotate"), "the same key, however often")
	next := regexp.MustCompile(`new key +(om\.example\.com\+\S+)`).FindStringSubmatch(announced)[1]
	require.NotEqual(t, omKey, next)
	require.Equal(t, 1, oa.count("SELECT count(*) FROM peers WHERE announced_key = ?", next))
	accept := "olympus task peers:rekey om.example.com " + next + "\n"
	require.Contains(t, q.task("peers:list"), "om.example.com announces a new key, with the fingerprint "+signature.Fingerprint(next)+":\n"+accept)
	push(p)

	q.task("peers:rekey", "om.example.com", next)
	require.NotContains(t, q.task("peers:list"), "announces")
	push(p)
	rotated := p.task("key:rotate")
	require.Contains(t, rotated, "oa.example.com: accepted\n")
	require.Contains(t, rotated, "restart the processes one by one")
	push(p)

	// One by one.
	r := om.startBeside()
	require.Equal(t, next, om.target(r).Key)
	push(r)
	require.Zero(t, p.terminate())
	push(r)
	require.Contains(t, r.task("key:rotate"), "the key was changed to "+signature.Fingerprint(next))
	p = p.again()
	require.Zero(t, r.terminate())
	require.Contains(t, q.task("sync:pull"), "om.example.com: pulled 6, appended 0")
	for _, key := range []string{omKey, next} {
		_, err := signature.OpenNote([]byte(p.get("/checkpoint")), key)
		require.NoError(t, err, "the key before signs checkpoints too")
	}
	for _, process := range []*process{p, q} {
		said, code := process.site.doctor(process)
		require.Zero(t, code, said)
	}

	// And once more, by an operator who lets the key before count no longer.
	require.NoError(t, os.Remove(filepath.Join(om.data, "signing.key.old")))
	again := regexp.MustCompile(`new key +(om\.example\.com\+\S+)`).FindStringSubmatch(p.task("key:rotate"))[1]
	q.task("peers:rekey", "om.example.com", again, "0")
	require.Contains(t, p.task("key:rotate"), "oa.example.com: accepted\n")
	require.Zero(t, p.terminate())
	p = p.again()
	push(p)
	require.Contains(t, q.task("sync:pull"), "om.example.com: pulled 1, appended 0")
	require.Contains(t, q.get("/metrics"), fmt.Sprintf(`olympus_pushes_received_total{peer="om.example.com",status="202"} %d`, pushed))
	require.NotRegexp(t, `olympus_pushes_received_total\{[^}]*status="[45]`, q.get("/metrics"))
}
