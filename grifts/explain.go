package grifts

import (
	"fmt"
	"time"

	"golang.org/x/mod/module"

	"olympus/internal/peer"
	"olympus/worker"
)

func explainTasks() []task {
	return []task{{name: "explain", args: "M@V", least: 1, run: explain,
		does: "tell the life of a version, here and at each peer: asked for, filled, pushed, pulled, fetched, served, and why it is missing"}}
}

func explain(c *call) error {
	path, version, err := c.moduleVersion()
	if err != nil {
		return err
	}
	if err := module.Check(path, version); err != nil {
		return c.task.misused("%v", err)
	}
	if module.CanonicalVersion(version) != version {
		return c.task.misused("%q is not a canonical version", version)
	}
	return c.with(func(d *worker.Deployment) error {
		lives, err := d.ExplainEverywhere(c, path, version, true)
		if err != nil {
			return err
		}
		if c.json {
			return c.print(peer.Explanation{Module: path, Version: version, Deployments: lives}, "")
		}
		for i := range lives {
			if err := c.printLife(&lives[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *call) printLife(l *peer.Life) error {
	held := ""
	if l.Held {
		held = ", held"
	}
	says := l.State + held
	if l.Error != "" {
		says = "could not be asked: " + oneLine(l.Error)
	}
	if _, err := fmt.Fprintf(c.Stdout, "%s: %s\n", l.Deployment, says); err != nil {
		return err
	}
	rows := make([][]string, len(l.Steps))
	for i, s := range l.Steps {
		rows[i] = []string{"  " + s.At.UTC().Format(time.RFC3339), s.What, oneLine(s.Says)}
	}
	if err := c.table(nil, rows); err != nil {
		return err
	}
	if l.Reason == "" {
		return nil
	}
	_, err := fmt.Fprintf(c.Stdout, "  %s\n", oneLine(l.Reason))
	return err
}
