package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"olympus/actions"
	"olympus/config"
)

const (
	// drainTimeout bounds how long requests may take to end once the process is to stop.
	drainTimeout = 15 * time.Second

	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second // for a body too, the largest of which has some megabytes
	idleTimeout       = 120 * time.Second
	maxHeaderBytes    = 32 << 10

	// memoryTarget is what the garbage collector tries to keep a process within, unless GOMEMLIMIT says otherwise: in a flood it would let
	// the heap double otherwise.
	memoryTarget = 160 << 20
)

// serve serves a deployment until ctx ends, and then lets go of everything in order: no new requests, those under way are answered, jobs
// end, and the other processes are told. Work that does not end in time is taken up by them.
func serve(ctx context.Context, settings *config.Config, log *slog.Logger) (err error) {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryTarget)
	}
	// Before anything else, so that a port that is taken changes nothing.
	listener, err := net.Listen("tcp", settings.Listen())
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server closes it too
	d, err := openDeployment(ctx, settings, settings.Role, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	app, err := actions.New(d.Deployment, actions.Options{
		URL: settings.URL, Env: settings.Env, AdminToken: settings.AdminToken, Redirect: settings.RemoteZip == config.Redirect, Version: version,
	})
	if err != nil {
		return err
	}
	if err := d.join(ctx, d.Tick); err != nil {
		return err
	}
	if settings.Role != config.RoleWeb {
		if err := d.Queue.Start(ctx); err != nil {
			return err
		}
	}
	defer d.follow(ctx)()

	server := newServer(app, log)
	failed := make(chan error, 1)
	bounded := newBoundedListener(listener, servingLimits)
	server.ConnState = bounded.state
	go func() { failed <- server.Serve(bounded) }()
	log.Info("serving", "address", listener.Addr().String(), "name", settings.Name, "url", settings.URL, "version", version, "role", settings.Role)
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	log.Info("stopping")
	app.Drain()
	if errors.Is(context.Cause(ctx), errTerminated) {
		sayUnready(ctx, server, settings.DrainDelay)
	}
	drain(ctx, server, log)
	return nil
}

// follow keeps up with the event log until the returned function is called.
func (d *deployment) follow(ctx context.Context) func() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Follower.Run(ctx, d.DB, func(err error) { d.Log.Warn("lost track of the event log", "error", err) })
	}()
	return func() { cancel(); <-ended }
}

// newServer has time-outs for whatever a client may leave undone. That it does not read what it asked for is noticed below: see
// boundedListener.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	draining, drain := context.WithCancel(context.Background())
	server := &http.Server{
		Handler:           endPolls(draining, handler),
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(drain)
	return server
}

// endPolls cuts off the peers that wait for news at the end of the event log once the server is draining: they would hold it up for as
// long as they wait, and they ask again.
func endPolls(draining context.Context, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/eventlog" {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(draining, cancel)()
		next.ServeHTTP(w, r.WithContext(ctx))
		if ctx.Err() != nil && r.Context().Err() == nil {
			// What was sent of a page, if anything, may not be all of it.
			panic(http.ErrAbortHandler)
		}
	})
}

// sayUnready goes on serving for a while in which /readyz says that requests should go elsewhere: who balances the load looks there only
// now and then, and a request that comes meanwhile must not meet a closed port. Connections are closed after their next answer.
func sayUnready(ctx context.Context, server *http.Server, delay time.Duration) {
	server.SetKeepAlivesEnabled(false)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), delay)
	defer cancel()
	<-ctx.Done()
}

// drain ends the server once all requests have been answered, or the time is over.
func drain(ctx context.Context, server *http.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("gave up requests that took too long to end", "error", err)
		_ = server.Close()
	}
}
