package actions

import (
	"html/template"
	"net/http"
	"strconv"

	"github.com/gobuffalo/buffalo"

	"olympus/models"
)

// maxAudited is how many changes one page shows.
const maxAudited = 100

// changeView is an administrator's change for people.
type changeView struct {
	Actor, Action, Subject, Href, Detail string
	Time                                 template.HTML
}

type auditView struct {
	Lead    string
	Changes []changeView
	Turns   []turn
}

// showAudit shows a page of what administrators changed, newest first. None of it is secret: peers, their public keys and what the log tells anyway.
func (p *pages) showAudit(c buffalo.Context) error {
	before, err := number(c.Request().URL.Query(), "before", 0, 1<<62)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	trail, err := models.AuditTrail(db, before, maxAudited+1)
	if err != nil {
		return err
	}
	newest, older := "", ""
	if before > 0 {
		newest = p.link("audit")
	}
	if len(trail) > maxAudited {
		trail = trail[:maxAudited]
		older = p.pageLink("audit", "before", strconv.FormatInt(trail[maxAudited-1].ID, 10))
	}
	turns := newestFirst(newest, "", older)
	if wantsJSON(c.Request()) {
		for i := range trail {
			trail[i].Time = trail[i].Time.UTC()
		}
		return p.json(linked(c, turns), http.StatusOK, trail)
	}
	links, err := p.peerLinks(db)
	if err != nil {
		return err
	}
	view := auditView{Lead: "What administrators changed on this deployment, newest first.", Turns: turns}
	for i := range trail {
		a := &trail[i]
		href := links[a.Subject] // a peer
		if path, version, err := moduleVersion(a.Subject); href == "" && err == nil {
			href = p.versionLink(path, version)
		}
		view.Changes = append(view.Changes, changeView{actorWord(a.Actor), a.Action, a.Subject, href, oneLine(a.Detail), ago(&a.Time)})
	}
	return p.html(c, http.StatusOK, "audit", "Audit trail", view)
}

// actorWord says by which way a change came.
func actorWord(by string) string {
	switch by {
	case actorHTTP:
		return "over HTTP"
	case actorBrowser:
		return "in a browser"
	case "task":
		return "by a task"
	}
	return by
}
