package actions

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"github.com/gobuffalo/buffalo"
)

// perPage is how many events, versions or jobs one page shows.
const perPage = 50

// turn is a way from one page of a listing to another. Rel says which way, as in HTML, which has no word for the way to the first page.
type turn struct{ Label, Rel, Href string }

// turns are the ways that there are: those with an address.
func turns(all ...turn) []turn {
	var there []turn
	for _, t := range all {
		if t.Href != "" {
			there = append(there, t)
		}
	}
	return there
}

// newestFirst are the ways through a listing that begins with what is newest.
func newestFirst(newest, newer, older string) []turn {
	return turns(turn{"Newest", "", newest}, turn{"Newer", "prev", newer}, turn{"Older", "next", older})
}

// pageLink is the address of a section with parameters, given as names and values. Those without a value are left out.
func (p *pages) pageLink(section string, parameters ...string) string {
	query := url.Values{}
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			query.Set(parameters[i], parameters[i+1])
		}
	}
	if len(query) == 0 {
		return p.link(section)
	}
	return p.link(section) + "?" + query.Encode()
}

// linked names the other pages of a listing to a client that reads JSON (RFC 8288), the next one first.
func linked(c buffalo.Context, all []turn) buffalo.Context {
	var links []string
	for _, t := range slices.Backward(all) {
		links = append(links, "<"+t.Href+`>; rel="`+cmp.Or(t.Rel, "first")+`"`)
	}
	if links != nil {
		c.Response().Header().Set("Link", strings.Join(links, ", "))
	}
	return c
}
