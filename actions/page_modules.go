package actions

import (
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/gobuffalo/buffalo"

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

type modulesView struct {
	Action, Prefix, URL string
	Searched            bool
	Versions            []moduleView
	FirstHref, NextHref string
}

// showModules lists the module versions that the log speaks of, those of modules that begin with a prefix.
func (p *pages) showModules(c buffalo.Context) error {
	query := c.Request().URL.Query()
	prefix := strings.TrimSpace(query.Get("prefix"))
	afterModule, afterVersion, _ := strings.Cut(query.Get("after"), "@")
	if strings.ContainsRune(prefix+afterModule+afterVersion, 0) {
		return badRequest("prefix and after cannot hold a NUL")
	}
	if afterModule == "" {
		afterModule = prefix // nothing that begins with it comes earlier
	}
	found, err := models.LatestVersions(p.Deployment.DB.WithContext(c), prefix, afterModule, afterVersion, perPage)
	if err != nil {
		return err
	}
	next := ""
	if n := len(found); n == perPage {
		next = p.pageLink("modules", "prefix", prefix, "after", found[n-1].Module+"@"+found[n-1].Version)
	}
	if wantsJSON(c.Request()) {
		list := make([]versionJSON, len(found))
		for i := range found {
			list[i] = p.newVersionJSON(&found[i])
		}
		return p.json(linked(c, next), http.StatusOK, list)
	}
	view := modulesView{Action: p.link("modules"), Prefix: prefix, URL: p.URL, Searched: prefix != "", NextHref: next}
	if query.Get("after") != "" {
		view.FirstHref = p.link("modules")
		if prefix != "" {
			view.FirstHref = p.pageLink("modules", "prefix", prefix)
		}
	}
	for i := range found {
		view.Versions = append(view.Versions, p.newModuleView(&found[i]))
	}
	return p.html(c, http.StatusOK, "modules", "Modules", view)
}
