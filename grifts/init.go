package grifts

import (
	"context"
	"errors"
	"io"

	"olympus/config"
	"olympus/worker"
)

var errElsewhere = errors.New("tasks run in the olympus binary: olympus task NAME")

// init makes the tasks known to "buffalo task list", which imports this package for nothing else. It opens nothing: the database.yml and
// all else that a task needs is with main, which loads the tasks again.
func init() {
	_ = Load(Env{
		Config: func() (*config.Config, error) { return nil, errElsewhere },
		Open:   func(context.Context) (*worker.Deployment, func() error, error) { return nil, nil, errElsewhere },
		Stdout: io.Discard, Stderr: io.Discard,
	})
}
