// Command faults disturbs three deployments for as long as it is told to, and proves that none of them breaks a promise.
//
//	faults [-duration 30m] [-seed N] [-rate 5] [-v]
//
// Each deployment is several processes of the built binary over a database server and a directory of blobs of its own. In front of each
// stands a proxy that is its URL and knows by the signatures which peer sends a request, so that each way between two of them can be
// partitioned, slowed down and corrupted by itself. Upstream is a server that fails on demand and counts. Processes and databases are
// killed, stopped and started again. What is done, and when, follows from the seed alone and can be repeated; what meets it, the load and
// the timing of the processes, can not.
//
// All the while clients ask for new and old versions and administrators delete and deprecate some. The oracle keeps record of what was
// asked and what was answered, and judges every answer by it: wrong bytes, a version that is forgotten or resurrected, or a promise that
// was taken back are violations. In the end all is healed, and once the deployments have come to rest their logs, states and files are
// compared with each other and with that record. The exit code is 0 only if nothing was violated; else the logs and data of all
// processes are left in the directory that is named.
//
//	plan, calendar                when what is disturbed
//	inject, recover               doing it, and how long it takes until all is well
//	proxy, link, harm, upstream   what stands around a deployment
//	deployment, process, cluster  the deployments
//	load, release                 what is asked of them
//	oracle, record, ledger        what is promised
//	settle, report                whether it is kept
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// rough is the weather of a long run.
var rough = weather{lost: 0.3, unanswered: 0.05, duplicated: 0.1, late: 0.1}

func main() {
	o := settings{root: ".", weather: rough, out: os.Stdout}
	flag.StringVar(&o.binary, "binary", "bin/olympus", "the binary to be tested")
	flag.DurationVar(&o.duration, "duration", 5*time.Minute, "how long to disturb")
	flag.DurationVar(&o.gap, "gap", 5*time.Second, "mean time between two faults")
	flag.Float64Var(&o.rate, "rate", 5, "new versions asked for per second")
	flag.Uint64Var(&o.seed, "seed", 0, "repeat the schedule of this seed (0: a new one)")
	flag.BoolVar(&o.verbose, "v", false, "print the schedule, and what happens")
	flag.Parse()
	if flag.NArg() > 0 || o.duration <= 0 || o.gap <= 0 || o.rate <= 0 {
		flag.Usage()
		os.Exit(2)
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1_000_000) + 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := play(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		if errors.Is(err, context.Canceled) {
			os.Exit(130)
		}
		os.Exit(1)
	}
}
