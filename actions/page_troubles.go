package actions

import (
	"fmt"
	"time"

	"olympus/models"
)

// trouble is something that an operator should know of, in words. Level is "bad" for what is broken, "note" for what is only unusual.
type trouble struct {
	Kind, Level  string
	Text, Detail string
	Next         string // what to do about it
	Href, Link   string // where to look further, if anywhere
	Peer         string // that it is about, if about one
}

// Kinds of troubles.
const (
	troublePeer       = "peer"
	troubleBehind     = "behind"
	troubleQuarantine = "quarantine"
	troublePaused     = "paused"
	troublePushes     = "pushes"
	troublePending    = "pending"
	troubleConflicts  = "conflicts"
	troubleFetches    = "fetches"
	troubleJobs       = "jobs"
	troubleStorage    = "storage"
	troubleDatabase   = "database"
)

const (
	// overdueJob is how long a job may be due before nobody seems to work any.
	overdueJob = time.Minute
	// overdueTicks is how many ticks a peer may miss, besides a grace for a slow page, before its log counts as not being pulled.
	overdueTicks = 3
	overdueGrace = time.Minute
	// overdueLag is how long a peer's log may be ahead, although it is pulled: a first pull of a long log takes minutes.
	overdueLag = 15 * time.Minute
)

// troubles says what is wrong, the worst first.
func (p *pages) troubles(s *deploymentStatus, peers []models.Peer, lost []models.LostPushes, now time.Time) []trouble {
	var bad, notes []trouble
	ofPeer := func(name string, t *trouble) {
		t.Peer, t.Href, t.Link = name, p.link("peers", name), "See the peer"
		if t.Level == "bad" {
			bad = append(bad, *t)
		} else {
			notes = append(notes, *t)
		}
	}
	pending := int64(0)
	for i := range peers {
		if peers[i].State == models.PeerPending {
			pending++
			continue
		}
		if t := peerTrouble(&peers[i], p.Deployment.PullInterval, now); t != nil {
			ofPeer(peers[i].Name, t)
		}
	}
	if pending > 0 {
		verb := " ask"
		if pending == 1 {
			verb = " asks"
		}
		notes = append(notes, trouble{
			Kind: troublePending, Level: "note", Text: some(pending, "deployment") + verb + " to become a peer. Nothing is exchanged until you approve.",
			Next: "Compare the fingerprint with what its operator reads there, and approve. If nobody you know has asked, remove it.",
			Href: p.link("peers"), Link: "See the peers",
		})
	}
	for _, l := range lost {
		verb := " were"
		if l.Count == 1 {
			verb = " was"
		}
		ofPeer(l.Peer, &trouble{
			Kind: troublePushes, Level: "note", Text: pushesOf(l.Count) + " to " + l.Peer + verb + " given up, the last one " + since(l.At, now) + "; none was taken since.",
			Detail: l.Error, Next: "Nothing is lost: it pulls what they told of. See whether it can be reached from here.",
		})
	}
	if s.Conflicts > 0 {
		verb := "are"
		if s.Conflicts == 1 {
			verb = "is"
		}
		bad = append(bad, trouble{
			Kind: troubleConflicts, Level: "bad", Text: some(s.Conflicts, "version") + " " + verb + " known with different bytes: one of the origins was given something else, or lies.",
			Next: "The first bytes served here stay the ones served. Compare the events of the version, and delete it if it cannot be trusted.",
			Href: p.pageLink("modules", "state", models.VersionConflict), Link: "See the conflicts",
		})
	}
	if since, fault := p.Deployment.StorageFault(); fault != nil {
		bad = append(bad, trouble{
			Kind: troubleStorage, Level: "bad", Text: "The blob store has taken nothing since " + since.UTC().Format("2 Jan 15:04") + " UTC: nothing new can be filled or fetched.",
			Next: "What is held is still served. Make room, and everything that was missed is taken up by itself.",
		})
	}
	if since, fault := p.Deployment.DatabaseFault(); fault != nil {
		bad = append(bad, trouble{
			Kind: troubleDatabase, Level: "bad", Text: "The database has taken nothing since " + since.UTC().Format("2 Jan 15:04") + " UTC: nothing can be recorded.",
			Next: "What is held is still served. Is its disk full?",
		})
	}
	if n := s.Versions.Failed; n > 0 {
		retries := "Each is tried again by itself, less and less often."
		if p.Deployment.FetchLazy {
			retries = "Each is tried again when a client asks for it."
		}
		bad = append(bad, trouble{
			Kind: troubleFetches, Level: "bad", Text: some(n, "zip") + " could not be fetched when last tried.",
			Next: retries + " The page of the version says why. If no peer can give it, ask its origin, or delete the version.",
			Href: p.pageLink("modules", "state", models.VersionFailed), Link: "See the failures",
		})
	}
	if waiting := time.Duration(s.OldestWaiting * float64(time.Second)); waiting > overdueJob {
		bad = append(bad, trouble{
			Kind: troubleJobs, Level: "bad", Text: fmt.Sprintf("A job has been due for %s: no process seems to work jobs, or all are busy.", roughly(waiting)),
			Next: "Is a process with the role all or worker running, and does its log say why it does not work?",
			Href: p.link("jobs"), Link: "See the jobs",
		})
	}
	return append(bad, notes...)
}

// peerTrouble says what is wrong with a peer, nil for nothing. interval is the tick, 0 for none.
func peerTrouble(peer *models.Peer, interval time.Duration, now time.Time) *trouble {
	switch {
	case peer.State == models.PeerPaused:
		return &trouble{
			Kind: troublePaused, Level: "note", Text: peer.Name + " is paused: nothing is pushed to it, pulled from it or accepted from it.",
			Next: "Resume it when what it was paused for is over.",
		}
	case peer.State == models.PeerQuarantined:
		return &trouble{
			Kind: troubleQuarantine, Level: "bad", Text: peer.Name + " is quarantined: it has signed two histories of its log, and nothing is pulled from it.",
			Next: "Its page shows both. Ask its operator what happened, and accept the new history only if the answer is good.",
		}
	case peer.LastError != "":
		text := "The last exchange with " + peer.Name + " failed"
		if peer.LastErrorAt != nil {
			text += " " + since(*peer.LastErrorAt, now)
		}
		if peer.LastPullAt == nil {
			text += "; its log has never been pulled."
		} else {
			text += "; its log was last pulled " + since(*peer.LastPullAt, now) + "."
		}
		return &trouble{
			Kind: troublePeer, Level: "bad", Text: text, Detail: peer.LastError,
			Next: "It is tried again by itself. See whether it runs and can be reached from here: olympus task doctor says what it sees.",
		}
	case overdue(peer, interval, now):
		return &trouble{
			Kind: troublePeer, Level: "bad", Text: "The log of " + peer.Name + " was last pulled " + since(*peer.LastPullAt, now) + ", without an error since.",
			Next: "A process with the worker role pulls it on every tick: is one running?",
		}
	case peer.LagTime(now) > overdueLag:
		return &trouble{
			Kind: troubleBehind, Level: "note", Text: "This deployment is behind the log of " + peer.Name + " for " + roughly(peer.LagTime(now)) + ": " + some(peer.Lag(), "event") + " left.",
			Next: "The page of the peer says whether it gets less. If not, the database or the line to the peer is too slow.",
		}
	}
	return nil
}

// pushesOf is a number of pushes.
func pushesOf(n int64) string {
	if n == 1 {
		return "1 push"
	}
	return counted(n) + " pushes"
}

// since says when something was, in a sentence.
func since(t, now time.Time) string {
	if text := relative(now.Sub(t)); text != "" {
		return text
	}
	return "on " + t.UTC().Format("2 Jan 2006")
}

// verdict sums troubles up, with a class for its colour.
func verdict(troubles []trouble) (class, text string) {
	bad := 0
	for _, t := range troubles {
		if t.Level == "bad" {
			bad++
		}
	}
	switch {
	case bad == 1:
		return "bad", "1 thing is in trouble"
	case bad > 1:
		return "bad", fmt.Sprintf("%d things are in trouble", bad)
	case len(troubles) > 0:
		return "note", "Works; see the notes"
	}
	return "good", "Nothing is in trouble"
}
