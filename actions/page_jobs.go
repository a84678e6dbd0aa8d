package actions

import (
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/pop/v6"

	"olympus/models"
)

type jobView struct {
	ID, Kind, State, About, AboutHref, Peer, PeerHref, Attempt, Error string
	Created, Due                                                      template.HTML
	Href                                                              string
	CanRetry, CanDiscard                                              bool
}

type jobsPageView struct {
	Lead  string
	Jobs  []jobView
	Turns []turn
}

// unlimited is a number of attempts that is shown as no limit: such a job is never given up.
const unlimited = 10_000

// showJobs shows a page of jobs, newest first.
func (p *pages) showJobs(c buffalo.Context) error {
	query := c.Request().URL.Query()
	before, err := number(query, "before", 0, 1<<62)
	if err != nil {
		return err
	}
	after, err := number(query, "after", 0, 1<<62)
	if err != nil {
		return err
	}
	if before > 0 && after > 0 {
		return badRequest("before and after cannot both be given")
	}
	db := p.Deployment.DB.WithContext(c)
	jobs, newer, older, err := jobsPage(db, before, after)
	if err != nil {
		return err
	}
	next := ""
	if older > 0 {
		next = p.pageLink("jobs", "before", strconv.FormatInt(older, 10))
	}
	turns := newestFirst("", "", next)
	if newer > 0 {
		turns = newestFirst(p.link("jobs"), p.pageLink("jobs", "after", strconv.FormatInt(newer, 10)), next)
	}
	if wantsJSON(c.Request()) {
		for i := range jobs {
			jobs[i].CreatedAt, jobs[i].ScheduledAt = jobs[i].CreatedAt.UTC(), jobs[i].ScheduledAt.UTC()
		}
		return p.json(linked(c, turns), http.StatusOK, jobs)
	}
	waiting, err := models.OldestWaiting(db)
	if err != nil {
		return err
	}
	links, err := p.peerLinks(db)
	if err != nil {
		return err
	}
	view := jobsPageView{Lead: "What this deployment does in the background, newest first. ", Turns: turns}
	if waiting > 0 {
		view.Lead += "The longest waiting job has been due for " + roughly(waiting.Round(time.Second)) + "."
	} else {
		view.Lead += "No job is overdue."
	}
	for i := range jobs {
		view.Jobs = append(view.Jobs, p.newJobView(&jobs[i], links))
	}
	if before == 0 && after == 0 {
		upToDate(c, topicJobs)
	}
	return p.html(c, http.StatusOK, "jobs", "Jobs", view)
}

// jobsPage returns a page of jobs, and the ids that newer ones come after and older ones before, 0 where there are none. Newer than an
// id there may be less than a page: then it is the newest page.
func jobsPage(db *pop.Connection, before, after int64) (jobs []models.Job, newer, older int64, err error) {
	if after > 0 {
		if jobs, err = models.NewerJobs(db, after, perPage+1); err != nil {
			return nil, 0, 0, err
		}
		if len(jobs) > perPage {
			jobs = jobs[1:]
			return jobs, jobs[0].ID, jobs[perPage-1].ID, nil
		}
	}
	if jobs, err = models.LatestJobs(db, before, perPage+1); err != nil {
		return nil, 0, 0, err
	}
	if len(jobs) > perPage {
		jobs = jobs[:perPage]
		older = jobs[perPage-1].ID
	}
	if before > 0 {
		newer = max(before-1, 1)
		if len(jobs) > 0 {
			newer = jobs[0].ID
		}
	}
	return jobs, newer, older, nil
}

// newJobView shows a job. links are the addresses of the peers that there are.
func (p *pages) newJobView(j *models.Job, links map[string]string) jobView {
	attempt := counted(int64(j.Attempt))
	if j.MaxAttempts < unlimited {
		attempt += " of " + counted(int64(j.MaxAttempts))
	}
	about, href := p.aboutJob(j)
	return jobView{
		ID: counted(j.ID), Kind: j.Kind, State: j.State, About: about, AboutHref: href, Peer: j.Peer, PeerHref: links[j.Peer], Attempt: attempt, Error: oneLine(j.Error),
		Created: ago(&j.CreatedAt), Due: ago(&j.ScheduledAt), Href: p.link("jobs", strconv.FormatInt(j.ID, 10)),
		CanRetry:   j.State == "retryable" || j.State == "discarded" || j.State == "cancelled",
		CanDiscard: j.State == "retryable" || j.State == "available" || j.State == "scheduled" || j.State == "running",
	}
}

// aboutJob says in words what a job is about, and where that is shown; nothing for one that is about what is due.
func (p *pages) aboutJob(j *models.Job) (about, href string) {
	switch {
	case j.Module != "" && j.Version != "":
		return j.Module + "@" + j.Version, p.versionLink(j.Module, j.Version)
	case j.First > 0 && j.First == j.Last:
		return "event " + counted(j.First), p.link("events", strconv.FormatInt(j.First, 10))
	case j.First > 0:
		return "events " + counted(j.First) + " to " + counted(j.Last), p.link("events", strconv.FormatInt(j.First, 10))
	}
	return "", ""
}
