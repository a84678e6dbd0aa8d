package grifts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode"

	"golang.org/x/sync/errgroup"

	"olympus/internal/source"
	"olympus/worker"
)

// maxProblems bounds the problems in an answer in JSON. As text each is printed when it is found.
const maxProblems = 1000

// imported is the answer of an import.
type imported struct {
	Imported  int64           `json:"imported"`
	Held      int64           `json:"held"`
	Present   int64           `json:"present"`
	Deleted   int64           `json:"deleted"`
	Conflicts int64           `json:"conflicts"`
	Failed    int64           `json:"failed"`
	Bytes     int64           `json:"bytes"` // of the zips that were read
	Complete  bool            `json:"complete"`
	Problems  []importProblem `json:"problems"`
	LeftOut   int64           `json:"problems_left_out"`
}

type importProblem struct {
	Name    string         `json:"name"`
	Outcome worker.Outcome `json:"outcome"`
	Problem string         `json:"problem"`
}

func importModules(c *call) error {
	from := c.args[0]
	versions, hasVersions := c.flags["versions"]
	if !strings.HasPrefix(from, "http://") && !strings.HasPrefix(from, "https://") {
		if hasVersions {
			return c.task.misused("--versions goes with a URL; of a directory everything is imported")
		}
		// Before anything is opened: a wrong name is the likeliest mistake.
		if info, err := os.Stat(from); err != nil || !info.IsDir() {
			return c.task.misused("%.300q is neither a directory nor an http or https URL", from)
		}
		return c.with(func(d *worker.Deployment) error {
			src, err := source.OpenDirectory(from, d.MaxZip)
			if err != nil {
				return err
			}
			return errors.Join(c.importFrom(d, src), src.Close())
		})
	}
	return c.with(func(d *worker.Deployment) error {
		settings, err := c.Config()
		if err != nil {
			return err
		}
		proxy := settings.Proxy.ProxyFunc()
		o := source.RemoteOptions{URL: from, MaxZip: d.MaxZip, ProxyFunc: func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }}
		switch {
		case versions == "-":
			o.List = func() (io.ReadCloser, error) { return io.NopCloser(c.Stdin), nil }
		case hasVersions:
			o.List, o.Again = func() (io.ReadCloser, error) { return os.Open(versions) }, true
		}
		src, err := source.NewRemote(o)
		if err != nil {
			return err
		}
		return c.importFrom(d, src)
	})
}

// importFrom imports a source and prints how it went: each problem at once, the numbers at the end, also of an import that was broken off.
func (c *call) importFrom(d *worker.Deployment, src source.Source) error {
	answer := &imported{Problems: []importProblem{}}
	progress := c.progress("versions")
	// Counting goes on beside the import and ends with it.
	ctx, cancel := context.WithCancel(c)
	var counting errgroup.Group
	if src.Countable() {
		counting.Go(func() error {
			total := int64(0)
			err := src.Walk(ctx, func(source.Version) error { total++; return nil }, func(*source.Error) { total++ })
			if err == nil {
				progress.of(total)
			}
			return nil // the import finds the same
		})
	}
	check := c.flags["check"] != ""
	var printed error
	err := d.Import(ctx, src, check, func(v worker.ImportedVersion) {
		progress.add(1, v.Bytes)
		if problem := answer.count(v); problem != nil && printed == nil {
			printed = c.importProblem(progress, answer, problem)
		}
	})
	cancel()
	_ = counting.Wait()
	progress.end()
	answer.Complete = err == nil
	if c.Err() != nil {
		err = errors.New("interrupted: run it again to go on where it stopped")
	}
	if err == nil && answer.Failed+answer.Conflicts > 0 {
		err = fmt.Errorf("not imported: %d failed, %d in conflict", answer.Failed, answer.Conflicts)
	}
	return errors.Join(printed, c.print(answer, "%d imported, %d known and now held, %d present already, %d deleted here, %d in conflict, %d failed; %s read\n",
		answer.Imported, answer.Held, answer.Present, answer.Deleted, answer.Conflicts, answer.Failed, size(answer.Bytes)), err)
}

// count counts a version, and returns the problem if it has one.
func (a *imported) count(v worker.ImportedVersion) *importProblem {
	a.Bytes += v.Bytes
	switch v.Outcome {
	case worker.OutcomeImported:
		a.Imported++
	case worker.OutcomeHeld:
		a.Held++
	case worker.OutcomePresent:
		a.Present++
	case worker.OutcomeDeleted:
		a.Deleted++
	case worker.OutcomeConflict:
		a.Conflicts++
	default:
		a.Failed++
	}
	if v.Err == nil {
		return nil
	}
	return &importProblem{v.Name, v.Outcome, plain(v.Err.Error())}
}

// importProblem prints a problem, or keeps it for the answer in JSON.
func (c *call) importProblem(progress *progress, answer *imported, p *importProblem) error {
	if !c.json {
		return progress.print(c.Stdout, fmt.Sprintf("%s: %s: %s", p.Name, p.Outcome, p.Problem))
	}
	if len(answer.Problems) < maxProblems {
		answer.Problems = append(answer.Problems, *p)
	} else {
		answer.LeftOut++
	}
	return nil
}

// plain is what a source may have written as one line that does nothing to a terminal.
func plain(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
