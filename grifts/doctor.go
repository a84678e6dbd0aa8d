package grifts

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"olympus/internal/peer"
	"olympus/internal/signature"
	"olympus/migrations"
	"olympus/models"
	"olympus/worker"
)

func doctorTasks() []task {
	return []task{{
		name: "doctor", run: doctor,
		does: "look whether everything that this deployment needs is in order, and say what to do where it is not",
	}}
}

const (
	// doctorPatience bounds each question.
	doctorPatience = 10 * time.Second
	// doctorSkew is how far clocks may be apart: signatures are refused from one minute on.
	doctorSkew = 20 * time.Second
	// doctorRoom is the room for blobs below which it is said that it gets less, in bytes.
	doctorRoom = 5 << 30
	// doctorWaiting is how long a job may have been due.
	doctorWaiting = time.Minute
)

// finding is one line: what was looked at, and what to do if it is not in order.
type finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Says string `json:"says"`         // what was found
	Do   string `json:"do,omitempty"` // if it is not in order
}

// examination is one run of the doctor.
type examination struct {
	*call
	d        *worker.Deployment
	url      string
	findings []finding
}

func doctor(c *call) error {
	return c.with(func(d *worker.Deployment) error {
		settings, err := c.Config()
		if err != nil {
			return err
		}
		e := &examination{call: c, d: d, url: settings.URL, findings: []finding{}}
		for _, look := range []func(context.Context) error{e.database, e.storage, e.address, e.jobs, e.versions, e.peers} {
			if err := look(c); err != nil {
				return err
			}
		}
		return e.tell()
	})
}

func (e *examination) fine(what, format string, args ...any) {
	e.findings = append(e.findings, finding{what, true, fmt.Sprintf(format, args...), ""})
}

func (e *examination) wrong(what string, err error, do string) {
	e.findings = append(e.findings, finding{what, false, plain(err.Error()), do})
}

func (e *examination) tell() error {
	var wrong int
	var text strings.Builder
	for _, f := range e.findings {
		if f.OK {
			fmt.Fprintf(&text, "ok     %s: %s\n", f.What, f.Says)
			continue
		}
		wrong++
		fmt.Fprintf(&text, "WRONG  %s: %s\n       %s\n", f.What, f.Says, f.Do)
	}
	if err := e.print(e.findings, "%s", text.String()); err != nil {
		return err
	}
	if wrong > 0 {
		return fmt.Errorf("not in order: %d of %d", wrong, len(e.findings))
	}
	return nil
}

// database looks at the schema and at its clock. That it answers at all is known: the task could not have begun else.
func (e *examination) database(ctx context.Context) error {
	db := e.d.DB.WithContext(ctx)
	pending, err := migrations.Pending(db)
	if err != nil {
		return err
	}
	if pending > 0 {
		e.wrong("database", fmt.Errorf("%d migrations are missing", pending), "run: olympus migrate")
	} else {
		e.fine("database", "answers, and has the schema of this release")
	}
	before := time.Now()
	theirs, err := models.DatabaseTime(db)
	if err != nil {
		return err
	}
	e.clock("clock of the database", theirs, before)
	return nil
}

// clock compares a time that was read elsewhere between before and now.
func (e *examination) clock(what string, theirs, before time.Time) {
	skew := time.Duration(0)
	if now := time.Now(); theirs.Before(before) {
		skew = before.Sub(theirs)
	} else if theirs.After(now) {
		skew = theirs.Sub(now)
	}
	if skew > doctorSkew {
		e.wrong(what, fmt.Errorf("is %s away from the one here", skew.Round(time.Second)), "have both machines keep time, as with chrony or systemd-timesyncd: signatures count for a minute around now")
		return
	}
	e.fine(what, "agrees with the one here")
}

func (e *examination) storage(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	if err := e.d.Store.Check(ctx); err != nil {
		e.wrong("blob store", err, "mount it, or correct OLYMPUS_STORAGE_URL and its credentials: until then no zip is served")
		return nil
	}
	if err := e.d.Store.CheckWritable(); err != nil {
		e.wrong("blob store", err, "make room, or make it writable: what is held is served, nothing new is stored")
		return nil
	}
	switch free, known, err := e.d.Store.Space(ctx); {
	case err != nil:
		e.wrong("blob store", err, "look at the file system")
	case known && free < doctorRoom:
		e.wrong("blob store", fmt.Errorf("only %s are left", size(free)), "make room before it is full")
	case known:
		e.fine("blob store", "can be read and written, %s are left", size(free))
	default:
		e.fine("blob store", "can be read and written")
	}
	return nil
}

// address asks this deployment where its peers and clients ask it.
func (e *examination) address(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	const do = "start the deployment if it is not running; else correct OLYMPUS_URL, or the proxy in front: peers and clients use this address"
	answer, err := e.d.Peers.Describe(ctx, e.url)
	switch {
	case err != nil:
		e.wrong("own address", err, do)
	case answer.Name != e.d.Name || answer.Key != e.d.Signer.VerifierKey():
		e.wrong("own address", fmt.Errorf("%s answers as %s with another key (fingerprint %s)", e.url, answer.Name, signature.Fingerprint(answer.Key)), do)
	case answer.URL != e.url:
		e.wrong("own address", fmt.Errorf("the serving process believes that it is at %s, this task at %s", answer.URL, e.url), "give both the same OLYMPUS_URL: signatures are for one address")
	default:
		e.fine("own address", "%s answers as %s", e.url, e.d.Name)
	}
	return nil
}

func (e *examination) jobs(ctx context.Context) error {
	seconds, err := models.OldestWaiting(e.d.DB.WithContext(ctx))
	if err != nil {
		return err
	}
	if seconds > doctorWaiting {
		e.wrong("jobs", fmt.Errorf("one has been due for %s", seconds.Round(time.Second)), "start a process with the role all or worker; if one runs, look at its log and at /jobs")
		return nil
	}
	e.fine("jobs", "none is overdue")
	return nil
}

func (e *examination) versions(ctx context.Context) error {
	counts, err := models.CountVersions(e.d.DB.WithContext(ctx))
	if err != nil {
		return err
	}
	if counts.Failed > 0 {
		e.wrong("versions", fmt.Errorf("%d could not be fetched", counts.Failed), "look at /modules?state=failed for the reasons; they are tried again by themselves")
	}
	if counts.Conflicts > 0 {
		e.wrong("conflicts", fmt.Errorf("%d versions have two different zips", counts.Conflicts), "run: olympus task log:conflicts")
	}
	if counts.Failed+counts.Conflicts == 0 {
		e.fine("versions", "%d held, %d at peers only, none failed, none in conflict", counts.Held, counts.Remote)
	}
	return nil
}

func (e *examination) peers(ctx context.Context) error {
	peers, err := models.Peers(e.d.DB.WithContext(ctx))
	if err != nil {
		return err
	}
	if len(peers) == 0 {
		e.fine("peers", "none: olympus task peers:add URL makes this a federation")
	}
	for i := range peers {
		if err := ctx.Err(); err != nil {
			return err
		}
		e.peer(ctx, &peers[i])
	}
	return nil
}

// peer asks one peer who it is, whether it knows us, and whether it reaches us.
func (e *examination) peer(ctx context.Context, p *models.Peer) {
	what := "peer " + p.Name
	switch p.State {
	case models.PeerPaused:
		e.fine(what, "is paused: olympus task peers:resume %s", p.Name)
		return
	case models.PeerPending:
		e.fine(what, "has asked to become a peer: compare its fingerprint, then run olympus task peers:approve %s, or peers:remove", p.Name)
		return
	case models.PeerQuarantined:
		e.wrong(what, errors.New("it has signed two histories of its log"), "compare them with its operator, then run: olympus task peers:accept "+p.Name)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	described, err := e.d.Peers.Describe(ctx, p.URL)
	if err != nil {
		e.wrong(what, err, "start it, or correct its address with peers:add; look at firewalls and proxies between")
		return
	}
	if described.Name != p.Name || described.Key != p.Key && described.Key != p.OldKey {
		e.wrong(what, fmt.Errorf("%s answers as %s with the fingerprint %s, not %s", p.URL, described.Name, signature.Fingerprint(described.Key), signature.Fingerprint(p.Key)),
			"ask its operator whether the key was changed; if so, run: olympus task peers:rekey "+p.Name+" "+described.Key)
		return
	}
	before := time.Now()
	greeting, err := e.d.Peers.Greet(ctx, peer.Target{Name: p.Name, URL: p.URL, Key: p.Key})
	switch {
	case errors.Is(err, peer.ErrNotFound):
		e.fine(what, "answers; its release cannot tell whether it reaches this deployment")
		return
	case err != nil:
		e.wrong(what, err, "it refuses what this deployment signs: compare clocks, and its address with the OLYMPUS_URL that it has itself")
		return
	case greeting.Pending:
		e.wrong(what, errors.New("its operator has not approved this deployment yet"), "its operator runs: olympus task peers:approve "+e.d.Name+" "+e.d.Signer.VerifierKey())
	case greeting.You != e.d.Name:
		e.wrong(what, errors.New("it does not have this deployment as a peer"), "its operator runs: olympus task peers:add "+e.url+" "+e.d.Signer.VerifierKey())
	case greeting.Fault != "":
		e.wrong(what, fmt.Errorf("it cannot reach this deployment: %s", greeting.Fault), "make "+e.url+" reachable from there, or have its operator correct the address")
	default:
		e.fine(what, "reached, and reaches this deployment; %d events behind", p.Lag())
	}
	e.clock("clock of "+p.Name, greeting.Time, before)
}
