package actions

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobuffalo/buffalo"

	"olympus/internal/signature"
	"olympus/models"
)

// deploymentStatus is what a deployment says of its state.
type deploymentStatus struct {
	Name          string                `json:"name"`
	URL           string                `json:"url"`
	Head          int64                 `json:"head"`
	Versions      *models.VersionCounts `json:"versions"`
	Conflicts     int64                 `json:"conflicts"`
	Jobs          []models.JobCount     `json:"jobs"`
	OldestWaiting float64               `json:"oldest_waiting_seconds"` // how long the longest waiting job has been due
}

func (p *pages) readStatus(ctx context.Context) (*deploymentStatus, error) {
	db := p.Deployment.DB.WithContext(ctx)
	s := &deploymentStatus{Name: p.Deployment.Name, URL: p.URL}
	var err error
	if s.Head, err = models.Head(db); err != nil {
		return nil, err
	}
	if s.Versions, err = models.CountVersions(db); err != nil {
		return nil, err
	}
	s.Conflicts = s.Versions.Conflicts
	if s.Jobs, err = models.CountJobs(db); err != nil {
		return nil, err
	}
	waiting, err := models.OldestWaiting(db)
	s.OldestWaiting = math.Round(waiting.Seconds()*1000) / 1000
	return s, err
}

type dashboardView struct {
	Name, URL, Key, Fingerprint string
	Health, Verdict             string
	Federation                  string // a class for what Sentences say of the peers
	Sentences                   []string
	Picture                     *pictureView
	Troubles                    []trouble
	Alarms, AlarmsHref          string
	Figures                     []figure
	Peers                       []peerView
	Events                      []eventView
	Jobs                        []jobsView
	Waiting                     string
	EventsHref, JobsHref        string
}

// figure is one number of the dashboard. Href leads to a list of what was counted.
type figure struct{ Label, Value, Note, Class, Href string }

type jobsView struct{ Kind, State, Count string }

const (
	// newestEvents is how many events the dashboard shows.
	newestEvents = 10
	// shownTroubles is how many troubles it shows, the worst ones.
	shownTroubles = 6
)

// status is the state of the deployment for machines: whoever does not ask for a page gets JSON.
func (p *pages) status(c buffalo.Context) error {
	if wantsStatusPage(c.Request()) {
		return p.dashboard(c)
	}
	s, err := p.readStatus(c)
	if err != nil {
		return err
	}
	return p.json(c, http.StatusOK, s)
}

func wantsStatusPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// dashboard shows the state of the deployment on one page: what needs attention first.
func (p *pages) dashboard(c buffalo.Context) error {
	s, err := p.readStatus(c)
	if err != nil {
		return err
	}
	if wantsJSON(c.Request()) {
		return p.json(c, 200, s)
	}
	db := p.Deployment.DB.WithContext(c)
	peers, err := models.Peers(db)
	if err != nil {
		return err
	}
	queued, err := models.QueuedPushes(db)
	if err != nil {
		return err
	}
	events, _, err := models.LatestEvents(db, 0, models.EventFilter{}, newestEvents)
	if err != nil {
		return err
	}
	lost, err := models.PushesGivenUp(db)
	if err != nil {
		return err
	}
	lags, err := models.LagOfDay(db, "", sparkStep)
	if err != nil {
		return err
	}
	// Of those that wait for approval a note is enough: they may be many, and anybody.
	known := slices.DeleteFunc(slices.Clone(peers), func(peer models.Peer) bool { return peer.State == models.PeerPending })
	key, now := p.Deployment.Signer.VerifierKey(), time.Now()
	federation, sentences := federation(known, queued, p.Deployment.PullInterval, now)
	view := dashboardView{
		Name: s.Name, URL: s.URL, Key: key, Fingerprint: signature.Fingerprint(key),
		Federation: federation, Sentences: sentences,
		Picture:  p.newPicture(strings.Join(sentences, " "), s.Head, known, queued, now),
		Troubles: p.troubles(s, peers, lost, now),
		Figures:  p.figures(s),
		Peers:    p.peerViews(known, queued, lags),
		Events:   p.eventViews(events),
		Waiting:  "None is overdue.", EventsHref: p.link("events"), JobsHref: p.link("jobs"),
	}
	view.Health, view.Verdict = verdict(view.Troubles)
	if n := len(view.Troubles); n > 0 {
		view.Alarms, view.AlarmsHref = "All "+some(int64(n), "alarm")+", with what to do", p.link("alarms")
		if n == 1 {
			view.Alarms = "The alarm, with what to do"
		}
		view.Troubles = view.Troubles[:min(n, shownTroubles)]
	}
	for _, j := range s.Jobs {
		view.Jobs = append(view.Jobs, jobsView{j.Kind, j.State, counted(j.Count)})
	}
	if s.OldestWaiting > 0 {
		view.Waiting = "The longest waiting one has been due for " + roughly(time.Duration(s.OldestWaiting*float64(time.Second))) + "."
	}
	upToDate(c, topicLog, topicPeers, topicJobs, topicAlarms)
	return p.html(c, 200, "dashboard", "Overview", view)
}

func (p *pages) figures(s *deploymentStatus) []figure {
	// in counts versions in a state. warning is the class of a number that is not 0.
	in := func(state, label string, n int64, note, warning string) figure {
		f := figure{Label: label, Value: counted(n), Note: note, Class: "none"}
		if n > 0 {
			f.Class, f.Href = warning, p.pageLink("modules", "state", state)
		}
		return f
	}
	v := s.Versions
	return []figure{
		{Label: "Head", Value: counted(s.Head), Note: "events in the log"},
		in(models.VersionHeld, "Held", v.Held, "zips stored here", ""),
		in(models.VersionRemote, "Remote", v.Remote, "zips not here", ""),
		in(models.VersionFailed, "Failed", v.Failed, "fetches that failed", "bad"),
		in(models.VersionDeprecated, "Deprecated", v.Deprecated, "left out of lists", ""),
		in(models.VersionDeleted, "Deleted", v.Deleted, "barred for good", ""),
		in(models.VersionConflict, "Conflicts", s.Conflicts, "two sets of bytes", "bad"),
	}
}
