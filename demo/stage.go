package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

const (
	binary  = "bin/olympus"
	dataDir = ".data/demo"
	// clusterDir is beside dataDir, because "make clean" looks there for what still runs, and because it outlives a run: making a
	// cluster takes longer than the scenario's first half.
	clusterDir = ".data/demo-postgres"
)

// stage is everything that the scenario is played with.
type stage struct {
	out  *printer
	keep bool
	root string // of the repository
	data string // absolute path of dataDir

	postgres    *postgres
	modules     []sample // x, y, z
	upstream    string   // URL of a tree that holds them
	downloads   int      // by the go command, so far
	om, oa, og  *deployment
	deployments []*deployment // the same
}

// newStage looks whether the demo can be played here, and starts nothing.
func newStage(out *printer, keep bool) (*stage, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	s := &stage{out: out, keep: keep, root: root, data: filepath.Join(root, dataDir)}
	if _, err := os.Stat(filepath.Join(root, binary)); err != nil {
		return nil, fmt.Errorf("%s is missing: run this as \"make demo\", in the root of the repository", binary)
	}
	s.om, s.oa, s.og = s.deployment("OM", 3001), s.deployment("OA", 3002), s.deployment("OG", 3003)
	s.deployments = []*deployment{s.om, s.oa, s.og}
	// All of them now and until each deployment takes its own: two demos at a time would spoil each other's data.
	for _, d := range s.deployments {
		if d.reserved, err = net.Listen("tcp", d.address()); err != nil {
			for _, d := range s.deployments {
				d.release()
			}
			return nil, fmt.Errorf("port %d of 127.0.0.1 is taken: stop what listens there; if it is an earlier demo: scripts/demo.sh stop", d.port)
		}
	}
	return s, nil
}

// prepare provides modules, an upstream and databases.
func (s *stage) prepare(ctx context.Context) (err error) {
	s.out.title("Three deployments of Olympus: OM, OA and OG")
	if err := os.RemoveAll(s.data); err != nil {
		return err
	}
	// Others may enter, as far as here: as root, Postgres runs as somebody else, in a directory beside.
	if err := os.MkdirAll(s.data, 0o755); err != nil {
		return err
	}
	if s.modules, err = chooseSamples(ctx, s.root); err != nil {
		return err
	}
	tree := filepath.Join(s.data, "upstream")
	for _, m := range s.modules {
		if err := m.copyTo(tree); err != nil {
			return err
		}
	}
	s.upstream = (&url.URL{Scheme: "file", Path: filepath.ToSlash(tree)}).String()
	if s.postgres, err = startPostgres(ctx, s.root); err != nil {
		return err
	}
	if err := s.postgres.createDatabases(ctx, s.deployments); err != nil {
		return err
	}
	s.out.say("Each is a process of %s with a database and a blob store of its own. Only OM has an upstream,", binary)
	s.out.say("and it holds three modules, taken from this machine's module cache:")
	for _, m := range s.modules {
		s.out.say("  %s = %s %s", m.label(), m.path, m.version)
	}
	return nil
}

// clear stops everything, in whatever state it is. The data of a run that failed is left to be looked at.
func (s *stage) clear(succeeded bool) error {
	var g errgroup.Group
	for _, d := range s.deployments {
		g.Go(d.stop)
	}
	err := errors.Join(g.Wait(), s.postgres.clear(s.deployments))
	if err == nil && succeeded {
		err = os.RemoveAll(s.data)
	} else if logs := s.logs(); len(logs) > 0 {
		s.out.line("what the deployments logged is in %s/*/log", dataDir)
	}
	return err
}

func (s *stage) logs() []string {
	logs, _ := filepath.Glob(filepath.Join(s.data, "*", "log")) // fails only for a malformed pattern
	return logs
}

func (s *stage) tellHowToGoOn() {
	s.out.line("\nThey go on running, and OM is filled from Go's own upstream now:")
	for _, d := range s.deployments {
		s.out.line("  %s  %s  in %s", d.label, d.url, filepath.Join(dataDir, d.directory()))
	}
	s.out.line("fetch through one of them:  GOPROXY=%s go mod download MODULE@VERSION", s.om.url)
	s.out.line("stop them:                  scripts/demo.sh stop")
}

// stopKept stops the deployments and the private Postgres of a demo that has ended without doing so.
func stopKept(out *printer) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	s := &stage{out: out, root: root, data: filepath.Join(root, dataDir), postgres: existingPostgres(root)}
	s.postgres.used = true
	for _, label := range []string{"OM", "OA", "OG"} {
		d := s.deployment(label, 0)
		if d.process = findProcess(d.binary, d.dir); d.process != nil {
			out.line("stopping %s", label)
		}
		s.deployments = append(s.deployments, d)
	}
	return s.clear(true)
}
