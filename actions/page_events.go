package actions

import (
	"html/template"
	"net/http"
	"strconv"
	"time"

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
			Href: p.versionLink(e.Module, e.Version), Origin: e.Origin, Reason: e.Reason, Hash: e.ZipHash,
			Own: e.Origin == p.Deployment.Name, Time: ago(&e.Time),
		}
	}
	return views
}

type eventsView struct {
	Lead, URL string
	Events    []eventView
	Empty     bool // the log itself is
	Turns     []turn
}

// showEvents shows a page of the log, newest first.
func (p *pages) showEvents(c buffalo.Context) error {
	before, err := number(c.Request().URL.Query(), "before", 0, 1<<62)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	events, err := models.LatestEvents(db, before, perPage)
	if err != nil {
		return err
	}
	next := ""
	if n := len(events); n == perPage && events[n-1].Position > 1 {
		next = p.pageLink("events", "before", strconv.FormatInt(events[n-1].Position, 10))
	}
	if wantsJSON(c.Request()) {
		list := make([]eventJSON, len(events))
		for i := range events {
			e := &events[i]
			list[i] = eventJSON{
				e.Position, e.Kind, e.Module, e.Version, e.Origin, e.Time.UTC(), e.ZipHash, e.ZipSHA256, e.ZipSize, e.ModHash, e.Reason,
			}
		}
		return p.json(linked(c, next), http.StatusOK, list)
	}
	head, err := models.Head(db)
	if err != nil {
		return err
	}
	view := eventsView{URL: p.URL, Events: p.eventViews(events), Empty: head == 0}
	view.Lead = "The log of this deployment, newest first: " + some(head, "event") + ". An event is never changed or removed."
	newest, newer, first := "", "", int64(0)
	if len(events) > 0 {
		first = events[0].Position
	}
	if first < head {
		newest = p.link("events")
		newer = newest
		if to := first + perPage; to < head { // positions have no gaps
			newer = p.pageLink("events", "before", strconv.FormatInt(to+1, 10))
		}
	}
	view.Turns = newestFirst(newest, newer, next)
	return p.html(c, http.StatusOK, "events", "Events", view)
}
