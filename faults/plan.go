package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// kind is a kind of fault.
type kind string

// Faults of the way from one deployment to another: of the requests that the first sends and the second gets.
const (
	partition   kind = "partition"    // requests hang until it is healed, and fail then
	refusal     kind = "refusal"      // connections are reset at once
	blackhole   kind = "blackhole"    // requests are never answered, also when it has been healed
	resets      kind = "resets"       // answers break off in the middle
	drip        kind = "drip"         // answers come a few bytes at a time
	serverError kind = "server-error" // 500 without asking the receiver
	garbage     kind = "garbage"      // 200 with nonsense
	pushLoss    kind = "push-loss"    // every push is swallowed
)

// Faults of upstream, towards one deployment.
const (
	slowUpstream      kind = "slow-upstream"
	failingUpstream   kind = "failing-upstream"
	resettingUpstream kind = "resetting-upstream"
	forgetfulUpstream kind = "forgetful-upstream" // its lists lack what they had
)

// Faults of the processes of one deployment.
const (
	killProcess  kind = "kill"          // SIGKILL of one process, started again later
	freeze       kind = "freeze"        // SIGSTOP of one process, and SIGCONT after it counts as dead
	rolling      kind = "rolling"       // SIGTERM and start of one process after the other
	killPostgres kind = "kill-postgres" // SIGKILL of the database server, started again later
	slowPostgres kind = "slow-postgres" // SIGSTOP of the database server and all of its children, and SIGCONT
	crash        kind = "crash"         // processes and database killed at once
)

var (
	ofNetwork  = []kind{partition, refusal, blackhole, resets, drip, serverError, garbage, pushLoss}
	ofUpstream = []kind{slowUpstream, failingUpstream, resettingUpstream, forgetfulUpstream}
	// ofProcesses may not overlap on a deployment: killing what is being started tells nothing new, and is hard to read.
	ofProcesses = []kind{killProcess, freeze, rolling, killPostgres, slowPostgres, crash}
)

// deck is how often each kind comes relative to the others. It is dealt from like cards, so that also a short run sees most of them.
var deck = []kind{
	partition, partition, partition, refusal, blackhole, resets, drip, serverError, garbage, pushLoss,
	slowUpstream, failingUpstream, resettingUpstream, forgetfulUpstream,
	killProcess, killProcess, killProcess, freeze, rolling, killPostgres, slowPostgres, crash,
}

// fault is one thing that is done to the deployments.
type fault struct {
	number int
	kind   kind
	at     time.Duration // since the beginning
	lasts  time.Duration

	from, to   string // of the network
	bothWays   bool
	deployment string // of upstream and processes
	slot       int    // which process, counted around if there are fewer
}

func (f fault) String() string {
	where := f.deployment
	switch {
	case f.bothWays:
		where = f.from + "↔" + f.to
	case f.from != "":
		where = f.from + "→" + f.to
	case f.kind == killProcess || f.kind == freeze:
		where = fmt.Sprintf("%s process %d", f.deployment, f.slot)
	}
	return fmt.Sprintf("#%d %s %s for %s", f.number, f.kind, where, f.lasts.Round(100*time.Millisecond))
}

// subjects are what a fault disturbs, as in the calendar.
func (f fault) subjects() []string {
	switch {
	case f.bothWays:
		return []string{way(f.from, f.to), way(f.to, f.from)}
	case f.from != "":
		return []string{way(f.from, f.to)}
	case slices.Contains(ofUpstream, f.kind):
		return []string{upstreamOf(f.deployment)}
	case f.kind == rolling && webs(f.deployment) > 1:
		return []string{restartOf(f.deployment)} // which its clients are not to notice
	}
	return []string{f.deployment}
}

// work are the subjects without which a deployment does not do its work.
func work(deployment string) []string { return []string{deployment, restartOf(deployment)} }

func way(from, to string) string          { return from + "→" + to }
func upstreamOf(deployment string) string { return "upstream of " + deployment }
func restartOf(deployment string) string  { return "restart of " + deployment }

const (
	// quietEdge is how long nothing is done in the beginning, so that there is something to be disturbed.
	quietEdge = 4 * time.Second
	// frozen is longer than the silence after which a process counts as dead.
	frozen = 13 * time.Second
)

// makePlan makes the whole schedule of a run in advance, from the seed and nothing else. gap is the mean time between two faults.
func makePlan(seed uint64, duration, gap time.Duration, deployments []string) []fault {
	rng := rand.New(rand.NewPCG(seed, 0x6f6c796d707573))
	between := func(low, high time.Duration) time.Duration { return low + below(rng, high-low) }
	busy := make(map[string]time.Duration) // until when a fault of its processes lasts
	var plan []fault
	var cards []kind
	for at := quietEdge; at < duration-time.Second; at += between(gap/2, gap*3/2) {
		if len(cards) == 0 {
			cards = slices.Clone(deck)
			rng.Shuffle(len(cards), func(i, j int) { cards[i], cards[j] = cards[j], cards[i] })
		}
		f := fault{number: len(plan) + 1, kind: cards[0], at: at}
		cards = cards[1:]
		first := rng.IntN(len(deployments))
		f.slot, f.bothWays = rng.IntN(12), rng.IntN(2) == 0
		switch {
		case slices.Contains(ofNetwork, f.kind):
			f.from, f.to = deployments[first], deployments[(first+1+rng.IntN(len(deployments)-1))%len(deployments)]
			f.lasts = between(3*time.Second, 25*time.Second)
		case slices.Contains(ofUpstream, f.kind):
			f.deployment, f.bothWays = deployments[first], false
			f.lasts = between(3*time.Second, 15*time.Second)
		default:
			f.bothWays = false
			f.lasts = between(200*time.Millisecond, 6*time.Second)
			switch f.kind {
			case freeze:
				f.lasts = between(frozen, frozen+5*time.Second)
			case slowPostgres:
				f.lasts = between(time.Second, 15*time.Second)
			}
			for i := range deployments { // the first that is not busy
				if d := deployments[(first+i)%len(deployments)]; busy[d] <= at {
					f.deployment = d
					break
				}
			}
			if f.deployment == "" {
				cards = append(cards, f.kind) // later
				continue
			}
			// Starting again takes a while, too.
			busy[f.deployment] = at + f.lasts + 5*time.Second
		}
		f.lasts = min(f.lasts, duration-at)
		plan = append(plan, f)
	}
	return plan
}

// below is a random duration below d.
func below(rng *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(int64(d)))
}

// describe lists a plan, a fault a line.
func describe(plan []fault) string {
	var b strings.Builder
	for _, f := range plan {
		fmt.Fprintf(&b, "%8.1fs  %s\n", f.at.Seconds(), f)
	}
	return b.String()
}
