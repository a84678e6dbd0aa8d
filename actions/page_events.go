package actions

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobuffalo/buffalo"

	"olympus/internal/protocol"
	"olympus/models"
)

// eventJSON is an event of a listing: as in the log, without the text of .info and .mod, which make a page of them large.
type eventJSON struct {
	Position  int64         `json:"position"`
	Kind      protocol.Kind `json:"kind"`
	Module    string        `json:"module"`
	Version   string        `json:"version"`
	Origin    string        `json:"origin"`
	Time      time.Time     `json:"time"`
	ZipHash   string        `json:"zip_hash,omitempty"`
	ZipSHA256 string        `json:"zip_sha256,omitempty"`
	ZipSize   int64         `json:"zip_size,omitempty"`
	ModHash   string        `json:"mod_hash,omitempty"`
	Reason    string        `json:"reason,omitempty"`
}

// eventView is an event for people.
type eventView struct {
	Position, Kind, Module, Version, Href, Origin, Reason string
	EventHref                                             string
	Hash                                                  string // of the zip, for an add
	Own                                                   bool   // originated here
	Served                                                bool   // the add whose bytes are served here; set on the page of a version only
	Time                                                  template.HTML
}

func (p *pages) eventViews(events []protocol.Logged) []eventView {
	views := make([]eventView, len(events))
	for i := range events {
		e := &events[i]
		views[i] = eventView{
			Position: counted(e.Position), Kind: string(e.Kind), Module: e.Module, Version: e.Version,
			EventHref: p.link("events", strconv.FormatInt(e.Position, 10)),
			Href:      p.versionLink(e.Module, e.Version), Origin: e.Origin, Reason: e.Reason, Hash: e.ZipHash,
			Own: e.Origin == p.Deployment.Name, Time: ago(&e.Time),
		}
	}
	return views
}

type eventsView struct {
	Lead, URL      string
	Action         string
	Kinds          []choice
	Origin, Module string
	Filtered       bool
	Back           string // how far back was looked, if that was not to the beginning
	Events         []eventView
	Empty          bool // the log itself is
	Turns          []turn
}

// eventKinds are the kinds by which events can be listed.
var eventKinds = []struct {
	kind  protocol.Kind
	label string
}{{"", "any"}, {protocol.KindAdd, "add"}, {protocol.KindDeprecate, "deprecate"}, {protocol.KindDelete, "delete"}}

// eventFilter reads which events are to be listed.
func eventFilter(query url.Values) (filter models.EventFilter, kinds []choice, err error) {
	filter = models.EventFilter{Kind: protocol.Kind(query.Get("kind")), Origin: strings.TrimSpace(query.Get("origin")), Module: strings.TrimSpace(query.Get("module"))}
	known := false
	for _, k := range eventKinds {
		kinds = append(kinds, choice{string(k.kind), k.label, k.kind == filter.Kind})
		known = known || k.kind == filter.Kind
	}
	if !known {
		return filter, nil, badRequest("kind=%.100q: not one of add, deprecate, delete", query.Get("kind"))
	}
	for name, text := range map[string]string{"origin": filter.Origin, "module": filter.Module} {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return filter, nil, badRequest("%s=%.100q: neither a NUL nor bytes that are not UTF-8 are in any", name, text)
		}
	}
	return filter, kinds, nil
}

// showEvents shows a page of the log, newest first: all events, or those that a filter lets through.
func (p *pages) showEvents(c buffalo.Context) error {
	query := c.Request().URL.Query()
	before, err := number(query, "before", 0, 1<<62)
	if err != nil {
		return err
	}
	filter, kinds, err := eventFilter(query)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	events, back, err := models.LatestEvents(db, before, filter, perPage)
	if err != nil {
		return err
	}
	to := func(before int64) string {
		parameters := []string{"kind", string(filter.Kind), "origin", filter.Origin, "module", filter.Module}
		if before > 0 {
			parameters = append(parameters, "before", strconv.FormatInt(before, 10))
		}
		return p.pageLink("events", parameters...)
	}
	next := ""
	if back > 1 {
		next = to(back)
	}
	head, err := models.Head(db)
	if err != nil {
		return err
	}
	newest, newer, first := "", "", int64(0)
	if len(events) > 0 {
		first = events[0].Position
	}
	filtered := filter != models.EventFilter{}
	switch {
	case filtered && before > 0:
		newest = to(0) // how many of them are newer nobody knows
	case !filtered && first < head:
		newest = p.link("events")
		newer = newest
		if first+perPage < head { // positions have no gaps
			newer = to(first + perPage + 1)
		}
	}
	turns := newestFirst(newest, newer, next)
	if wantsJSON(c.Request()) {
		list := make([]eventJSON, len(events))
		for i := range events {
			e := &events[i]
			list[i] = eventJSON{
				e.Position, e.Kind, e.Module, e.Version, e.Origin, e.Time.UTC(), e.ZipHash, e.ZipSHA256, e.ZipSize, e.ModHash, e.Reason,
			}
		}
		return p.json(linked(c, turns), http.StatusOK, list)
	}
	view := eventsView{
		URL: p.URL, Action: p.link("events"), Kinds: kinds, Origin: filter.Origin, Module: filter.Module, Filtered: filtered,
		Events: p.eventViews(events), Empty: head == 0, Turns: turns,
	}
	view.Lead = "The log of this deployment, newest first: " + some(head, "event") + ". An event is never changed or removed."
	if filtered && back > 1 {
		view.Back = counted(back)
	}
	if before == 0 && !filtered {
		upToDate(c, topicLog)
	}
	return p.html(c, http.StatusOK, "events", "Events", view)
}

type oneEventView struct {
	Title, VersionHref, Module, Version string
	Facts                               []fact
	Turns                               []turn
}

// showEvent shows one event under an address that it keeps for ever.
func (p *pages) showEvent(c buffalo.Context) error {
	position, err := strconv.ParseInt(c.Param("position"), 10, 64)
	if err != nil || position < 1 {
		return badRequest("%.100q: not a position of the log", c.Param("position"))
	}
	db := p.Deployment.DB.WithContext(c)
	e, err := models.FindEvent(db, position)
	if errors.Is(err, models.ErrNotFound) {
		return notFound("event %d: the log has not come so far", position)
	}
	if err != nil {
		return err
	}
	if wantsJSON(c.Request()) {
		return p.json(c, http.StatusOK, json.RawMessage(bytes.TrimSpace(protocol.AppendLine(nil, e))))
	}
	head, err := models.Head(db)
	if err != nil {
		return err
	}
	logged, err := models.LoggedAt(db, position)
	if err != nil {
		return err
	}
	view := oneEventView{
		Title: "Event " + counted(position), VersionHref: p.versionLink(e.Module, e.Version), Module: e.Module, Version: e.Version,
		Facts: []fact{
			{"Kind", string(e.Kind), false}, {"Origin", e.Origin, false}, {"Logged at its origin", ago(&e.Time), false}, {"Logged here", ago(&logged), false},
		},
	}
	if e.Kind == protocol.KindAdd {
		view.Facts = append(view.Facts, fact{"Size of the zip", sized(e.ZipSize), false}, fact{"Hash of the zip", e.ZipHash, true},
			fact{"SHA-256 of the zip", e.ZipSHA256, true}, fact{"Hash of go.mod", e.ModHash, true}, fact{".info", e.Info, true})
	} else {
		view.Facts = append(view.Facts, fact{"Reason", cmp.Or(e.Reason, "none given"), false})
	}
	newer, older := "", ""
	if position < head {
		newer = p.link("events", strconv.FormatInt(position+1, 10))
	}
	if position > 1 {
		older = p.link("events", strconv.FormatInt(position-1, 10))
	}
	view.Turns = newestFirst("", newer, older)
	return p.html(c, http.StatusOK, "event", view.Title, view)
}
