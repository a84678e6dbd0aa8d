package actions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"olympus/models"
)

// States of a way between this deployment and a peer, in the words that the pages use.
const (
	wayOK          = "ok"
	wayBehind      = "behind"
	wayFailing     = "failing"
	wayPaused      = "paused"
	wayQuarantined = "quarantined"
	wayPending     = "pending" // nothing has gone this way yet
)

// way is how it stands with one of the two ways between this deployment and a peer: pulling its log, or pushing to it.
type way struct {
	Kind, State string
	Amount      string // lag of a pull, queued pushes; may be empty
}

// Words say how it stands with this way.
func (w way) Words() string {
	if w.Amount == "" {
		return w.State
	}
	return w.State + ", " + w.Amount
}

// Sentence says which way it is, too.
func (w way) Sentence() string { return w.Kind + " " + w.Words() }

// ways are how it stands with a peer. interval is the tick, 0 for none.
func ways(peer *models.Peer, queued int64, interval time.Duration, now time.Time) (pull, push way) {
	pull, push = way{Kind: "pull", State: wayOK, Amount: "lag " + short(peer.Lag())}, way{Kind: "push", State: wayOK}
	if queued > 0 {
		push.Amount = short(queued) + " queued"
	}
	if peer.State != models.PeerActive { // the words for the others are those of the peer
		pull.State, push.State = peer.State, peer.State
		return pull, push
	}
	pushFailed := failedPush(peer)
	switch {
	case peer.LastError != "" && !pushFailed, overdue(peer, interval, now):
		pull.State = wayFailing
	case peer.Lag() > 0:
		pull.State = wayBehind
	case peer.LastPullAt == nil:
		pull.State = wayPending
	}
	switch {
	case pushFailed && (peer.LastPushSentAt == nil || peer.LastErrorAt == nil || peer.LastPushSentAt.Before(*peer.LastErrorAt)):
		push.State = wayFailing
	case queued > 0:
		push.State = wayBehind
	case peer.LastPushSentAt == nil:
		push.State = wayPending
	}
	return pull, push
}

// failedPush reports whether the last error of a peer is one of pushing: the work that fails names itself first.
func failedPush(peer *models.Peer) bool { return strings.HasPrefix(peer.LastError, "push to ") }

// overdue reports whether a peer's log has not been pulled for several ticks.
func overdue(peer *models.Peer, interval time.Duration, now time.Time) bool {
	return interval > 0 && peer.LastPullAt != nil && now.Sub(*peer.LastPullAt) > overdueTicks*interval+overdueGrace
}

// maxSaid is how many peers the overview speaks of in sentences; the picture and the table have the others.
const maxSaid = 3

// federation says in sentences how it stands with the peers, and with a class whether that is good.
func federation(peers []models.Peer, queued map[string]int64, interval time.Duration, now time.Time) (class string, sentences []string) {
	if len(peers) == 0 {
		return "", nil
	}
	good, silent := 0, 0
	var wrong []peerStanding
	for i := range peers {
		pull, push := ways(&peers[i], queued[peers[i].Name], interval, now)
		switch {
		case pull.State == wayOK && push.State != wayFailing:
			good++
		case pull.State == wayPending && push.State != wayFailing:
			silent++
		default:
			wrong = append(wrong, peerStanding{&peers[i], pull, push})
		}
	}
	n := int64(len(peers))
	class = "note"
	switch {
	case good == len(peers) && n == 1:
		return "good", []string{"The only peer, " + peers[0].Name + ", is up to date."}
	case good == len(peers) && n == 2:
		return "good", []string{"Both peers are up to date."}
	case good == len(peers):
		return "good", []string{"All " + counted(n) + " peers are up to date."}
	case good == 0:
		sentences = []string{"No peer is up to date."}
	case good == 1:
		sentences = []string{"1 of " + counted(n) + " peers is up to date."}
	default:
		sentences = []string{counted(int64(good)) + " of " + counted(n) + " peers are up to date."}
	}
	if silent > 0 {
		sentences = append(sentences, "Nothing was pulled yet from "+some(int64(silent), "peer")+".")
	}
	slices.SortStableFunc(wrong, worstFirst)
	for i, s := range wrong {
		if s.word() != wayPaused {
			class = "bad"
		}
		switch {
		case i < maxSaid:
			sentences = append(sentences, s.sentence(now))
		case i == maxSaid:
			sentences = append(sentences, "The picture shows "+counted(int64(len(wrong)-i))+" more that are not.")
		}
	}
	return class, sentences
}

// peerStanding is a peer and how it stands with both ways to it.
type peerStanding struct {
	peer       *models.Peer
	pull, push way
}

// worstStates are the states of ways, the worst first.
var worstStates = []string{wayQuarantined, wayFailing, wayBehind, wayPaused, wayPending, wayOK}

// word is the word for the peer as a whole: that for the worse way. That nothing was pushed to it yet, or not all, says nothing of the peer.
func (s peerStanding) word() string {
	if s.pull.State == wayOK && s.push.State != wayFailing {
		return wayOK
	}
	return worstStates[max(0, s.rank())]
}

func (s peerStanding) rank() int {
	return min(slices.Index(worstStates, s.pull.State), slices.Index(worstStates, s.push.State))
}

func worstFirst(a, b peerStanding) int { return a.rank() - b.rank() }

// sentence says what is not as it should be with a peer.
func (s peerStanding) sentence(now time.Time) string {
	peer, pull, push := s.peer, s.pull, s.push
	var text string
	switch lag := peer.Lag(); {
	case pull.State == wayPaused:
		return peer.Name + " is paused."
	case pull.State == wayQuarantined:
		return peer.Name + " is quarantined: it has signed two histories of its log."
	case peer.State != models.PeerActive:
		return peer.Name + " is " + peer.State + "."
	case lag > 0:
		text = fmt.Sprintf("%s is %s behind, for %s", peer.Name, some(lag, "event"), roughly(peer.LagTime(now)))
	case pull.State == wayFailing && peer.LastPullAt == nil:
		text = "The log of " + peer.Name + " has never been pulled"
	case pull.State == wayFailing:
		text = "The log of " + peer.Name + " was last pulled " + since(*peer.LastPullAt, now)
	default:
		text = "Pushing to " + peer.Name + " fails; its log is pulled all the same"
	}
	if peer.LastError != "" && (pull.State == wayFailing || push.State == wayFailing) {
		return text + ": last error " + shortened(oneLine(peer.LastError), 160) + "."
	}
	return text + "."
}

// shortened is a text of at most n characters, with an ellipsis for the rest.
func shortened(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}

// short is a number where there is little room.
func short(n int64) string {
	switch {
	case n < 1_000_000:
		return counted(n)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.1f M", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f G", float64(n)/1e9)
}
