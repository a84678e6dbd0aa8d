// Package actions is the HTTP surface of a deployment: the module download protocol for the go command, the routes between
// deployments, and for operators the pages, their JSON and administration.
//
// App.ServeHTTP and the routes below are the whole map. What machines call often is a plain http.Handler in front of Buffalo's router,
// which would cost several times the work of a hit and rewrites paths and bodies; pages and administration are Buffalo actions.
// An action decodes, checks, makes one call and renders. The work itself is in worker, the state in models.
package actions

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"olympus/internal/gate"
	"olympus/internal/signature"
	"olympus/worker"
)

// Options are the settings of the HTTP surface.
type Options struct {
	URL        string // at which clients and peers reach this deployment
	Env        string // development, test or production
	AdminToken string // bearer token for administration; empty: administration over HTTP is off
	Redirect   bool   // send clients that want a remote zip to the peer, instead of fetching it for them
	Version    string // of the binary
	// DatabasePatience bounds how long one request waits for the database, all that it asks together: after that it is 503, so that
	// requests do not pile up behind a database that is slow, locked or gone. What else a request waits for is not counted. Zero: 5 seconds.
	DatabasePatience time.Duration
}

// App serves one deployment over HTTP. main builds it; it holds no state but caches.
type App struct {
	Options
	Deployment    *worker.Deployment
	Log           *slog.Logger
	verifier      *signature.Verifier
	answers       *answers
	metrics       *metrics
	machines      *http.ServeMux // routes for machines
	pages         http.Handler   // Buffalo: pages and administration
	machineRoutes []string       // those of machines, as METHOD /path
	shares        *shares
	turns         *turnGates
	greetings     *gate.Gate
	explanations  *gate.Gate
	// introductions bound the requests to join and the announcements of keys.
	introductions *gate.Gate
	live          *live
	outages       *rate.Limiter   // lines in the log about requests for which the database could not be asked
	draining      context.Context // ends with Drain
	drain         context.CancelFunc
}

// Drain makes /readyz say that this process is about to stop, and ends what would go on for as long as somebody listens.
func (a *App) Drain() { a.drain() }

// New builds the HTTP surface of a deployment.
func New(d *worker.Deployment, o Options) (*App, error) {
	verifier, err := signature.NewVerifier(o.URL, time.Now)
	if err != nil {
		return nil, err
	}
	o.DatabasePatience = cmp.Or(o.DatabasePatience, databasePatience)
	a := &App{
		Options: o, Deployment: d, Log: d.Log,
		verifier: verifier, answers: newAnswers(d.Follower, o.DatabasePatience), metrics: newMetrics(d), shares: newShares(), turns: newTurns(), greetings: gate.New(greetings, 0),
		explanations: gate.New(explanations, 0), introductions: gate.New(introductions, 0), outages: newOutages(),
	}
	a.draining, a.drain = context.WithCancel(context.Background())
	a.live = newLive(a)
	a.machines = a.routes()
	a.pages, err = a.newPages()
	return a, err
}

// routes are those for machines. The download protocol has none of its own: its paths are told by what they contain.
func (a *App) routes() *http.ServeMux {
	mux := http.NewServeMux()
	// The pages, which get whatever nobody else wants, would answer other methods as if nothing were there.
	route := func(method, path string, h http.HandlerFunc) {
		a.machineRoutes = append(a.machineRoutes, method+" "+path)
		mux.HandleFunc(method+" "+path, h)
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, notAllowed(w, r, method)) })
	}
	route("GET", "/healthz", a.healthz)
	route("GET", "/readyz", a.readyz)
	route("GET", "/metrics", a.metrics.handler().ServeHTTP)
	if a.Deployment.Role == "worker" {
		mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
			a.fail(w, r, notFound("%s: not found: a process of the role worker answers only /healthz, /readyz and /metrics", r.URL.Path))
		})
		return mux
	}
	route("GET", "/openapi.json", a.openapi)
	route("POST", "/push", a.push)
	route("POST", "/peer/join", a.join)
	route("POST", "/peer/key", a.announceKey)
	route("GET", "/live", a.live.stream)
	reads := func(path string, h http.HandlerFunc) { route("GET", path, a.inTurn(h).ServeHTTP) }
	reads("/eventlog", a.read(a.eventlog))
	reads("/peer", a.read(a.describe))
	reads("/peer/greeting", a.read(a.greet))
	reads("/index", a.index)
	reads("/checkpoint", a.read(a.checkpoint))
	reads("/sumdb/{path...}", a.sumdb)
	reads("/tile/{path...}", a.read(a.tile))
	reads("/peer/witness/{name...}", a.read(a.witness))
	mux.Handle("/", a.inTurn(a.read(func(w http.ResponseWriter, r *http.Request) { a.pages.ServeHTTP(w, asGet(r)) })))
	return mux
}

// ServeHTTP sends a request of the go command to the download protocol and any other to its route.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if a.Deployment.Role != "worker" && isDownload(r) {
		a.download(w, r)
		return
	}
	// ServeMux would redirect such a path to its clean form; a path that is not canonical is nobody's.
	if strings.Contains(path, "//") || strings.Contains(path, "/./") || strings.Contains(path, "/../") ||
		strings.HasSuffix(path, "/.") || strings.HasSuffix(path, "/..") {
		a.fail(w, r, notFound("%s: not found", path))
		return
	}
	a.machines.ServeHTTP(w, a.impatient(r))
}

// isDownload reports whether a request is one of the download protocol.
func isDownload(r *http.Request) bool {
	return strings.Contains(r.URL.Path, "/@v/") || strings.HasSuffix(r.URL.Path, "/@latest")
}

// asGet makes a HEAD a GET for Buffalo, which knows no HEAD; the server leaves the body of the answer out all the same.
func asGet(r *http.Request) *http.Request {
	if r.Method != http.MethodHead {
		return r
	}
	get := r.Clone(r.Context())
	get.Method = http.MethodGet
	return get
}
