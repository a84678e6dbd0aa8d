package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"olympus/config"
	"olympus/grifts"
	"olympus/worker"
)

// runTask runs one of the operator's tasks in this process.
func runTask(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return &grifts.UsageError{Reason: "which task?", Usage: "olympus task NAME [ARGS] (olympus task list names them)"}
	}
	env := grifts.Env{
		Config:   config.Load,
		Open:     func(ctx context.Context) (*worker.Deployment, func() error, error) { return openForTask(ctx, stderr) },
		Stdin:    os.Stdin,
		Terminal: term.IsTerminal(int(os.Stdin.Fd())),
		Stdout:   stdout, Stderr: stderr,
	}
	if err := grifts.Load(env); err != nil {
		return err
	}
	return grifts.Run(ctx, env, args[0], args[1:])
}

// openForTask makes this process part of the deployment, as one that works no jobs.
func openForTask(ctx context.Context, stderr io.Writer) (*worker.Deployment, func() error, error) {
	settings, err := config.Load()
	if err != nil {
		return nil, nil, err
	}
	// What goes wrong is what the task returns; the log would tell it a second time.
	log := slog.New(slog.DiscardHandler)
	if settings.LogLevel <= slog.LevelDebug {
		log = settings.Logger(stderr)
	}
	quietPop(log)
	d, err := openDeployment(ctx, settings, roleTask, log)
	if err != nil {
		return nil, nil, err
	}
	if err := d.join(ctx, d.beat); err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	return d.Deployment, d.Close, nil
}
