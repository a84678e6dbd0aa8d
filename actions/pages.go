package actions

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/buffalo/render"

	"olympus/internal/postgres"
	"olympus/templates"
)

// pages are the operator's pages and administration over HTTP: a Buffalo application behind the routes for machines.
type pages struct {
	*App
	buffalo  *buffalo.App
	engine   *render.Engine
	assets   map[string]*asset
	sessions *sessionSigner
	base     string // path of the deployment's URL, which every link on a page begins with
	allowed  []allowed
}

// allowed says that a method is routed for the paths that match.
type allowed struct {
	method string
	path   *regexp.Regexp
}

const (
	// maxAdminBody bounds the body of a request to administration, in bytes.
	maxAdminBody = 64 << 10
	// pagePatience bounds the work for a page, adminPatience that for a request to administration: a pull or a prefetch can take long.
	pagePatience  = 30 * time.Second
	adminPatience = 30 * time.Minute
)

// newPages builds the pages. What Buffalo does by default and costs or surprises is off: sessions and their cookies, the log line of
// each request, methods and bodies taken from forms, the worker.
func (a *App) newPages() (http.Handler, error) {
	quietPlugins()
	p := &pages{App: a, base: basePath(a.URL), sessions: newSessionSigner(a.AdminToken, a.Deployment.Name, a.URL)}
	var err error
	if p.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	p.engine = render.New(render.Options{TemplatesFS: templates.FS, HTMLLayout: "layout", Helpers: render.Helpers{"home": p.link(), "shell": shellWord}})
	b := buffalo.New(buffalo.Options{
		Name:           "olympus",
		Env:            a.Env,
		Host:           a.URL,
		Logger:         buffaloLog{a.Log},
		MethodOverride: func(http.ResponseWriter, *http.Request) {},
		SessionStore:   noSessions{},
		Worker:         a.Deployment.Queue,
		WorkerOff:      true, // main starts it
	})
	b.Middleware.Remove(buffalo.RequestLogger)
	for status := range b.ErrorHandlers {
		b.ErrorHandlers[status] = p.failed
	}
	b.ErrorHandlers.Default(p.failed)
	b.Muxer().SkipClean(true) // it would redirect

	b.GET("/", p.dashboard)
	b.GET("/status", p.status)
	b.GET("/peers", p.showPeers)
	b.GET("/peers/{name:.+}", p.showPeer)
	b.GET("/events", p.showEvents)
	b.GET("/events/{position}", p.showEvent)
	b.GET("/modules", p.showModules)
	b.GET("/modules/{version:.+}", p.showVersion)
	b.GET("/explain/{version:.+}", p.showExplanation)
	b.GET("/jobs", p.showJobs)
	b.GET("/alarms", p.showAlarms)
	b.GET("/audit", p.showAudit)
	b.GET("/assets/{file}", p.showAsset)
	b.GET("/signin", p.showSignIn)
	b.POST("/signin", p.signIn)
	b.POST("/signout", p.signOut)

	admin := b.Group("/")
	admin.Use(p.authorize)
	admin.PUT("/peers/{name:.+}", p.putPeer)
	admin.DELETE("/peers/{name:.+}", p.deletePeer)
	admin.POST("/peers/{name:.+}/pull", p.pullPeer)
	admin.POST("/peers/{name:.+}/pause", p.pausePeer)
	admin.POST("/peers/{name:.+}/resume", p.resumePeer)
	admin.POST("/peers/{name:.+}/accept", p.acceptPeer)
	admin.POST("/peers/{name:.+}/approve", p.approvePeer)
	admin.POST("/peers/{name:.+}/rekey", p.rekeyPeer)
	admin.POST("/peers/{name:.+}/remove", p.deletePeer) // forms have no DELETE
	admin.POST("/modules", p.prefetch)
	admin.POST("/modules/{version:.+}/deprecate", p.deprecate)
	admin.POST("/modules/{version:.+}/delete", p.delete)
	admin.POST("/jobs/{id}/retry", p.retryJob)
	admin.POST("/jobs/{id}/discard", p.discardJob)

	for _, route := range b.Routes() {
		pattern, err := route.MuxRoute.GetPathRegexp()
		if err != nil {
			return nil, fmt.Errorf("route %s %s: %w", route.Method, route.Path, err)
		}
		path, err := regexp.Compile(pattern)
		if err != nil {
			return nil, fmt.Errorf("route %s %s: %w", route.Method, route.Path, err)
		}
		p.allowed = append(p.allowed, allowed{route.Method, path})
	}
	p.buffalo = b
	return p, nil
}

// ServeHTTP keeps from Buffalo what it would change or consume.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	// Nothing but our own style sheet, mark and script is loaded, and nothing else is executed: what a module author wrote stays text.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // without one a browser says of no form where it comes from
	h.Set("Cross-Origin-Opener-Policy", "same-origin")

	patience := pagePatience
	if r.Method != http.MethodGet {
		patience = adminPatience
		// The server's own deadline is for pages. One that knows none has nothing to move.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience + time.Minute))
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	if r.Method == http.MethodGet {
		ctx = postgres.Impatient(ctx, countPatience)
	}
	own := r.WithContext(ctx)
	path := *r.URL
	own.URL = &path // Buffalo changes it in place
	if r.Method != http.MethodGet {
		// Bodies are JSON, whatever a client calls them: Buffalo would take a form apart before the action sees it.
		own.Header = r.Header.Clone()
		own.Header.Set("Content-Type", "application/json")
		own.Body = http.MaxBytesReader(w, r.Body, maxAdminBody)
		if isForm(r) {
			var err error
			if own, err = takeForm(own); err != nil {
				p.problem(w, r, err)
				return
			}
		}
	}
	p.buffalo.ServeHTTP(w, own)
}

// failed answers with an error: as a page for a browser that reads, as a problem for all others.
func (p *pages) failed(status int, err error, c buffalo.Context) error {
	w, r := c.Response(), c.Request()
	if route, _ := c.Value("current_route").(buffalo.RouteInfo); route.Path == "" {
		err = p.noRoute(w, r, status)
	}
	if errors.Is(r.Context().Err(), context.Canceled) {
		return nil // nobody is listening
	}
	status = statusOf(err) // of one table for everything, not of Buffalo's
	f := formOf(r.Context())
	if f != nil && status == http.StatusUnauthorized && p.AdminToken != "" && !strings.HasSuffix(r.URL.Path, "/signin/") {
		return p.toSignIn(c, f)
	}
	if f == nil && (r.Method != http.MethodGet || wantsJSON(r) || r.URL.Path == "/status/" && !wantsStatusPage(r)) {
		w.Header().Add("Vary", "Accept")
		p.problem(w, r, err)
		return nil
	}
	if status == http.StatusInternalServerError {
		p.Log.Error("could not answer", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	setErrorHeaders(w, status)
	return p.html(c, status, "error", http.StatusText(status), errorView{status, http.StatusText(status), told(err)})
}

type errorView struct {
	Status        int
	Title, Detail string
}

// noRoute is the error for a path without a route, or for a method that its routes do not have.
func (p *pages) noRoute(w http.ResponseWriter, r *http.Request, status int) error {
	path := strings.TrimSuffix(r.URL.Path, "/")
	if status != http.StatusMethodNotAllowed {
		return notFound("%s: there is nothing here", path)
	}
	var methods []string
	for _, a := range p.allowed {
		if a.path.MatchString(r.URL.Path) && !slices.Contains(methods, a.method) {
			methods = append(methods, a.method)
		}
	}
	return notAllowed(w, r, methods...)
}

func notAllowed(w http.ResponseWriter, r *http.Request, methods ...string) error {
	allow := strings.Join(methods, ", ")
	if slices.Contains(methods, http.MethodGet) {
		allow += ", HEAD"
	}
	w.Header().Set("Allow", allow)
	path := strings.TrimSuffix(r.URL.Path, "/")
	return &statusError{status: http.StatusMethodNotAllowed, message: fmt.Sprintf("%s %s: only %s", r.Method, path, allow)}
}
