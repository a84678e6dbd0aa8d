// Command demo plays the scenario that Olympus is built for: a push between two deployments is lost, a later one arrives, pulling repairs
// what was lost, and a third deployment learns everything from the second.
//
//	demo [-keep]    play it; with -keep the deployments go on running afterwards
//	demo stop       stop what -keep, or a demo that was killed, has left running
//
// The deployments are processes of bin/olympus, administered by its tasks and read by the go command; nothing is simulated. After every
// step the logs and pull pointers are compared with what they must be, and the first difference ends the demo with an error.
//
// It works in the root of the repository, on ports 3001 to 3003 of 127.0.0.1, below .data, and in three databases of its own: on the server
// of DATABASE_URL, else on a private one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/term"
)

func main() {
	os.Exit(run())
}

func run() int {
	keep := flag.Bool("keep", false, "leave the deployments running")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: demo [-keep]\n       demo stop") }
	flag.Parse()

	// A closed pipe or terminal, too, must not keep us from stopping what we have started.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	out := &printer{os.Stdout, term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""}
	var err error
	switch {
	case flag.NArg() == 0:
		err = play(ctx, out, *keep)
	case flag.NArg() == 1 && flag.Arg(0) == "stop":
		err = stopKept(out)
	default:
		flag.Usage()
		return 2
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "demo: %s\n", oneLine(err))
	if errors.Is(err, errInterrupted) {
		return 130
	}
	return 1
}

var errInterrupted = errors.New("interrupted")

// oneLine is an error as one line. Indented lines go on with the one before.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.ReplaceAll(err.Error(), "\n\t", " "), "\n", "; ")
}

// play sets the stage, plays the scenario on it, and clears it again.
func play(ctx context.Context, out *printer, keep bool) error {
	s, err := newStage(out, keep)
	if err != nil {
		return err
	}
	err = s.play(ctx)
	if err != nil && ctx.Err() != nil {
		err = errInterrupted // and what came of that says nothing more
	}
	if keep && err == nil {
		s.tellHowToGoOn()
		return nil
	}
	out.line("\nstopping everything that was started")
	return errors.Join(err, s.clear(err == nil))
}

// step is one step of the scenario.
type step struct {
	name, title string
	play        func(context.Context) error
}

func (s *stage) play(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	for _, step := range slices.Concat(s.two(), s.three()) {
		s.out.title(step.name + "  " + step.title)
		if err := step.play(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	s.out.line("\n%s", s.out.paint(green, "Every step came out as it must."))
	return nil
}
