package browser

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// federated is a deployment with so many peers, in every state there is a word for.
func federated(t *testing.T, peers int) *deployment {
	t.Helper()
	d := start(t, "olympus.example.com", "off")
	for i := range peers {
		name := fmt.Sprintf("o%c.example.com", 'a'+i)
		if i == 3 {
			name = longPeer
		}
		d.knows(name, "https://"+name, stranger(t, name))
	}
	d.exec(`UPDATE peers SET head = 1204, pull_position = 1204, last_pull_at = now(), last_push_sent_at = now()`)
	return d
}

// peer changes one of the peers, by the letter of its name.
func (d *deployment) peer(letter, set string, args ...any) {
	d.t.Helper()
	d.exec("UPDATE peers SET "+set+" WHERE name = 'o"+letter+".example.com'", args...)
}

// shown is what the drawing that is shown says, and of which kind it is.
func (b *tab) shown() (kind string, texts []string) {
	b.t.Helper()
	got := evaluate[struct {
		Kind  string   `json:"kind"`
		Texts []string `json:"texts"`
	}](b, `(() => {
		const all = [...document.querySelectorAll('.picture svg')].filter(e => e.checkVisibility())
		if (all.length !== 1) throw Error(all.length + ' drawings are shown')
		return {kind: all[0].classList[0], texts: [...all[0].querySelectorAll('text')].map(e => e.textContent)}
	})()`)
	return got.Kind, got.Texts
}

// overlaps are texts of the drawing that is shown which run into each other, out of their box or out of the drawing.
const overlaps = `(() => {
const faults = []
const svg = [...document.querySelectorAll('.picture svg')].find(e => e.checkVisibility())
const inside = (a, b) => a.left >= b.left - 1 && a.right <= b.right + 1 && a.top >= b.top - 1 && a.bottom <= b.bottom + 1
const apart = (a, b) => a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 3 || b.bottom <= a.top + 3
const frame = svg.getBoundingClientRect()
const texts = [...svg.querySelectorAll('text')].map(e => ({e, box: e.getBoundingClientRect()}))
for (const {e, box} of texts) {
  if (!inside(box, frame)) faults.push('beyond the picture: ' + e.textContent)
  const own = e.parentElement.querySelector('rect')
  if (own && !inside(box, own.getBoundingClientRect())) faults.push('beyond its box: ' + e.textContent)
  for (const rect of svg.querySelectorAll('rect')) if (rect !== own && !apart(box, rect.getBoundingClientRect())) faults.push('into a box: ' + e.textContent)
  for (const other of texts) if (other.e !== e && !apart(box, other.box)) faults.push(e.textContent + ' into ' + other.e.textContent)
  const size = parseFloat(getComputedStyle(e).fontSize) * frame.width / svg.viewBox.baseVal.width
  if (size < 10.5) faults.push('drawn at ' + size + ' pixels: ' + e.textContent)
}
return faults})()`

func TestFederationAtAGlance(t *testing.T) {
	t.Parallel()
	for peers, says := range map[int]string{1: "The only peer, oa.example.com, is up to date.", 3: "All 3 peers are up to date."} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			t.Parallel()
			d := federated(t, peers)
			b := newTab(t, d)
			b.visit("/")
			require.Contains(t, b.text(), says)
			b.inspect("/")
			kind, texts := b.shown()
			require.Equal(t, "wide", kind)
			require.Contains(t, texts, "pull: ok")
			require.Contains(t, texts, "push: ok")
			require.Contains(t, texts, "lag 0")
			b.requireDrawn()
		})
	}
	t.Run("twelve, in every state", func(t *testing.T) {
		t.Parallel()
		d := federated(t, 12)
		d.peer("b", "head = 2408, behind_since = now() - interval '4 minutes 10 seconds'")
		d.peer("c", "last_error = ?, last_error_at = now(), last_pull_at = now() - interval '3 hours', head = 123456789, behind_since = now() - interval '2 hours 10 seconds'", "pull from oc.example.com: connection refused")
		d.peer("e", "state = 'paused'")
		d.peer("f", "state = 'quarantined', evidence_before = 'one', evidence_after = 'other', head = 1300")
		d.peer("g", "last_error = ?, last_error_at = now() + interval '1 second'", "push to og.example.com: "+hostile)
		d.peer("h", "last_pull_at = NULL, last_push_sent_at = NULL, head = 0, pull_position = 0")
		b := newTab(t, d)
		b.visit("/")
		for _, says := range []string{
			"6 of 12 peers are up to date.", "Nothing was pulled yet from 1 peer.", "of.example.com is quarantined: it has signed two histories of its log.",
			"oc.example.com is 123,455,585 events behind, for 2 h: last error pull from oc.example.com: connection refused.",
			"Pushing to og.example.com fails; its log is pulled all the same: last error push to og.example.com: " + hostile + ".",
			"The picture shows 2 more that are not.",
		} {
			require.Contains(t, b.text(), says)
		}
		facts := evaluate[[]string](b, `[...document.querySelectorAll('.picture li')].map(e => e.textContent)`)
		require.Len(t, facts, 12)
		for _, fact := range []string{
			"oa.example.com: pull ok, lag 0; push ok.", "ob.example.com: pull behind, lag 1,204; push ok.", "oc.example.com: pull failing, lag 123.5 M; push ok.",
			"oe.example.com: pull paused, lag 0; push paused.", "of.example.com: pull quarantined, lag 96; push quarantined.",
			"og.example.com: pull ok, lag 0; push failing.", "oh.example.com: pull pending, lag 0; push pending.",
		} {
			require.Contains(t, facts, fact)
		}
		// Each state has a line of its own, without colours too.
		require.Equal(t, 6, evaluate[int](b, `new Set([...document.querySelectorAll('.wide .way')].map(e => {
			const s = getComputedStyle(e.querySelector('.line')); return s.strokeDasharray + ' ' + s.strokeWidth })).size`))
		require.Contains(t, evaluate[[]string](b, `[...document.querySelectorAll('.wide .peer > title')].map(e => e.textContent)`), longPeer, "the whole of a name that is cut")
		b.inspect("/")
		b.requireDrawn()
	})
}

// The page of a peer says how its lag came about, what became of the pushes, and what is left.
func TestPeerOverADay(t *testing.T) {
	t.Parallel()
	d := federated(t, 3)
	d.peer("b", "head = 2404, behind_since = now() - interval '4 hours', epoch = 2, checkpoint = 'note', verified_size = 1204")
	d.exec(`DELETE FROM lag_samples`)
	d.exec(`INSERT INTO lag_samples SELECT date_trunc('minute', now()) - n * interval '1 minute', 'ob.example.com',
			CASE WHEN n < 240 THEN 1200 + n * 60 WHEN n < 600 THEN 0 ELSE (n % 90) * 40 END, CASE WHEN n < 240 THEN (240 - n) * 60 WHEN n < 600 THEN 0 ELSE (n % 90) * 60 END
		FROM generate_series(1, 1400) n WHERE n NOT BETWEEN 620 AND 780 ON CONFLICT DO NOTHING`)
	d.exec(`INSERT INTO river_job (kind, queue, args, metadata, max_attempts, priority, state, attempt, attempted_at, finalized_at, errors)
		SELECT 'push', 'push', '{"peer": "ob.example.com", "first": 1, "last": 1}', '{}', 5, 1, s::river_job_state, 5, now(), CASE WHEN s <> 'retryable' THEN now() END,
			CASE WHEN s <> 'completed' THEN ARRAY[jsonb_build_object('error', ?::text, 'at', now() - interval '2 minutes')] END
		FROM unnest(ARRAY['completed', 'completed', 'retryable', 'discarded', 'discarded', 'discarded']) s`, hostile)
	d.exec(`UPDATE river_job SET scheduled_at = now() + interval '1 hour' WHERE state = 'retryable'`)
	b := newTab(t, d)
	b.visit("/peers/oa.example.com")
	require.Contains(t, b.text(), "Nothing is left to take, as far as its head is known.")
	b.visit("/peers/ob.example.com")
	for _, says := range []string{
		"Lag 1,200 events not yet taken, for 4 h", "Epoch 2 of its log", "Sent 2 in the last hour", "Queued 1 failed ones included", "Failed 1 to be tried again", "Given up 3 in the last week",
		"Lag in events at most 15,540 events", "There are no samples of 3 h:", "discarded " + hostile + " 5 2 min ago",
		"1,200 events left; at the pace of the last", "Pull behind, lag 1,200", "up to position 1,204 of epoch 2",
	} {
		require.Contains(t, b.text(), says)
	}
	require.Regexp(t, "Behind for at most [34] h", b.text())
	require.Positive(t, evaluate[int](b, `document.querySelectorAll('.plot .gap').length`), "the time without samples is a gap")
	b.inspect("/peers/ob.example.com")
	b.visit("/peers")
	require.Equal(t, 1, evaluate[int](b, `document.querySelectorAll('.spark').length`), "the others have no curve yet")
	b.inspect("/peers")
}

// requireDrawn requires that the picture can be read in windows of every width.
func (b *tab) requireDrawn() {
	b.t.Helper()
	for _, width := range []int64{1600, 1280, 1030, 1020, 740, 414, 360, 320} {
		b.size(width, 900, width < 500)
		require.Empty(b.t, evaluate[[]string](b, overlaps), "at %d pixels", width)
		kind, _ := b.shown()
		require.Equal(b.t, width > 1024, kind == "wide", "at %d pixels", width)
	}
	b.size(1280, 900, false)
}
