package actions

import (
	"html/template"
	"net/http"
	"strings"

	"github.com/gobuffalo/buffalo"

	"olympus/internal/peer"
)

// explanations is how many versions this process explains at a time with the help of its peers.
const explanations = 4

type explanationView struct {
	Module, Version, VersionHref string
	Lead                         string
	Lives                        []lifeView
}

// lifeView is the life of a version at one deployment for people.
type lifeView struct {
	Deployment, State string
	Here, Held        bool
	Reason, Error     string
	Steps             []stepView
}

type stepView struct {
	What, Says string
	Time       template.HTML
}

// showExplanation tells the life of a version, here and at each peer. A peer that asks is told of the life here alone: nobody asks on.
func (p *pages) showExplanation(c buffalo.Context) error {
	path, version, err := moduleVersion(c.Param("version"))
	if err != nil {
		return err
	}
	var lives []peer.Life
	if readerOf(c.Request().Context()) != "" || c.Param("here") == "true" {
		life, err := p.Deployment.Explain(c, path, version)
		if err != nil {
			return err
		}
		lives = []peer.Life{*life}
	} else {
		leave, err := p.explanations.Enter(c)
		if err != nil {
			return tooMany("too many versions are being explained")
		}
		defer leave()
		if lives, err = p.Deployment.ExplainEverywhere(c, path, version, false); err != nil {
			return err
		}
	}
	if wantsJSON(c.Request()) {
		return p.json(c, http.StatusOK, peer.Explanation{Module: path, Version: version, Deployments: lives})
	}
	view := explanationView{Module: path, Version: version, VersionHref: p.versionLink(path, version), Lead: lives[0].Reason}
	if view.Lead == "" {
		view.Lead = "All is well with it here: its zip is held, and served."
	}
	for i := range lives {
		view.Lives = append(view.Lives, newLifeView(&lives[i], i == 0))
	}
	if lives[0].State == peer.StateUnknown {
		view.VersionHref = ""
	}
	return p.html(c, http.StatusOK, "explain", path+"@"+version+" explained", view)
}

// explainLink is the address of the page that explains a version.
func (p *pages) explainLink(path, version string) string {
	return strings.Replace(p.versionLink(path, version), "/modules/", "/explain/", 1)
}

func newLifeView(l *peer.Life, here bool) lifeView {
	view := lifeView{Deployment: l.Deployment, State: l.State, Here: here, Held: l.Held, Error: oneLine(l.Error)}
	if !here { // of this one it is the first sentence of the page
		view.Reason = l.Reason
	}
	for i := range l.Steps {
		s := &l.Steps[i]
		view.Steps = append(view.Steps, stepView{s.What, s.Says, ago(&s.At)})
	}
	return view
}
