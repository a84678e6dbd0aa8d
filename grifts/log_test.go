package grifts

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/testdb"
	"olympus/internal/testmod"
)

// exec changes the database of a site behind its back.
func (s *site) exec(statements ...string) {
	s.t.Helper()
	db := testdb.Open(s.t, s.settings.DatabaseURL)
	for _, statement := range statements {
		require.NoError(s.t, db.RawQuery(statement).Exec())
	}
}

func TestShowLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	require.Empty(t, s.must("log:show"))
	require.Empty(t, s.must("log:show", "--json"))
	events := news(t, "oa.example.com")
	oa := newOther(t, "oa.example.com", events...)
	s.must("peers:add", oa.URL, oa.key)
	s.must("sync:pull")

	var wire []byte
	for i := range oa.events {
		wire = protocol.AppendLine(wire, &oa.events[i])
	}
	require.Equal(t, string(wire), s.must("log:show", "--json"))
	lines := bytes.SplitAfter(wire, []byte("\n"))
	require.Equal(t, string(bytes.Join(lines[3:], nil)), s.must("log:show", "3", "--json"))
	require.Empty(t, s.must("log:show", "4"))
	stamp := events[0].Time.Format("2006-01-02T15:04:05.999999Z")
	require.Equal(t, "4\tdeprecate\texample.com/m@v1.0.0\toa.example.com\t"+stamp+"\ttoo old\n", s.must("log:show", "3"))
	require.Equal(t, 4, strings.Count(s.must("log:show", "0"), "\n"))
	_, _, err := s.run("log:show", "5")
	require.ErrorContains(t, err, "beyond the head 4")
}

// More events than a page of the log has.
func TestShowLongLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	deprecate := news(t, "oa.example.com")[3]
	var events []protocol.Event
	for i := range 2300 {
		deprecate.Version = fmt.Sprintf("v1.0.%d", i)
		events = append(events, deprecate)
	}
	s.settings.PageSize = 1000
	oa := newOther(t, "oa.example.com", events...)
	s.must("peers:add", oa.URL, oa.key)
	s.must("sync:pull")
	require.Equal(t, len(events), strings.Count(s.must("log:show", "--json"), "\n"))
	require.Equal(t, len(events), strings.Count(s.must("log:show"), "\n"))
}

func TestVerifyLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	oa := newOther(t, "oa.example.com", news(t, "oa.example.com")...)
	s.must("peers:add", oa.URL, oa.key)
	s.must("sync:pull")
	require.Equal(t, "4 events, 3 versions, 0 blobs, 0 orphaned blobs: 0 problems\n", s.must("log:verify"))
	require.JSONEq(t, `{"events":4,"versions":3,"blobs":0,"orphans":0,"problems":[]}`, s.must("log:verify", "--json"))

	s.exec("UPDATE versions SET deprecated = NOT deprecated WHERE version <> 'v1.2.0'")
	out, _, err := s.run("log:verify")
	require.ErrorContains(t, err, "problems found: 2")
	require.Equal(t, "example.com/m@v1.0.0: deprecated is false, by the log true\n"+
		"example.com/m@v1.1.0: deprecated is true, by the log false\n"+
		"4 events, 3 versions, 0 blobs, 0 orphaned blobs: 2 problems\n", out)
	out, _, err = s.run("log:verify", "--json")
	require.Error(t, err)
	require.JSONEq(t, `{"events":4,"versions":3,"blobs":0,"orphans":0,"problems":[
		{"module":"example.com/m","version":"v1.0.0","problem":"deprecated is false, by the log true"},
		{"module":"example.com/m","version":"v1.1.0","problem":"deprecated is true, by the log false"}]}`, out)

	require.Contains(t, s.must("log:replay"), "4 events, 3 versions: 2 rebuilt, 0 removed")
	require.JSONEq(t, `{"events":4,"versions":3,"rebuilt":0,"removed":0,"held":0,"found":0,"lost":0,"cleared":0}`,
		s.must("log:replay", "--json"))
	s.must("log:verify")
}

// A peer that came to hold older events than we took, as after a restore of ours, is taken again from where it is asked for.
func TestReplayPeer(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com")
	events := news(t, "oa.example.com")
	oa := newOther(t, "oa.example.com", events...)
	s.must("peers:add", oa.URL, oa.key)
	s.must("sync:pull")
	oa.set(func() {
		oa.events[1].Event = testmod.Event(t, testmod.Module{Path: "example.com/n", Version: "v1.0.0"}, "oa.example.com")
	})
	require.Equal(t, "oa.example.com: pulled 2, appended 0, pull pointer at 4\n", s.must("log:replay", oa.name, "2"))
	require.Equal(t, "oa.example.com: pulled 4, appended 1, pull pointer at 4\n", s.must("log:replay", oa.name))
	require.JSONEq(t, `[{"name":"oa.example.com","pulled":4,"appended":0,"pull_position":4}]`, s.must("log:replay", oa.name, "0", "--json"))
	_, _, err := s.run("log:replay", oa.name, "5")
	require.ErrorContains(t, err, "pointer is not that far")
	_, _, err = s.run("log:replay", "nobody.example.com")
	require.ErrorContains(t, err, "no such peer")
}
