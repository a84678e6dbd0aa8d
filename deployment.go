package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"

	"olympus/config"
	"olympus/internal/blob"
	"olympus/internal/peer"
	"olympus/internal/postgres"
	"olympus/internal/signature"
	"olympus/internal/tracing"
	"olympus/internal/upstream"
	"olympus/migrations"
	"olympus/models"
	"olympus/worker"
)

const (
	// roleTask is what a process is that runs a task: it works no jobs and serves nothing.
	roleTask = "task"

	// beatInterval is as short as that of serving processes; beatTimeout bounds one beat, and the last word on the way out.
	beatInterval = 4 * time.Second
	beatTimeout  = 5 * time.Second
)

// deployment is a worker.Deployment with what was opened for it.
type deployment struct {
	*worker.Deployment
	signer  *signature.Signer
	process string
	opened  []func() error // what closes it, in the order in which it was opened
}

// openDatabase opens the database and brings its schema up to date, whichever process comes first.
func openDatabase(ctx context.Context, settings *config.Config, limits postgres.Limits) (db *pop.Connection, applied int, err error) {
	db, err = settings.OpenDatabase(strings.NewReader(databaseYML), limits)
	if err != nil {
		return nil, 0, err
	}
	applied, err = migrations.Up(ctx, db)
	if err == nil && applied > 0 {
		// A log that an earlier release has written has no tree yet.
		err = models.GrowTree(db.WithContext(ctx))
	}
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return db, applied, nil
}

// openDeployment builds a deployment from the settings. What it opened by the time of a failure it closes.
func openDeployment(ctx context.Context, settings *config.Config, role string, log *slog.Logger) (*deployment, error) {
	d := &deployment{process: worker.NewProcess()}
	if err := d.open(ctx, settings, role, log); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *deployment) open(ctx context.Context, settings *config.Config, role string, log *slog.Logger) (err error) {
	if d.signer, err = signature.NewSigner(settings.SigningKey); err != nil {
		return err
	}
	if settings.OldSigningKey != "" {
		if err := d.signer.AndOld(settings.OldSigningKey); err != nil {
			return err
		}
	}
	tracer, err := d.openTracer(ctx, settings)
	if err != nil {
		return err
	}
	limits := postgres.Serving
	if role == roleTask {
		limits = postgres.Unlimited // it reads the whole log, or rebuilds all that follows from it
	}
	db, applied, err := openDatabase(ctx, settings, limits)
	if err != nil {
		return err
	}
	d.opened = append(d.opened, db.Close)
	if applied > 0 {
		log.Info("migrated the database", "migrations", applied)
	}
	store, err := blob.Open(ctx, settings.StorageURL, blob.Options{})
	if err != nil {
		return err
	}
	d.opened = append(d.opened, store.Close)
	proxy := settings.Proxy.ProxyFunc()
	up, err := upstream.New(upstream.Options{
		Proxies: settings.Upstream, ChecksumDB: settings.SumDB, Private: settings.Private, Env: settings.GoEnv,
		MaxZip: settings.MaxZip, Cache: worker.ChecksumCache{DB: db},
		ProxyFunc: func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
	})
	if err != nil {
		return err
	}
	peers := peer.NewClient(d.signer, peer.Options{Loopback: peer.OnLoopback(ctx, settings.URL)})
	d.opened = append(d.opened, func() error { peers.Close(); return nil })
	queue, err := worker.NewQueue(ctx, db.URL(), d.process, slog.New(quieter{log.Handler()}))
	if err != nil {
		return err
	}
	d.opened = append(d.opened, queue.Stop)
	d.Deployment, err = worker.New(&worker.Deployment{
		Options: worker.Options{
			Name: settings.Name, Role: role, PullInterval: settings.PullInterval, PushAttempts: settings.PushAttempts,
			PushBackoff: settings.PushBackoff, PageSize: settings.PageSize, MaxZip: settings.MaxZip,
			FetchLazy: settings.Fetch == config.Lazy, ListTTL: settings.ListTTL,
			ScrubInterval: settings.ScrubInterval,
		},
		DB: db, Store: store, Upstream: up, Peers: peers, Signer: d.signer, Queue: queue, Log: log, Follower: models.NewFollower(), Process: d.process, Tracer: tracer,
	})
	return err
}

// openTracer is nil if nothing is to be traced. It is closed last, with what the end of all else tells.
func (d *deployment) openTracer(ctx context.Context, settings *config.Config) (*tracing.Tracer, error) {
	if settings.Traces.Endpoint == "" {
		return nil, nil
	}
	tracer, err := tracing.Open(ctx, tracing.Options{
		Endpoint: settings.Traces.Endpoint, Headers: settings.Traces.Headers, Service: settings.Traces.Service,
		Deployment: settings.Name, Process: d.process, Version: version,
	})
	if err == nil {
		d.opened = append(d.opened, tracer.Close)
	}
	return tracer, err
}

// join makes this process one of those of the deployment. live runs until Close and says time and again that the process lives: others
// would take what it is at for abandoned otherwise.
func (d *deployment) join(ctx context.Context, live func(context.Context)) error {
	if err := d.Announce(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() { live(ctx); close(ended) }()
	d.opened = append(d.opened, func() error {
		// While its jobs come to an end the process must still be seen to live.
		err := d.Queue.Stop()
		cancel()
		<-ended
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
		defer cancel()
		return errors.Join(err, d.Retire(ctx))
	})
	return nil
}

// beat is what a task does to be seen to live. A beat that has begun is not cut off: it could take effect after the process has retired.
func (d *deployment) beat(ctx context.Context) {
	ticks := time.NewTicker(beatInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), beatTimeout)
		if err := d.Announce(bounded); err != nil {
			d.Log.Error("could not say that this process lives", "error", err)
		}
		cancel()
	}
}

// Close closes everything, the last opened first.
func (d *deployment) Close() error {
	var errs []error
	for len(d.opened) > 0 {
		last := len(d.opened) - 1
		errs = append(errs, d.opened[last]())
		d.opened = d.opened[:last]
	}
	return errors.Join(errs...)
}
