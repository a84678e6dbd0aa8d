// Command bench measures Olympus beside references in one run on one machine: only the ratios mean anything.
//
// It starts everything itself: the built binary (bin/olympus), databases on the Postgres that TEST_DATABASE_URL names, a bare net/http
// file server (this program again), and goproxy where it can be built. Load stays on 127.0.0.1 and is bounded in number.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// bench is one measurement: its result is one row or more.
type bench struct {
	name string
	run  func(context.Context, *lab) ([]row, error)
}

// row is one line of the report.
type row struct {
	what      string
	ours      string
	reference string
	ratio     string
	wanted    string
	met       bool
}

var benches = []bench{
	{"hits", benchHits},
	{"append", benchAppend},
	{"pull", benchPull},
	{"fill", benchFill},
	{"push", benchPush},
	{"proof", benchProof},
	{"tree", benchTree},
	{"sumdb", benchSumdb},
	{"idle", benchIdle},
}

// lab is where the measurements take place.
type lab struct {
	dir     string // scratch, removed in the end
	binary  string // bin/olympus
	goproxy string // the reference proxy, empty if it could not be built
	admin   string // URL of the Postgres
	events  int    // for pull
	seconds int    // of load for each measurement of hits
}

func main() {
	if len(os.Args) > 3 && os.Args[1] == "file-server" {
		fail(serveFiles(os.Args[2], os.Args[3]))
		return
	}
	events := flag.Int("events", 1_000_000, "events that pull takes")
	seconds := flag.Int("seconds", 4, "seconds of load per measurement of hits")
	binary := flag.String("binary", "bin/olympus", "the binary to measure")
	flag.Usage = func() {
		names := make([]string, len(benches))
		for i, b := range benches {
			names[i] = b.name
		}
		_, _ = fmt.Fprintf(os.Stderr, "usage: bench [flags] [%s]\n", strings.Join(names, "|"))
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fail(run(ctx, *binary, *events, *seconds, flag.Args()))
}

func fail(err error) {
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, events, seconds int, names []string) (err error) {
	admin := os.Getenv("TEST_DATABASE_URL")
	if admin == "" {
		return errors.New("TEST_DATABASE_URL is not set: make bench starts a Postgres and sets it")
	}
	binary, err = filepath.Abs(binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "olympus-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	l := &lab{dir: dir, binary: binary, admin: admin, events: events, seconds: seconds}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer func() { err = errors.Join(err, out.Flush()) }()
	_, _ = fmt.Fprintln(out, "measured\tolympus\treference\tratio\twanted\t")
	for _, b := range benches {
		if len(names) > 0 && !slices.Contains(names, b.name) {
			continue
		}
		_, _ = fmt.Fprintln(os.Stderr, "measuring:", b.name)
		rows, err := b.run(ctx, l)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		for _, r := range rows {
			verdict := "met"
			if !r.met {
				verdict = "NOT met"
			}
			_, _ = fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.ours, r.reference, r.ratio, r.wanted, verdict)
		}
	}
	return nil
}

// removeAll removes a tree whose folders may be read-only, as a module cache's are.
func removeAll(dir string) error {
	_ = exec.Command("chmod", "-R", "u+w", dir).Run()
	return os.RemoveAll(dir)
}
