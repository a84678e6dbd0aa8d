package actions

import (
	"html/template"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

// versionJSON is a module version for machines, in a listing.
type versionJSON struct {
	Module    string `json:"module"`
	Version   string `json:"version"`
	State     string `json:"state"`
	Held      bool   `json:"held"`
	Location  string `json:"location"`
	LastError string `json:"last_error"` // of fetching the zip
}

// newVersionJSON describes a version. Its location is the deployment whose zip would be served: our own name when it is held, else the
// origin of the add, nothing when there is nothing to serve.
func (p *pages) newVersionJSON(v *models.Version) versionJSON {
	location := ""
	switch {
	case v.Held:
		location = p.Deployment.Name
	case v.Known():
		location = v.Origin
	}
	return versionJSON{
		Module: v.Module, Version: v.Version, State: v.State(), Held: v.Held, Location: location, LastError: v.FetchError,
	}
}

// moduleView is a line of the list of versions.
type moduleView struct {
	Module, Version, Href, State, Zip, ZipClass, Size, Origin, Error string
	Conflict                                                         bool
	Time                                                             template.HTML
}

func (p *pages) newModuleView(v *models.Version) moduleView {
	view := moduleView{
		Module: v.Module, Version: v.Version, Href: p.versionLink(v.Module, v.Version), State: v.State(),
		Size: sized(v.ZipSize), Origin: v.Origin, Conflict: v.Conflict,
	}
	if v.Origin == p.Deployment.Name {
		view.Origin = "here"
	}
	if v.AddPosition != 0 {
		view.Time = ago(&v.Time)
	}
	view.Zip, view.ZipClass = zipWord(v)
	if view.ZipClass == "bad" {
		view.Error = oneLine(v.FetchError)
	}
	return view
}

// zipWord says where the zip of a version is, with a class for its colour.
func zipWord(v *models.Version) (word, class string) {
	switch {
	case v.Deleted && v.Held:
		return "being removed", "note"
	case v.Deleted:
		return "barred", "plain"
	case v.Held:
		return "held", "good"
	case v.AddPosition == 0:
		return "unknown", "plain"
	case v.FetchLeasedUntil != nil && time.Now().Before(*v.FetchLeasedUntil):
		return "downloading", "note"
	case v.FetchError != "":
		return "failed", "bad"
	}
	return "remote", "plain"
}

// versionStates are the states by which versions can be listed: the word for the choice, and what the list is then of.
var versionStates = []struct{ state, label, lead string }{
	{"", "any", "Every module version that an event of the log speaks of, and where its zip is."},
	{models.VersionHeld, "held", "The module versions whose zips are stored here."},
	{models.VersionRemote, "remote", "The module versions whose zips are not stored here, those that could not be fetched included."},
	{models.VersionFailed, "failed", "The module versions whose zips could not be fetched when last tried."},
	{models.VersionConflict, "in conflict", "The module versions that are known with different bytes."},
	{models.VersionDeprecated, "deprecated", "The module versions that are left out of lists, and still served to who asks for them by version."},
	{models.VersionDeleted, "deleted", "The module versions that are barred for good."},
}

type modulesView struct {
	Action, URL, Lead string
	State, Prefix     string
	Contains          string
	Unfinished        string // where a search in the middle of paths has come to, if not to the end
	States            []choice
	Searched          bool // by prefix or state
	Later             bool // not the first page
	Versions          []moduleView
	Turns             []turn
}

// choice is one entry of a list to choose from.
type choice struct {
	Value, Label string
	Chosen       bool
}

// newModulesView is the page without its versions.
func (p *pages) newModulesView(state, prefix, contains string) (modulesView, error) {
	view := modulesView{
		Action: p.link("modules"), URL: p.URL, State: state, Prefix: prefix, Contains: contains, Searched: prefix != "" || state != "" || contains != "",
	}
	var words []string
	for _, s := range versionStates {
		view.States = append(view.States, choice{s.state, s.label, s.state == state})
		if s.state == state {
			view.Lead = s.lead
		}
		if s.state != "" {
			words = append(words, s.state)
		}
	}
	if view.Lead == "" {
		return view, badRequest("state=%.100q: not one of %s", state, strings.Join(words, ", "))
	}
	return view, nil
}

// versionsPage returns a page of versions: after or before module@version if given, else the first. earlier says whether there
// are some before it, and last is its last one if there are more. Before a version there may be less than a page: then it is the first page.
func versionsPage(db *pop.Connection, state, prefix, after, before string) (found []models.Version, earlier bool, last *models.Version, err error) {
	page := models.VersionPage{State: state, Prefix: prefix, Limit: perPage + 1}
	if before != "" {
		page.Before = true
		page.Module, page.Version, _ = strings.Cut(before, "@")
		if found, err = models.LatestVersions(db, page); err != nil {
			return nil, false, nil, err
		}
		if len(found) > perPage {
			return found[1:], true, &found[len(found)-1], nil
		}
		page.Before = false
	}
	page.Module, page.Version, _ = strings.Cut(after, "@")
	if page.Module == "" {
		page.Module = prefix // nothing that begins with it comes earlier
	}
	if found, err = models.LatestVersions(db, page); err != nil {
		return nil, false, nil, err
	}
	if len(found) > perPage {
		found = found[:perPage]
		last = &found[perPage-1]
	}
	return found, after != "", last, nil
}

// searchPatience is how long a search goes on that no index knows the answer of; the page then says where it has come to.
const searchPatience = time.Second

// searchPage returns a page of versions whose module paths contain a text, after module@version if given.
func searchPage(db *pop.Connection, state, prefix, contains, after string) ([]models.Version, *models.Version, error) {
	page := models.VersionPage{State: state, Prefix: prefix, Limit: perPage}
	if page.Module, page.Version, _ = strings.Cut(after, "@"); page.Module == "" {
		page.Module = prefix
	}
	return models.SearchVersions(db, page, contains, searchPatience)
}

// nextWord is what the way on is called: after a search that has not come to the end there need be no page.
func nextWord(unfinished string) string {
	if unfinished != "" {
		return "Search on"
	}
	return "Next page"
}

// showModules lists the module versions that the log speaks of, those in a state and of modules that begin with a prefix.
func (p *pages) showModules(c buffalo.Context) error {
	query := c.Request().URL.Query()
	state, prefix, after, before := query.Get("state"), strings.TrimSpace(query.Get("prefix")), query.Get("after"), query.Get("before")
	contains := strings.TrimSpace(query.Get("contains"))
	view, err := p.newModulesView(state, prefix, contains)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"prefix": prefix, "contains": contains, "after": after, "before": before} {
		if strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return badRequest("%s=%.100q: neither a NUL nor bytes that are not UTF-8 are in any module path", name, text)
		}
	}
	if after != "" && before != "" {
		return badRequest("after and before cannot both be given")
	}
	if contains != "" && before != "" {
		return badRequest("before and contains cannot both be given: such a search goes forth only")
	}
	db := p.Deployment.DB.WithContext(c)
	var found []models.Version
	var last *models.Version // on this page, if there may be more after it
	earlier := after != ""
	if contains != "" {
		found, last, err = searchPage(db, state, prefix, contains, after)
	} else {
		found, earlier, last, err = versionsPage(db, state, prefix, after, before)
	}
	if err != nil {
		return err
	}
	next := ""
	if last != nil {
		next = p.pageLink("modules", "state", state, "prefix", prefix, "contains", contains, "after", last.Module+"@"+last.Version)
		if contains != "" && len(found) < perPage {
			view.Unfinished = last.Module
		}
	}
	first, previous := "", ""
	if earlier {
		first = p.pageLink("modules", "state", state, "prefix", prefix, "contains", contains)
		if contains == "" {
			previous = first
		}
		if len(found) > 0 && contains == "" {
			previous = p.pageLink("modules", "state", state, "prefix", prefix, "before", found[0].Module+"@"+found[0].Version)
		}
	}
	view.Later = earlier
	view.Turns = turns(turn{"First page", "", first}, turn{"Previous page", "prev", previous}, turn{nextWord(view.Unfinished), "next", next})
	if wantsJSON(c.Request()) {
		list := make([]versionJSON, len(found))
		for i := range found {
			list[i] = p.newVersionJSON(&found[i])
		}
		return p.json(linked(c, view.Turns), http.StatusOK, list)
	}
	for i := range found {
		view.Versions = append(view.Versions, p.newModuleView(&found[i]))
	}
	return p.html(c, http.StatusOK, "modules", "Modules", view)
}
