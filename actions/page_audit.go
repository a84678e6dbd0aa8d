package actions

import (
	"fmt"
	"html/template"
	"net/http"

	"github.com/gobuffalo/buffalo"

	"olympus/models"
)

// maxAudited is how many changes are shown, the newest ones. The table has all of them.
const maxAudited = 100

// changeView is an administrator's change for people.
type changeView struct {
	Actor, Action, Subject, Href, Detail string
	Time                                 template.HTML
}

type auditView struct {
	Lead    string
	Changes []changeView
}

// showAudit shows what administrators changed last. None of it is secret: peers, their public keys and what the log tells anyway.
func (p *pages) showAudit(c buffalo.Context) error {
	db := p.Deployment.DB.WithContext(c)
	trail, err := models.AuditTrail(db, maxAudited)
	if err != nil {
		return err
	}
	if wantsJSON(c.Request()) {
		for i := range trail {
			trail[i].Time = trail[i].Time.UTC()
		}
		return p.json(c, http.StatusOK, trail)
	}
	links, err := p.peerLinks(db)
	if err != nil {
		return err
	}
	view := auditView{Lead: "What administrators changed on this deployment, newest first."}
	if len(trail) == maxAudited {
		view.Lead += fmt.Sprintf(" These are the last %d changes; the table audit has all of them.", maxAudited)
	}
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
