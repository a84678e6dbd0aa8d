package main

import (
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"olympus/internal/download"
	"olympus/internal/protocol"
)

var (
	tested  = release{"example.com/faults/tested", "v1.0.0"}
	listing = release{module: tested.module}
)

// trial is an oracle that is told what happened.
type trial struct {
	*oracle
	t *testing.T
}

// newTrial knows one release, which exists.
func newTrial(t *testing.T) *trial {
	t.Helper()
	tr := &trial{newOracle(newCalendar(), io.Discard), t}
	require.NoError(t, tr.publish(tested))
	return tr
}

// body is a file of the release as it should be.
func body(t *testing.T, ext download.Ext) []byte {
	t.Helper()
	f, err := tested.files()
	require.NoError(t, err)
	return f.of(ext)
}

// get asks and is answered.
func (tr *trial) get(d string, r release, ext download.Ext, status int, body []byte) {
	tr.judge(tr.ask(d, r, ext, false), &answer{status: status, body: body})
}

// onlyHere does the same with Disable-Module-Fetch.
func (tr *trial) onlyHere(d string, ext download.Ext, status int, body []byte) {
	tr.judge(tr.ask(d, tested, ext, true), &answer{status: status, body: body})
}

// fill has the zip served, as it should be, long enough ago for every process to know of it.
func (tr *trial) fill(d string) {
	tr.fillNow(d)
	tr.of(tested).held[d] = time.Now().Add(-2 * hearsay)
}

func (tr *trial) fillNow(d string) { tr.get(d, tested, download.Zip, 200, body(tr.t, download.Zip)) }

func (tr *trial) list(d, versions string) { tr.get(d, listing, download.List, 200, []byte(versions)) }

// changed has a change acknowledged long enough ago for every process to know of it.
func (tr *trial) changed(d string, kind protocol.Kind) {
	tr.changedNow(d, kind)
	tr.of(tested).change(kind).acknowledged[d] = time.Now().Add(-2 * hearsay)
}

func (tr *trial) changedNow(d string, kind protocol.Kind) {
	tr.willChange(d, kind, tested)
	tr.hasChanged(d, kind, tested)
}

// The oracle lets pass what is promised, and nothing else.
func TestOracle(t *testing.T) {
	t.Parallel()
	unknown := release{tested.module, "v1.999.0"}
	tests := []struct {
		name string
		do   func(tr *trial)
		want string // part of the one violation; empty if there is none
	}{
		{"right files", func(tr *trial) {
			for _, ext := range fileKinds {
				tr.get("om", tested, ext, 200, body(tr.t, ext))
			}
			tr.list("om", "v1.0.0\n")
		}, ""},
		{"a wrong byte in a zip", func(tr *trial) {
			zip := body(tr.t, download.Zip)
			zip[len(zip)/2] ^= 1
			tr.get("om", tested, download.Zip, 200, zip)
		}, "wrong bytes"},
		{"a zip that is too short", func(tr *trial) {
			zip := body(tr.t, download.Zip)
			tr.get("om", tested, download.Zip, 200, zip[:len(zip)-1])
		}, "wrong bytes"},
		{"an empty zip", func(tr *trial) { tr.get("om", tested, download.Zip, 200, nil) }, "wrong bytes"},
		{"another .info", func(tr *trial) { tr.get("om", tested, download.Info, 200, []byte(`{"Version":"v1.0.0"}`)) }, "wrong bytes"},
		{"another .mod", func(tr *trial) { tr.get("om", tested, download.Mod, 200, append(body(tr.t, download.Mod), '\n')) }, "wrong bytes"},
		{"a version that nobody has", func(tr *trial) { tr.get("om", unknown, download.Info, 200, []byte("{}")) }, "nobody has it"},
		{"a version that nobody has, refused", func(tr *trial) { tr.get("om", unknown, download.Info, 404, nil) }, ""},
		{"a version that exists, not found", func(tr *trial) { tr.get("om", tested, download.Info, 404, nil) }, "it exists"},
		{"upstream fails", func(tr *trial) {
			for _, status := range []int{429, 502, 503, 504} {
				tr.get("om", tested, download.Info, status, nil)
			}
		}, ""},
		{"a fault of its own", func(tr *trial) { tr.get("om", tested, download.Info, 500, []byte("oops")) }, `500 "oops"`},
		{"not fetched, as wished", func(tr *trial) { tr.onlyHere("om", download.Zip, 404, nil) }, ""},
		{"fetched against the wish", func(tr *trial) { tr.onlyHere("om", download.Mod, 200, body(tr.t, download.Mod)) }, "nobody was ever asked to fetch it"},
		{"a held zip not found", func(tr *trial) {
			tr.fill("om")
			tr.onlyHere("om", download.Zip, 404, nil)
		}, "it exists"},
		{"a zip that another deployment holds not found", func(tr *trial) {
			tr.fill("om")
			tr.onlyHere("oa", download.Zip, 404, nil)
		}, ""},

		{"a held zip refused, though nothing happens", func(tr *trial) {
			tr.fill("om")
			tr.get("om", tested, download.Zip, 503, nil)
		}, "it holds it"},
		{"a held zip broken off, though nothing happens", func(tr *trial) {
			tr.fill("om")
			tr.judge(tr.ask("om", tested, download.Zip, false), &answer{status: 200, err: io.ErrUnexpectedEOF})
		}, "it holds it"},
		{"a held zip refused during a fault", func(tr *trial) {
			tr.fill("om")
			tr.calendar.begin("om")
			tr.get("om", tested, download.Zip, 503, nil)
		}, ""},
		{"a held zip refused right after a fault", func(tr *trial) {
			tr.fill("om")
			tr.calendar.begin("om")
			tr.calendar.end("om")
			tr.judge(tr.ask("om", tested, download.Zip, false), &answer{err: errors.New("refused")})
		}, ""},
		{"a held zip refused during a fault of another deployment", func(tr *trial) {
			tr.fill("om")
			tr.calendar.begin("oa", way("oa", "om"), upstreamOf("om"))
			tr.get("om", tested, download.Zip, 502, nil)
		}, "it holds it"},

		{"deleted", func(tr *trial) {
			tr.fill("om")
			tr.changed("om", protocol.KindDelete)
			tr.get("om", tested, download.Zip, 403, nil)
			tr.list("om", "")
		}, ""},
		{"resurrected", func(tr *trial) {
			tr.changed("om", protocol.KindDelete)
			tr.fill("om")
		}, "200, though its deletion was acknowledged"},
		{"resurrected where nobody deleted it but it was denied", func(tr *trial) {
			tr.changed("om", protocol.KindDelete)
			tr.get("oa", tested, download.Mod, 403, nil)
			tr.of(tested).denied["oa"] = time.Now().Add(-2 * hearsay)
			tr.fill("oa")
		}, "200, though it was denied"},
		{"served by a process that has not heard of the deletion yet", func(tr *trial) {
			tr.changedNow("om", protocol.KindDelete)
			tr.list("om", "v1.0.0\n")
			tr.fill("om")
		}, ""},
		{"served elsewhere while the deletion spreads", func(tr *trial) {
			tr.changed("om", protocol.KindDelete)
			tr.fill("oa")
		}, ""},
		{"served while the deletion is under way", func(tr *trial) {
			q := tr.ask("om", tested, download.Zip, false)
			tr.changedNow("om", protocol.KindDelete)
			tr.judge(q, &answer{status: 200, body: body(tr.t, download.Zip)})
		}, ""},
		{"deleted by nobody", func(tr *trial) { tr.get("om", tested, download.Zip, 403, nil) }, "nobody has asked to delete it"},
		{"deprecated, and served", func(tr *trial) {
			tr.changed("om", protocol.KindDeprecate)
			tr.fill("om")
			tr.list("om", "")
		}, ""},

		{"forgotten by the list", func(tr *trial) {
			tr.list("om", "v1.0.0\n")
			tr.list("om", "")
		}, "it has forgotten v1.0.0"},
		{"never shown by another deployment's list", func(tr *trial) {
			tr.list("om", "v1.0.0\n")
			tr.list("oa", "")
		}, ""},
		{"not yet listed by a process that has not heard", func(tr *trial) {
			tr.fillNow("om")
			tr.list("om", "")
		}, ""},
		{"not listed though filled", func(tr *trial) {
			tr.fill("om")
			tr.list("om", "")
		}, "it lacks v1.0.0"},
		{"not listed yet while it is filled", func(tr *trial) {
			q := tr.ask("om", listing, download.List, false)
			tr.fillNow("om")
			tr.judge(q, &answer{status: 200})
		}, ""},
		{"listed though deleted", func(tr *trial) {
			tr.changed("om", protocol.KindDelete)
			tr.list("om", "v1.0.0\n")
		}, "whose deletion was acknowledged"},
		{"listed though deprecated", func(tr *trial) {
			tr.changed("om", protocol.KindDeprecate)
			tr.list("om", "v1.0.0\n")
		}, "whose deprecation was acknowledged"},
		{"listed though nobody has it", func(tr *trial) { tr.list("om", "v1.0.0\nv1.999.0\n") }, "v1.999.0, which nobody has"},
		{"no list of a module that exists", func(tr *trial) { tr.get("om", listing, download.List, 404, nil) }, "it exists"},
		{"no list of a module that it was not to ask for", func(tr *trial) {
			tr.judge(tr.ask("om", listing, download.List, true), &answer{status: 404})
		}, ""},
		{"no list of a module that it holds a version of", func(tr *trial) {
			tr.fill("om")
			tr.judge(tr.ask("om", listing, download.List, true), &answer{status: 404})
		}, "it exists"},
		{"no list of a module that it has listed", func(tr *trial) {
			tr.list("om", "v1.0.0\n")
			tr.judge(tr.ask("om", listing, download.List, true), &answer{status: 404})
		}, "it exists"},
		{"upstream gives no list", func(tr *trial) { tr.get("om", listing, download.List, 502, nil) }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t)
			// As if all had been quiet for long.
			tr.calendar.ended["om"] = time.Now().Add(-time.Hour)
			test.do(tr)
			tr.wants(test.want)
		})
	}
}

// wants compares the violations with the one that is wanted, if any.
func (tr *trial) wants(violation string) {
	tr.t.Helper()
	if violation == "" {
		require.Empty(tr.t, tr.violations)
		return
	}
	require.Len(tr.t, tr.violations, 1)
	require.Contains(tr.t, tr.violations[0], violation)
}

func TestOracleCounts(t *testing.T) {
	t.Parallel()
	tr := newTrial(t)
	tr.fill("om")
	tr.list("om", "v1.0.0\n")
	tr.judge(tr.ask("om", tested, download.Info, false), &answer{status: http.StatusBadGateway, ours: true})
	require.Equal(t, map[string]int{"file 200": 1, "list 200": 1, "file unanswered": 1}, tr.outcomes)
}

// event is an event of the tested release, as it should be logged.
func event(t *testing.T, position int64, kind protocol.Kind, origin string) protocol.Logged {
	t.Helper()
	e := protocol.Logged{Position: position, Event: protocol.Event{Kind: kind, Module: tested.module, Version: tested.version, Origin: nameOf(origin)}}
	if kind == protocol.KindAdd {
		f, err := tested.files()
		require.NoError(t, err)
		want := f.expected()
		e.ZipHash, e.ZipSHA256, e.ZipSize, e.Info, e.Mod = "h1:of it", want.zipSHA256, int64(want.zipSize), want.info, want.mod
	}
	return e
}

// In the end the logs must hold the same, all of it, and nothing else.
func TestOracleJudgesLogs(t *testing.T) {
	t.Parallel()
	type logs = map[string][]protocol.Logged
	add := func(position int64, origin string) protocol.Logged {
		return event(t, position, protocol.KindAdd, origin)
	}
	del := func(position int64, origin string) protocol.Logged {
		return event(t, position, protocol.KindDelete, origin)
	}
	filled := func(tr *trial) { tr.fill("om") }
	deleted := func(tr *trial) {
		tr.fill("om")
		tr.changed("oa", protocol.KindDelete)
	}
	with := func(e protocol.Logged, change func(*protocol.Logged)) protocol.Logged { change(&e); return e }
	tests := []struct {
		name string
		did  func(tr *trial)
		logs logs
		want string
	}{
		{"nothing happened", func(*trial) {}, logs{"om": nil, "oa": nil}, ""},
		{"filled", filled, logs{"om": {add(1, "om")}, "oa": {add(1, "om")}}, ""},
		{"in another order", deleted, logs{"om": {add(1, "om"), del(2, "oa")}, "oa": {del(1, "oa"), add(2, "om")}}, ""},
		{"filled by two that had not heard of each other", func(tr *trial) { tr.fill("om"); tr.fill("oa") }, logs{"om": {add(1, "om")}, "oa": {add(1, "oa")}}, ""},
		{"deleted while it was filled", deleted, logs{"om": {del(1, "oa")}, "oa": {del(1, "oa")}}, ""},
		{"filled, and deleted by somebody who does not know whether", func(tr *trial) { tr.fill("om"); tr.willChange("oa", protocol.KindDelete, tested) },
			logs{"om": {add(1, "om"), del(2, "oa")}, "oa": {add(1, "om"), del(2, "oa")}}, ""},

		{"an event is lost on one deployment", filled, logs{"om": {add(1, "om")}, "oa": nil}, "the log of oa lacks"},
		{"a fill is lost on all", filled, logs{"om": nil, "oa": nil}, "the log of om lacks the add"},
		{"a deletion is lost on all", deleted, logs{"om": {add(1, "om")}, "oa": {add(1, "om")}}, "the log of oa lacks the delete"},
		{"a gap", filled, logs{"om": {add(2, "om")}, "oa": {add(1, "om")}}, "the log of om has position 2 where 1 should be"},
		{"an event twice", filled, logs{"om": {add(1, "om"), add(2, "om")}, "oa": {add(1, "om")}}, "twice"},
		{"a false origin", filled, logs{"om": {add(1, "om")}, "oa": {add(1, "oa")}}, "with origin oa, which was never asked for it"},
		{"a deletion that nobody asked for", filled, logs{"om": {add(1, "om"), del(2, "om")}, "oa": {add(1, "om"), del(2, "om")}},
			"with origin om, which was never asked for it"},
		{"another zip", filled, logs{"om": {with(add(1, "om"), func(e *protocol.Logged) { e.ZipSHA256 = hexSHA256(nil) })}, "oa": {add(1, "om")}}, "with wrong files"},
		{"another .info", filled, logs{"om": {add(1, "om")}, "oa": {with(add(1, "om"), func(e *protocol.Logged) { e.Info += " " })}}, "with wrong files"},
		{"an add of what nobody has", filled, logs{
			"om": {add(1, "om"), with(add(2, "om"), func(e *protocol.Logged) { e.Version = "v1.999.0" })},
			"oa": {add(1, "om"), with(add(2, "om"), func(e *protocol.Logged) { e.Version = "v1.999.0" })},
		}, "which nobody has"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tr := newTrial(t)
			test.did(tr)
			require.Empty(t, tr.violations)
			tr.judgeLogs(test.logs)
			if test.want == "" {
				require.Empty(t, tr.violations)
				return
			}
			require.Contains(t, tr.text(), test.want)
		})
	}
}

// text are all violations as one text.
func (tr *trial) text() (text string) {
	for _, v := range tr.violations {
		text += v + "\n"
	}
	return text
}
