package federation

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

// arrival is one event of a version and the way it comes in.
type arrival struct {
	event protocol.Event
	way   string
}

// ways are how an event gets into a log.
var ways = []string{"own", "push", "pull"}

// permutations calls each with every order of n things.
func permutations(n int, each func(order []int)) {
	order := make([]int, 0, n)
	used := make([]bool, n)
	var step func()
	step = func() {
		if len(order) == n {
			each(order)
			return
		}
		for i := range n {
			if !used[i] {
				used[i], order = true, append(order, i)
				step()
				used[i], order = false, order[:len(order)-1]
			}
		}
	}
	step()
}

// fates are the sets of events that a version can have: A and B are adds in conflict, A the earlier one, D deprecates, X deletes.
var fates = []string{"A", "B", "D", "X", "AB", "AD", "AX", "BD", "BX", "DX", "ABD", "ABX", "ADX", "BDX", "ABDX"}

func eventOf(letter byte, module string, at time.Time) protocol.Event {
	switch letter {
	case 'A':
		return added(module, "v1.0.0", "om.example.com", "A", at)
	case 'B':
		return added(module, "v1.0.0", "om.example.com", "B", at.Add(time.Second))
	case 'D':
		return said(protocol.KindDeprecate, module, "v1.0.0", "om.example.com")
	}
	return said(protocol.KindDelete, module, "v1.0.0", "om.example.com")
}

// Every order of every set of events, and every way in for each of them: the row of the version is the same. Each case has a module of
// its own, and the first events of all cases come in together, then the second ones, and so on.
func TestEveryOrderGivesTheSameVersion(t *testing.T) {
	t.Parallel()
	om := start(t, "om.example.com", options{})
	oa := start(t, "oa.example.com", options{lazy: true})
	og := start(t, "og.example.com", options{noJobs: true})
	oa.knows(om, og)
	og.knows(oa)

	at := now()
	var cases [][]arrival
	fateOf := make(map[string]string)
	for _, fate := range fates {
		permutations(len(fate), func(order []int) {
			n := 1
			for range order {
				n *= len(ways)
			}
			for combination := range n {
				module := fmt.Sprintf("example.com/m%d", len(cases))
				fateOf[module] = fate
				arrivals := make([]arrival, len(order))
				rest := combination
				for i, which := range order {
					arrivals[i] = arrival{eventOf(fate[which], module, at), ways[rest%len(ways)]}
					rest /= len(ways)
				}
				cases = append(cases, arrivals)
			}
		})
	}

	total := 0
	for step := range 4 {
		in := make(map[string][]protocol.Event)
		for _, arrivals := range cases {
			if step < len(arrivals) {
				a := arrivals[step]
				switch a.way {
				case "own":
					a.event.Origin = oa.Name
				case "pull":
					a.event.Origin = og.Name
				}
				in[a.way] = append(in[a.way], a.event)
				total++
			}
		}
		done := make(chan error, 1)
		go func() { done <- oa.Append(true, in["own"], nil) }()
		for i := 0; i < len(in["push"]); i += protocol.MaxPushEvents {
			om.tells(oa, in["push"][i:min(i+protocol.MaxPushEvents, len(in["push"]))]...)
		}
		og.hears(in["pull"]...)
		oa.pull(og)
		require.NoError(t, <-done)
		eventually(t, "all events of the step are in the log", func() bool { return oa.count("events") == total })
	}

	var rows []struct {
		Module     string `db:"module"`
		Add        string `db:"add"`
		Deprecated bool   `db:"deprecated"`
		Deleted    bool   `db:"deleted"`
		Conflict   bool   `db:"conflict"`
		Pinned     bool   `db:"pinned"`
		Held       bool   `db:"held"`
		Due        bool   `db:"due"`
	}
	require.NoError(t, oa.DB.RawQuery(`
		SELECT v.module, coalesce(e.zip_sha256, '') AS add, deprecated, deleted, conflict, pinned, held, fetch_due_at IS NOT NULL AS due
		FROM versions v LEFT JOIN events e ON e.position = v.add_position`).All(&rows))
	require.Len(t, rows, len(cases))
	for _, row := range rows {
		fate := fateOf[row.Module]
		has := func(letter string) bool { return containsAll(fate, letter) }
		want := row
		want.Deprecated, want.Deleted = has("D"), has("X")
		want.Conflict = has("AB") && !has("X")
		want.Pinned, want.Held = false, false
		want.Add = ""
		if has("B") {
			want.Add = eventOf('B', row.Module, at).ZipSHA256
		}
		if has("A") {
			want.Add = eventOf('A', row.Module, at).ZipSHA256
		}
		want.Due = want.Add != "" && !want.Deleted
		require.Equal(t, want, row, "events %s", fate)
	}
	oa.log() // without a gap
}

func containsAll(s, letters string) bool {
	for i := range letters {
		found := false
		for j := range s {
			found = found || s[j] == letters[i]
		}
		if !found {
			return false
		}
	}
	return true
}

// Orders that end in the same set are answered alike, too: list, latest and the three files. The bytes of A can be had, those of B not.
func TestEveryOrderGivesTheSameAnswers(t *testing.T) {
	t.Parallel()
	oa := start(t, "oa.example.com", options{lazy: true})
	at := now()
	type files struct{ list, latest, info, mod, zip int }
	for _, fate := range fates {
		want := files{200, 200, 200, 200, 502} // of the adds alone: nobody has the zip
		listed := []string{"v1.0.0"}
		switch {
		case containsAll(fate, "X"):
			want = files{200, 404, 403, 403, 403}
			listed = nil
		case !containsAll(fate, "A") && !containsAll(fate, "B"):
			want = files{404, 404, 404, 404, 404}
		case containsAll(fate, "D"):
			want.latest = 404
			listed = nil
		}
		if fate == "X" || fate == "DX" {
			want.list = 404 // a module that only tombstones speak of is not known
		}
		permutations(len(fate), func(order []int) {
			module := fmt.Sprintf("example.com/%s/o%d", lower(fate), orderNumber(order))
			spelled := ""
			for _, which := range order {
				spelled += fate[which : which+1]
				oa.hears(eventOf(fate[which], module, at))
			}
			list := oa.ask("GET", "/"+module+"/@v/list")
			latest := oa.ask("GET", "/"+module+"/@latest")
			base := "/" + module + "/@v/v1.0.0."
			info, mod, zip := oa.ask("GET", base+"info"), oa.ask("GET", base+"mod"), oa.ask("GET", base+"zip")
			require.Equal(t, want, files{list.status, latest.status, info.status, mod.status, zip.status}, spelled)
			if list.status == 200 {
				require.Equal(t, listed, lines(list.body), spelled)
			}
			served := eventOf('B', module, at).Info
			if containsAll(fate, "A") {
				served = eventOf('A', module, at).Info
			}
			for _, got := range []answer{latest, info} {
				if got.status == 200 {
					require.Equal(t, served, got.body, spelled)
				}
			}
		})
	}
}

func lower(fate string) string {
	b := []byte(fate)
	for i := range b {
		b[i] += 'a' - 'A'
	}
	return string(b)
}

func orderNumber(order []int) int {
	n := 0
	for _, i := range order {
		n = n*10 + i
	}
	return n
}
