package grifts

import (
	"errors"

	"olympus/models"
	"olympus/worker"
)

func syncTasks() []task {
	return []task{
		{namespace: "sync", name: "pull", args: "[NAME]", most: 1, run: pull,
			does: "take the logs of all active peers, or of one, up to their heads, now"},
	}
}

// pulled is the answer about one peer.
type pulled struct {
	Name         string `json:"name"`
	Pulled       int    `json:"pulled"`
	Appended     int    `json:"appended"`
	PullPosition int64  `json:"pull_position"`
	Error        string `json:"error,omitempty"`
}

func pull(c *call) error {
	return c.with(func(d *worker.Deployment) error {
		names := c.args
		if len(names) == 0 {
			peers, err := models.ActivePeers(d.DB.WithContext(c))
			if err != nil {
				return err
			}
			for _, p := range peers {
				names = append(names, p.Name)
			}
		}
		return c.pull(d, names)
	})
}

// pull pulls from peers, one after the other, and prints what each gave. One that fails does not keep the next from being asked.
func (c *call) pull(d *worker.Deployment, names []string) error {
	answers := []pulled{}
	var failures []error
	for _, name := range names {
		if c.Err() != nil {
			break
		}
		progress := c.progress("")
		got, err := d.Pull(progress.telling(c), name, 0)
		progress.end()
		answer := pulled{Name: name, Pulled: got.Pulled, Appended: got.Appended, PullPosition: got.PullPosition}
		if err != nil {
			answer.Error = err.Error()
			failures = append(failures, err)
		}
		answers = append(answers, answer)
		// A failure alone is told by the error.
		if !c.json && (answer.Error == "" || got.Pulled > 0) {
			err := c.print(nil, "%s: pulled %d, appended %d, pull pointer at %d\n", name, got.Pulled, got.Appended, got.PullPosition)
			if err != nil {
				return err
			}
		}
	}
	if c.json {
		if err := c.print(answers, ""); err != nil {
			return err
		}
	}
	return errors.Join(append(failures, c.Err())...)
}
