package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// settings are what a run is asked to be.
type settings struct {
	root     string // of the repository
	binary   string // to be tested
	seed     uint64
	duration time.Duration // of the chaos; settling comes on top
	gap      time.Duration // mean time between two faults
	rate     float64       // misses per second
	weather  weather
	verbose  bool
	out      io.Writer
}

// suite is one run.
type suite struct {
	settings
	ctx         context.Context
	dir         string
	began       time.Time
	deployments []*deployment
	upstream    *upstream
	calendar    *calendar
	oracle      *oracle
	load        *load
	recoveries  recoveries

	mu     sync.Mutex
	faults map[kind]int
	memory int64 // the most that one process has had, in bytes

	settled   time.Duration
	events    map[string]int    // in each log
	verified  map[string]string // what log:verify said
	retries   int
	leftovers int // files of killed processes
}

// newSuite makes the deployments, without starting anything but their proxies.
func newSuite(ctx context.Context, o settings) (*suite, error) {
	o.out = &lockedWriter{w: o.out}
	s := &suite{
		settings: o, ctx: ctx, upstream: newUpstream(), calendar: newCalendar(), faults: make(map[kind]int),
		events: make(map[string]int), verified: make(map[string]string),
	}
	s.oracle = newOracle(s.calendar, s.out)
	s.load = newLoad(s)
	programs, err := findPostgres(o.root)
	if err != nil {
		return nil, err
	}
	// Not os.TempDir: Postgres, which may run as another user, has to get there.
	if s.dir, err = os.MkdirTemp("/tmp", "olympus-faults-"); err != nil {
		return nil, err
	}
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	// A copy, so that a build in the meantime does not change what is tested.
	binary := filepath.Join(s.dir, "olympus")
	if err := copyFile(o.binary, binary); err != nil {
		return nil, err
	}
	var clusters errgroup.Group
	for _, label := range labels {
		d := &deployment{label: label, name: nameOf(label), binary: binary, dir: filepath.Join(s.dir, label), upstream: s.upstream.url(label), oracle: s.oracle}
		links := make(map[string]*link)
		for _, from := range labels {
			if from != label {
				links[nameOf(from)] = newLink(from, label, o.seed, o.weather)
			}
		}
		d.proxy = newProxy(links)
		for i, role := range roles[label] {
			d.slots = append(d.slots, &slot{deployment: d, number: i, role: role})
		}
		s.deployments = append(s.deployments, d)
		if err := os.Mkdir(d.dir, 0o755); err != nil {
			return s, err
		}
		clusters.Go(func() (err error) {
			d.cluster, err = newCluster(programs, filepath.Join(d.dir, "postgres"))
			return err
		})
	}
	return s, clusters.Wait()
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("the binary to be tested: %w", err)
	}
	return os.WriteFile(to, content, 0o755)
}

// close ends all that runs and removes its traces, except after a run that failed.
func (s *suite) close(failed bool) {
	var all sync.WaitGroup
	for _, d := range s.deployments {
		all.Go(d.stop)
	}
	all.Wait()
	s.upstream.close()
	if failed {
		_, _ = fmt.Fprintf(s.out, "logs and data of all processes: %s\n", s.dir)
		return
	}
	_ = os.RemoveAll(s.dir)
}

// run starts the deployments, disturbs them as planned, and sees what has become of them.
func (s *suite) run() error {
	plan := makePlan(s.seed, s.duration, s.gap, labels)
	s.began = time.Now()
	_, _ = fmt.Fprintf(s.out, "seed %d: %d faults in %s, %g misses a second\n", s.seed, len(plan), s.duration, s.rate)
	if s.verbose {
		_, _ = fmt.Fprint(s.out, describe(plan))
	}
	if err := s.start(s.ctx); err != nil {
		return err
	}
	s.say("%d deployments run", len(s.deployments))

	chaos, end := context.WithTimeout(s.ctx, s.duration)
	defer end()
	var all sync.WaitGroup
	all.Go(func() { s.load.run(chaos, s.rate) })
	all.Go(func() { s.weigh(chaos) })
	s.inject(chaos, plan)
	<-chaos.Done()
	s.heal()
	all.Wait()
	s.recoveries.wg.Wait()
	if err := s.ctx.Err(); err != nil {
		return err
	}
	s.say("the chaos is over")
	return s.settle(s.ctx)
}

func (s *suite) start(ctx context.Context) error {
	g, bounded := errgroup.WithContext(ctx)
	for _, d := range s.deployments {
		g.Go(func() error { return d.start(bounded) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, d := range s.deployments {
		for _, other := range s.deployments {
			if d == other {
				continue
			}
			if err := d.introduce(ctx, other); err != nil {
				return fmt.Errorf("make %s a peer of %s: %w", other.label, d.label, err)
			}
		}
	}
	return nil
}

// heal ends what may still disturb the ways between the deployments, the weather included.
func (s *suite) heal() {
	for _, d := range s.deployments {
		for _, l := range d.proxy.links {
			l.heal()
		}
	}
}

// weigh looks from time to time how much memory the processes have, until ctx ends.
func (s *suite) weigh(ctx context.Context) {
	for pause(ctx, time.Second) {
		for _, d := range s.deployments {
			for _, slot := range d.slots {
				s.mu.Lock()
				s.memory = max(s.memory, slot.memory())
				s.mu.Unlock()
			}
		}
	}
}

func (s *suite) injected(k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[k]++
}

// say tells what happens, to those who want to know.
func (s *suite) say(format string, args ...any) {
	if s.verbose {
		_, _ = fmt.Fprintf(s.out, "%s %s\n", time.Now().Format(clock), fmt.Sprintf(format, args...))
	}
}

// failed returns what a run ended with: nothing, if no promise was broken.
func (s *suite) failed() error {
	if n := len(s.oracle.violations); n > 0 {
		return fmt.Errorf("%d violations", n)
	}
	return nil
}

// play is a whole run, from nothing to nothing.
func play(ctx context.Context, o settings) (err error) {
	s, err := newSuite(ctx, o)
	if s == nil {
		return err
	}
	defer func() { s.close(err != nil && !errors.Is(err, context.Canceled)) }()
	if err != nil {
		return err
	}
	if err := s.run(); err != nil {
		return err
	}
	s.report()
	return s.failed()
}

// lockedWriter lets many write lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
