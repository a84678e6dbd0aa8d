package actions

import (
	"html/template"
	"net/http"
	"strconv"
	"time"

	"github.com/gobuffalo/buffalo"

	"olympus/models"
)

type jobView struct {
	ID, Kind, State, Peer, Attempt, Error string
	Created, Due                          template.HTML
}

type jobsPageView struct {
	Lead                string
	Jobs                []jobView
	FirstHref, NextHref string
}

// unlimited is a number of attempts that is shown as no limit: such a job is never given up.
const unlimited = 10_000

// showJobs shows a page of jobs, newest first.
func (p *pages) showJobs(c buffalo.Context) error {
	before, err := number(c.Request().URL.Query(), "before", 0, 1<<62)
	if err != nil {
		return err
	}
	db := p.Deployment.DB.WithContext(c)
	jobs, err := models.LatestJobs(db, before, perPage)
	if err != nil {
		return err
	}
	next := ""
	if n := len(jobs); n == perPage {
		next = p.pageLink("jobs", "before", strconv.FormatInt(jobs[n-1].ID, 10))
	}
	if wantsJSON(c.Request()) {
		for i := range jobs {
			jobs[i].CreatedAt, jobs[i].ScheduledAt = jobs[i].CreatedAt.UTC(), jobs[i].ScheduledAt.UTC()
		}
		return p.json(linked(c, next), http.StatusOK, jobs)
	}
	waiting, err := models.OldestWaiting(db)
	if err != nil {
		return err
	}
	view := jobsPageView{Lead: "What this deployment does in the background, newest first. ", NextHref: next}
	if waiting > 0 {
		view.Lead += "The longest waiting job has been due for " + roughly(waiting.Round(time.Second)) + "."
	} else {
		view.Lead += "No job is waiting."
	}
	if before > 0 {
		view.FirstHref = p.link("jobs")
	}
	for i := range jobs {
		view.Jobs = append(view.Jobs, newJobView(&jobs[i]))
	}
	return p.html(c, http.StatusOK, "jobs", "Jobs", view)
}

func newJobView(j *models.Job) jobView {
	attempt := counted(int64(j.Attempt))
	if j.MaxAttempts < unlimited {
		attempt += " of " + counted(int64(j.MaxAttempts))
	}
	return jobView{
		ID: counted(j.ID), Kind: j.Kind, State: j.State, Peer: j.Peer, Attempt: attempt, Error: oneLine(j.Error),
		Created: ago(&j.CreatedAt), Due: ago(&j.ScheduledAt),
	}
}
