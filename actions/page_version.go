package actions

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/gobuffalo/buffalo"
	"golang.org/x/mod/module"

	"olympus/internal/download"
	"olympus/internal/protocol"
	"olympus/models"
)

// moduleVersion reads {module}@{version} of a path. Upper case may be written with the escapes of the download protocol, as peers do,
// or plainly, as people do; no valid path or version can be read in both ways.
func moduleVersion(text string) (path, version string, err error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return "", "", notFound("%s: not of the form module@version", text)
	}
	path, version = text[:at], text[at+1:]
	if plain, err := module.UnescapePath(path); err == nil {
		path = plain
	}
	if plain, err := module.UnescapeVersion(version); err == nil {
		version = plain
	}
	switch {
	case len(path) > protocol.MaxPathBytes:
		return "", "", badRequest("the module path is longer than %d bytes", protocol.MaxPathBytes)
	case len(version) > protocol.MaxVersionBytes:
		return "", "", badRequest("the version is longer than %d bytes", protocol.MaxVersionBytes)
	}
	if err := module.Check(path, version); err != nil {
		return "", "", badRequest("%v", err)
	}
	if module.CanonicalVersion(version) != version {
		return "", "", badRequest("%s: %q is not a canonical version", path, version)
	}
	return path, version, nil
}

// versionEventsJSON is a module version with its events. Each is exactly as in the log, for a peer that merges them.
type versionEventsJSON struct {
	versionJSON
	Events []json.RawMessage `json:"events"`
}

// showVersion shows what the log says of one version. Peers ask for it before a miss of theirs goes upstream.
func (p *pages) showVersion(c buffalo.Context) error {
	text := c.Param("version")
	if strings.HasSuffix(text, "/deprecate") || strings.HasSuffix(text, "/delete") {
		return notAllowed(c.Response(), c.Request(), http.MethodPost)
	}
	path, version, err := moduleVersion(text)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	v, err := models.FindVersion(db, path, version)
	if errors.Is(err, models.ErrNotFound) {
		return notFound("%s@%s: no event of the log speaks of it", path, version)
	}
	if err != nil {
		return err
	}
	events, err := models.EventsOf(db, path, version)
	if err != nil {
		return err
	}
	if wantsJSON(c.Request()) {
		answer := versionEventsJSON{p.newVersionJSON(v), make([]json.RawMessage, len(events))}
		for i := range events {
			answer.Events[i] = bytes.TrimSpace(protocol.AppendLine(nil, &events[i]))
		}
		return p.json(c, http.StatusOK, answer)
	}
	view := p.newVersionView(v, events)
	if v.Known() {
		if view.GoMod, err = p.newGoModView(db, v.Mod); err != nil {
			return err
		}
	}
	return p.html(c, http.StatusOK, "version", path+"@"+version, view)
}

type versionView struct {
	Module, Version, ModuleHref, Href string
	ModulesHref                       string
	State, Sentence                   string
	Conflict                          bool
	Served                            bool
	CanFetch, CanDeprecate, CanDelete bool
	InfoHref, ModHref, ZipHref        string
	ExplainHref                       string
	Facts                             []fact
	Troubles                          []trouble
	GoMod                             *goModView
	ProofHref, CheckpointHref         string // of the log as a checksum database, while the version is served
	Leaf                              string
	Events                            []eventView
}

// fact is one line of a list of facts. Value is a string or template.HTML.
type fact struct {
	Label string
	Value any
	Code  bool
}

func (p *pages) newVersionView(v *models.Version, events []protocol.Logged) versionView {
	view := versionView{
		Module: v.Module, Version: v.Version, Href: p.versionLink(v.Module, v.Version), ModuleHref: p.pageLink("modules", "prefix", v.Module),
		ModulesHref: p.link("modules"), ExplainHref: p.explainLink(v.Module, v.Version),
		State: v.State(), Sentence: p.whereabouts(v), Conflict: v.Conflict,
		Served: v.Known(), CanFetch: v.Known() && !v.Held, CanDeprecate: !v.Deprecated && !v.Deleted, CanDelete: !v.Deleted,
		Events: p.eventViews(events),
	}
	for i := range events {
		view.Events[i].Served = v.Known() && events[i].Position == v.AddPosition
	}
	for _, file := range []struct {
		ext  download.Ext
		href *string
	}{{download.Info, &view.InfoHref}, {download.Mod, &view.ModHref}, {download.Zip, &view.ZipHref}} {
		*file.href = p.base + download.Request{Module: v.Module, Version: v.Version, Ext: file.ext}.Path()
	}
	if v.Known() {
		view.Leaf = counted(v.AddPosition - 1) // leaves are numbered from 0
		view.ProofHref = p.link("sumdb", p.Deployment.Name, "lookup") + strings.TrimPrefix(p.versionLink(v.Module, v.Version), p.link("modules"))
		view.CheckpointHref = p.link("checkpoint")
	}
	if v.AddPosition != 0 {
		view.Facts = append(view.Facts,
			fact{"Added", ago(&v.Time), false}, fact{"Origin", v.Origin, false}, fact{"Size of the zip", sized(v.ZipSize), false},
			fact{"Hash of the zip", v.ZipHash, true}, fact{"SHA-256 of the zip", v.ZipSHA256, true}, fact{"Hash of go.mod", v.ModHash, true})
	} else {
		view.Facts = append(view.Facts, fact{"Added", "never: no deployment in reach has reported its bytes", false})
	}
	if v.Conflict {
		view.Troubles = append(view.Troubles, trouble{
			Level: "bad", Text: "It was added more than once, with different bytes. The facts below are of those served here.",
			Detail: "Compare the events below. If it cannot be trusted, delete it: that bars it on every deployment.",
		})
	}
	if v.FetchError != "" && !v.Held && !v.Deleted {
		t := trouble{Level: "bad", Text: "Its zip could not be fetched in " + some(int64(v.FetchAttempts), "attempt") + "."}
		if v.FetchErrorAt != nil {
			view.Facts = append(view.Facts, fact{"Last failed", ago(v.FetchErrorAt), false})
		}
		view.Facts = append(view.Facts, fact{"Next try", p.nextTry(v, time.Now()), false})
		t.Detail = oneLine(v.FetchError)
		view.Troubles = append(view.Troubles, t)
	}
	return view
}

// whereabouts says in a sentence what is served of a version, and from where.
func (p *pages) whereabouts(v *models.Version) string {
	from := "a peer that holds it"
	if v.Origin != p.Deployment.Name { // else it has been lost here
		from = v.Origin + " or any peer that holds it"
	}
	switch {
	case v.Deleted:
		return "Barred for good: it is not served, and upstream is not asked for it."
	case v.AddPosition == 0:
		return "Nothing is served: the log knows only that it is deprecated."
	case v.Held:
		return "Its zip is held here."
	case !p.Deployment.FetchLazy:
		return "Its zip is not here yet: it is fetched from " + from + "."
	case p.Redirect:
		return "Its zip is not here: clients that ask for it are sent to " + from + "."
	}
	return "Its zip is not here: it is fetched from " + from + " when a client asks for it."
}

// nextTry says when the zip of a version that could not be fetched is tried again.
func (p *pages) nextTry(v *models.Version, now time.Time) any {
	switch {
	case v.FetchLeasedUntil != nil && now.Before(*v.FetchLeasedUntil):
		return "under way"
	case p.Deployment.FetchLazy:
		return "when a client asks for it"
	case v.FetchDueAt != nil && now.Before(*v.FetchDueAt):
		return ago(v.FetchDueAt)
	}
	return "due now"
}
