package grifts

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/internal/protocol"
	"olympus/models"
	"olympus/worker"
)

func logTasks() []task {
	return []task{
		{namespace: "log", name: "show", args: "[AFTER]", most: 1, run: showLog,
			does: "print the events after a position; with --json as on the wire, a line each"},
		{namespace: "log", name: "verify", args: "[NAME]", most: 1, run: verifyLog,
			does: "check the log, its tree, the versions, and every zip against its hashes; with NAME a peer's log, from its tiles"},
		{namespace: "log", name: "conflicts", run: listConflicts,
			does: "print the versions that were added with different hashes, and which side the checksum database confirms"},
		{namespace: "log", name: "replay", args: "[NAME [FROM]]", most: 2, run: replayLog,
			does: "rebuild all that follows from the log; with NAME pull that peer's log again, after position FROM (0)"},
	}
}

// position reads an argument that is a position, 0 if it was left out.
func (c *call) position(i int) (int64, error) {
	arg := c.arg(i)
	if arg == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 0 {
		return 0, c.task.misused("%.100q is not a position", arg)
	}
	return n, nil
}

func showLog(c *call) error {
	after, err := c.position(0)
	if err != nil {
		return err
	}
	return c.with(func(d *worker.Deployment) error {
		head, err := models.Head(d.DB.WithContext(c))
		if err != nil {
			return err
		}
		if after > head {
			return fmt.Errorf("position %d is beyond the head %d", after, head)
		}
		w := bufio.NewWriter(c.Stdout)
		for {
			events, err := models.Events(d.DB.WithContext(c), after, 1000, protocol.MaxPageBytes)
			if err != nil || len(events) == 0 {
				return err
			}
			for i := range events {
				c.writeEvent(w, &events[i])
				after = events[i].Position
			}
			// Page by page: who reads may stop in the middle of a long log.
			if err := w.Flush(); err != nil {
				return err
			}
		}
	})
}

// writeEvent writes one event as a line. Errors stay with the writer.
func (c *call) writeEvent(w *bufio.Writer, e *protocol.Logged) {
	if c.json {
		_, _ = w.Write(protocol.AppendLine(w.AvailableBuffer(), e))
		return
	}
	_, _ = fmt.Fprintf(w, "%d\t%s\t%s@%s\t%s\t%s", e.Position, e.Kind, e.Module, e.Version, e.Origin, e.Time.UTC().Format(time.RFC3339Nano))
	if e.Reason != "" {
		_, _ = fmt.Fprintf(w, "\t%s", e.Reason)
	}
	_ = w.WriteByte('\n')
}

func verifyLog(c *call) error {
	if len(c.args) > 0 {
		return verifyPeer(c)
	}
	return c.with(func(d *worker.Deployment) error {
		problems := []worker.Problem{}
		progress := c.progress("")
		verified, err := d.Verify(progress.telling(c), func(p worker.Problem) {
			if c.json {
				problems = append(problems, p)
				return
			}
			_ = progress.print(c.Stdout, p.String())
		})
		progress.end()
		if err != nil {
			return err
		}
		err = c.print(struct {
			*worker.Verified
			Problems []worker.Problem `json:"problems"`
		}{verified, problems}, "%d events, %d versions, %d blobs, %d orphaned blobs: %d problems\n",
			verified.Events, verified.Versions, verified.Blobs, verified.Orphans, verified.Problems)
		if err == nil && verified.Problems > 0 {
			err = fmt.Errorf("problems found: %d", verified.Problems)
		}
		return err
	})
}

func verifyPeer(c *call) error {
	return c.with(func(d *worker.Deployment) error {
		verified, err := d.VerifyPeer(c, c.args[0])
		if verified == nil {
			return err
		}
		if !c.json {
			for _, p := range verified.Problems {
				if _, err := fmt.Fprintln(c.Stdout, p.What); err != nil {
					return err
				}
			}
		}
		printed := c.print(verified, "%s: %d events of epoch %d: %d problems\n", verified.Name, verified.Events, verified.Epoch, len(verified.Problems))
		return errors.Join(err, printed)
	})
}

func listConflicts(c *call) error {
	return c.with(func(d *worker.Deployment) error {
		all := []*worker.Conflict{}
		err := d.Conflicts(c, func(conflict *worker.Conflict) error {
			if c.json {
				all = append(all, conflict)
				return nil
			}
			return writeConflict(c, conflict)
		})
		if err != nil {
			return err
		}
		if c.json {
			return c.print(all, "")
		}
		return nil
	})
}

// writeConflict writes a line for the version and one for each side.
func writeConflict(c *call, conflict *worker.Conflict) error {
	text := fmt.Sprintf("%s@%s\tchecksum database: %s\n", conflict.Module, conflict.Version, conflict.Checked)
	for _, side := range conflict.Adds {
		text += fmt.Sprintf("\t%d\t%s\t%s\t%s", side.Position, side.Origin, side.Time.Format(time.RFC3339Nano), side.ZipHash)
		if side.Served {
			text += "\tserved here"
		}
		if side.Confirmed {
			text += "\tconfirmed"
		}
		text += "\n"
	}
	_, err := fmt.Fprint(c.Stdout, text)
	return err
}

func replayLog(c *call) error {
	if len(c.args) > 0 {
		return replayPeer(c)
	}
	return c.with(func(d *worker.Deployment) error {
		progress := c.progress("")
		r, err := d.Replay(progress.telling(c))
		progress.end()
		if err != nil {
			return err
		}
		return c.print(r, "%d events, %d versions: %d rebuilt, %d removed; zips: %d held, of them %d found, %d lost, %d of deleted versions cleared\n",
			r.Events, r.Versions, r.Rebuilt, r.Removed, r.Held, r.Found, r.Lost, r.Cleared)
	})
}

// replayPeer takes the log of a peer again. What is known already falls out; what was missed is appended.
func replayPeer(c *call) error {
	from, err := c.position(1)
	if err != nil {
		return err
	}
	return c.with(func(d *worker.Deployment) error {
		name := c.args[0]
		err := d.DB.WithContext(c).Transaction(func(tx *pop.Connection) error {
			if err := models.RewindPullPointer(tx, name, from); err != nil {
				return err
			}
			return models.Audit(tx, actor, "replay peer", name, fmt.Sprintf("from position %d", from))
		})
		if err != nil {
			return err
		}
		return c.pull(d, []string{name})
	})
}
