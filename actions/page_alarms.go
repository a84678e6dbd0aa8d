package actions

import (
	"html/template"
	"net/http"
	"time"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

const (
	// shownItems is how many versions of an alarm are shown; a link leads to all.
	shownItems = 10
	// shownError is how much of the error of each is shown, in characters; the page of the version has the whole.
	shownError = 500
)

// alarmJSON is an alarm for machines.
type alarmJSON struct {
	Kind     string         `json:"kind"`
	Level    string         `json:"level"` // bad or note
	Text     string         `json:"text"`
	Detail   string         `json:"detail,omitempty"`
	Next     string         `json:"next"`
	Peer     string         `json:"peer,omitempty"`
	Evidence []string       `json:"evidence,omitempty"`
	Versions []alarmVersion `json:"versions,omitempty"` // the first of them
}

// alarmVersion is a version that an alarm is about.
type alarmVersion struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Attempts int    `json:"attempts,omitempty"` // to fetch its zip
	Error    string `json:"error,omitempty"`    // of the last one
}

type alarmView struct {
	trouble
	Evidence []string
	Versions []alarmVersionView
}

type alarmVersionView struct {
	Module, Version, Href, Attempts, Error string
	At                                     template.HTML
}

type alarmsView struct {
	Lead   string
	Alarms []alarmView
}

// showAlarms shows all that needs somebody, the worst first, with what to do about it.
func (p *pages) showAlarms(c buffalo.Context) error {
	s, err := p.readStatus(c)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	peers, err := models.Peers(db)
	if err != nil {
		return err
	}
	lost, err := models.PushesGivenUp(db)
	if err != nil {
		return err
	}
	evidence := make(map[string][]string)
	for i := range peers {
		evidence[peers[i].Name] = peers[i].Evidence()
	}
	troubles := p.troubles(s, peers, lost, time.Now())
	view, list := alarmsView{}, make([]alarmJSON, 0, len(troubles))
	for _, t := range troubles {
		versions, err := alarmVersions(db, t.Kind)
		if err != nil {
			return err
		}
		alarm := alarmView{trouble: t}
		forMachines := alarmJSON{Kind: t.Kind, Level: t.Level, Text: t.Text, Detail: t.Detail, Next: t.Next, Peer: t.Peer}
		if t.Kind == troubleQuarantine {
			alarm.Evidence, forMachines.Evidence = evidence[t.Peer], evidence[t.Peer]
		}
		for i := range versions {
			v := &versions[i]
			attempts := ""
			if t.Kind == troubleFetches {
				attempts = some(int64(v.FetchAttempts), "attempt")
			}
			alarm.Versions = append(alarm.Versions, alarmVersionView{
				v.Module, v.Version, p.versionLink(v.Module, v.Version), attempts, shortened(oneLine(v.FetchError), shownError), ago(v.FetchErrorAt),
			})
			forMachines.Versions = append(forMachines.Versions, alarmVersion{v.Module, v.Version, v.FetchAttempts, v.FetchError})
		}
		view.Alarms, list = append(view.Alarms, alarm), append(list, forMachines)
	}
	if wantsJSON(c.Request()) {
		return p.json(c, http.StatusOK, list)
	}
	view.Lead = "What needs somebody, the worst first: " + some(int64(len(troubles)), "alarm") + "."
	if len(troubles) == 0 {
		view.Lead = "What needs somebody is listed here."
	}
	upToDate(c, topicLog, topicPeers, topicJobs, topicAlarms)
	return p.html(c, http.StatusOK, "alarms", "Alarms", view)
}

// alarmVersions are the first of the versions that an alarm of a kind is about.
func alarmVersions(db *pop.Connection, kind string) ([]models.Version, error) {
	switch kind {
	case troubleConflicts:
		return models.LatestVersions(db, models.VersionPage{State: models.VersionConflict, Limit: shownItems})
	case troubleFetches:
		return models.MostFailed(db, shownItems)
	}
	return nil, nil
}
