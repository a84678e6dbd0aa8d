package actions

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strconv"
	"strings"
	"time"

	"olympus/internal/blob"
	"olympus/internal/download"
	"olympus/internal/tracing"
	"olympus/models"
)

// forever is for what never changes once it was served.
const forever = "public, max-age=31536000, immutable"

var (
	immutable  = []string{forever}
	plainText  = []string{"text/plain; charset=utf-8"}
	jsonText   = []string{"application/json"}
	zipArchive = []string{"application/zip"}
)

// fillWait bounds how long a client waits for a miss or a remote zip. What it waits for goes on without it.
const fillWait = 10 * time.Minute

// download answers the module download protocol (go.dev/ref/mod#goproxy-protocol). A hit is answered from the cache alone.
func (a *App) download(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		a.fail(w, r, &statusError{status: http.StatusMethodNotAllowed, message: r.Method + " " + r.URL.Path + ": the download protocol has only GET and HEAD"})
		return
	}
	path := r.URL.EscapedPath()
	signed := isSigned(r)
	if !signed {
		if hit := a.answers.get(path); hit != nil && a.serve(w, r, hit) {
			a.metrics.hit(hit)
			return
		}
	}
	if err := a.downloadUncached(w, r, path, signed); err != nil {
		a.metrics.failed(statusOf(err))
		a.fail(w, r, err)
	}
}

// asking is one request of the download protocol on its way past the cache.
type asking struct {
	download.Request
	path     string // in canonical form, under which the answer is kept
	onlyHere bool   // answer from what is held or known, never fill
	byPeer   bool   // it is a peer that asks, not a client
	at       mark   // where the cache stood when the request came
}

func (a *App) downloadUncached(w http.ResponseWriter, r *http.Request, path string, signed bool) (err error) {
	req, _, err := download.Parse(path)
	if err != nil {
		return err
	}
	r = a.impatient(r)
	ask := asking{Request: req, path: req.Path(), onlyHere: r.Header.Get("Disable-Module-Fetch") == "true"}
	if !signed {
		// What the cache has may wait for news of the log only, or is asked for percent-encoded, as the go command sends every "!". All who
		// wait for the same news share a question, so that it takes no turn: what is here does not wait behind what is not.
		if _, err := a.answers.catchUp(r.Context(), a.Deployment); err != nil {
			return err
		}
		if hit := a.answers.get(ask.path); hit != nil && a.serve(w, r, hit) {
			a.metrics.hit(hit)
			return nil
		}
	}
	w, r, leave, err := a.turns.take(w, r)
	if err != nil {
		return err
	}
	defer leave()
	if signed {
		peer, err := a.reader(r)
		if err != nil {
			return err
		}
		ask.byPeer = peer != nil
		ask.onlyHere = ask.onlyHere || ask.byPeer
		if traced := a.Deployment.Tracer.FromPeer(r.Context(), r.Header); ask.byPeer && req.Ext == download.Zip && tracing.Parent(traced) != "" {
			ctx, end := a.Deployment.Tracer.Start(traced, "zip for peer", tracing.Peer(peer.Name), tracing.Module(req.Module), tracing.Version(req.Version))
			defer func() { end(err) }()
			r = r.WithContext(ctx)
		}
	}
	if ask.at, err = a.answers.catchUp(r.Context(), a.Deployment); err != nil {
		return err
	}
	switch {
	case req.Ext == download.List:
		return a.list(w, r, &ask)
	case req.Ext == download.Latest:
		return a.latest(w, r, &ask)
	case !req.Canonical:
		return a.query(w, r, &ask)
	}
	return a.version(w, r, &ask)
}

// version answers .info, .mod or .zip of one version: from what is known, else by filling the miss.
func (a *App) version(w http.ResponseWriter, r *http.Request, ask *asking) (err error) {
	ctx, cancel := context.WithTimeout(r.Context(), fillWait)
	defer cancel()
	v, err := models.FindVersion(a.Deployment.DB.WithContext(ctx), ask.Module, ask.Version)
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	switch {
	case err == nil && v.Deleted:
		return a.deleted(ctx, ask)
	case err == nil && v.Known():
		return a.known(ctx, w, r, ask, v)
	case ask.onlyHere:
		return notFound("%s@%s: not known here, and the request asks not to fetch it", ask.Module, ask.Version)
	}
	a.metrics.miss(ask.Ext)
	ctx, end := a.Deployment.Tracer.Start(ctx, "miss", tracing.Module(ask.Module), tracing.Version(ask.Version), tracing.File(string(ask.Ext)))
	defer func() { end(err) }()
	filling := a.Deployment.FillFor(ctx, ask.Module, ask.Version)
	if ask.Ext == download.Zip {
		if err := filling.Wait(ctx); err != nil {
			return a.because(ctx, ask, err)
		}
		if v, err = models.FindVersion(a.Deployment.DB.WithContext(ctx), ask.Module, ask.Version); err != nil {
			return err
		}
		return a.known(ctx, w, r, ask, v)
	}
	info, mod, err := filling.Files(ctx)
	if err != nil {
		return a.because(ctx, ask, err)
	}
	v, err = models.FindVersion(a.Deployment.DB.WithContext(ctx), ask.Module, ask.Version)
	switch {
	case err == nil && (v.Known() || v.Deleted):
		return a.known(ctx, w, r, ask, v)
	case err != nil && !errors.Is(err, models.ErrNotFound):
		return err
	}
	// Recorded, not yet in the log: right, but not to be kept under a position of the log.
	a.serve(w, r, text(ask, info, mod))
	return nil
}

// because says what was asked when a fill failed; a tombstone gets its own answer.
func (a *App) because(ctx context.Context, ask *asking, err error) error {
	switch statusOf(err) {
	case http.StatusForbidden:
		return a.deleted(ctx, ask)
	case http.StatusNotFound:
		// What a peer knew is in the log by now. That nobody gives its zip at the moment does not make it unknown.
		v, findErr := models.FindVersion(a.Deployment.DB.WithContext(ctx), ask.Module, ask.Version)
		if findErr == nil && v.Known() {
			return &statusError{http.StatusBadGateway, fmt.Sprintf("%s@%s: the zip could not be fetched: %v", ask.Module, ask.Version, err), err}
		}
	}
	return fmt.Errorf("%s@%s: %w", ask.Module, ask.Version, err)
}

// deleted is the answer for a version that a tombstone bars. 403, because on a 404 or 410 the go command would ask the next proxy and
// undo the takedown.
func (a *App) deleted(ctx context.Context, ask *asking) error {
	events, err := models.EventsOf(a.Deployment.DB.WithContext(ctx), ask.Module, ask.Version)
	if err != nil {
		return err
	}
	for i := range events {
		if events[i].Kind == "delete" && events[i].Reason != "" {
			return forbidden("%s@%s: deleted by %s: %s", ask.Module, ask.Version, events[i].Origin, events[i].Reason)
		}
	}
	return forbidden("%s@%s: deleted", ask.Module, ask.Version)
}

// known answers from a version that the log knows.
func (a *App) known(ctx context.Context, w http.ResponseWriter, r *http.Request, ask *asking, v *models.Version) error {
	if ask.Ext == download.Zip && !v.Deleted {
		return a.zip(ctx, w, r, ask, v)
	}
	v, err := a.pinned(ctx, v)
	if err != nil {
		return err
	}
	if v.Deleted {
		return a.deleted(ctx, ask)
	}
	answer := text(ask, v.Info, v.Mod)
	a.answers.put(ask.path, answer, ask.at)
	a.serve(w, r, answer)
	a.noteServed(ask, v)
	return nil
}

// noteServed notes the first time that a client is given a file of a version. Hits come from the cache, and after that.
func (a *App) noteServed(ask *asking, v *models.Version) {
	if !v.Served && !ask.byPeer {
		a.Deployment.NoteServed(v.Module, v.Version)
	}
}

// pinned returns a version as it is served: from the first answer on, its files never change, whatever other adds of it arrive. It may
// have been deleted meanwhile.
func (a *App) pinned(ctx context.Context, v *models.Version) (*models.Version, error) {
	for v.Known() && !v.Pinned {
		db := a.Deployment.DB.WithContext(ctx)
		pinned, err := models.Pin(db, v.Module, v.Version, v.AddPosition)
		if err != nil || pinned {
			return v, err
		}
		// It changed under our hands: look again.
		if v, err = models.FindVersion(db, v.Module, v.Version); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// zip answers with the zip of a known version: from our store, else from a peer.
func (a *App) zip(ctx context.Context, w http.ResponseWriter, r *http.Request, ask *asking, v *models.Version) error {
	for attempt := 0; ; attempt++ {
		if v.Held {
			answer := archive(ask, v)
			if a.serve(w, r, answer) {
				a.answers.put(ask.path, answer, ask.at)
				a.noteServed(ask, v)
				return nil
			}
			// The store has lost it; serve has recorded that. It is fetched again like any remote zip.
		}
		if ask.onlyHere {
			return notFound("%s@%s: the zip is not held here, and the request asks not to fetch it", v.Module, v.Version)
		}
		if attempt > 2 {
			return fmt.Errorf("%s@%s: the zip is held but cannot be read", v.Module, v.Version)
		}
		if a.Redirect {
			if to, ok := a.Deployment.Elsewhere(ctx, v); ok {
				w.Header().Set("Cache-Control", "no-store")
				http.Redirect(w, r, to+ask.path, http.StatusFound)
				return nil
			}
		}
		if err := a.Deployment.FetchNow(ctx, v.Module, v.Version); err != nil {
			return &statusError{gatewayStatus(err), fmt.Sprintf("%s@%s: the zip could not be fetched: %v", v.Module, v.Version, err), err}
		}
		var err error
		if v, err = models.FindVersion(a.Deployment.DB.WithContext(ctx), v.Module, v.Version); err != nil {
			return err
		}
		if v.Deleted {
			return a.deleted(ctx, ask)
		}
	}
}

// gatewayStatus is the status for a zip that could not be fetched: whatever the reason, the fault is beyond us, unless it is our disk's.
func gatewayStatus(err error) int {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return http.StatusInternalServerError
	}
	switch status := statusOf(err); status {
	case http.StatusGatewayTimeout, http.StatusServiceUnavailable:
		return status
	}
	return http.StatusBadGateway
}

// text is the answer for .info or .mod.
func text(ask *asking, info, mod string) *answer {
	h := answerHeader{contentType: plainText, cacheControl: immutable}
	body := mod
	if ask.Ext == download.Info {
		body, h.contentType = info, jsonText
	}
	h.etag = []string{etagOf(body)}
	h.length = []string{strconv.Itoa(len(body))}
	return &answer{module: ask.Module, version: ask.Version, ext: ask.Ext, header: h, body: []byte(body)}
}

// archive is the answer for .zip.
func archive(ask *asking, v *models.Version) *answer {
	return &answer{
		module: v.Module, version: v.Version, ext: download.Zip, sha256: v.ZipSHA256, size: v.ZipSize,
		header: answerHeader{contentType: zipArchive, cacheControl: immutable, etag: []string{`"` + v.ZipSHA256 + `"`}},
	}
}

// serve sends an answer. It reports false, with nothing sent, when the blob behind it is gone or not of its size: the version is then
// no longer held.
func (a *App) serve(w http.ResponseWriter, r *http.Request, ans *answer) bool {
	if ans.sha256 != "" {
		return a.serveBlob(w, r, ans)
	}
	ans.header.write(w)
	if fields := r.Header["If-None-Match"]; fields != nil && ans.header.etag != nil && names(fields, ans.header.etag[0]) {
		w.WriteHeader(http.StatusNotModified)
		return true
	}
	w.Header()["Content-Length"] = ans.header.length
	if r.Method != http.MethodHead {
		_, _ = w.Write(ans.body)
	}
	return true
}

// names reports whether If-None-Match names an entity tag, by the weak comparison of RFC 9110, section 13.1.2. No tag of ours has a comma.
func names(fields []string, etag string) bool {
	for _, field := range fields {
		for tag := range strings.SplitSeq(field, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

func (a *App) serveBlob(w http.ResponseWriter, r *http.Request, ans *answer) bool {
	b, err := a.Deployment.Store.Open(r.Context(), ans.sha256)
	if err == nil && b.Size() != ans.size {
		_ = b.Close()
		err = fmt.Errorf("blob %s has %d bytes, not %d: %w", ans.sha256, b.Size(), ans.size, blob.ErrNotFound)
	}
	if errors.Is(err, blob.ErrNotFound) {
		a.Log.Error("a held zip is gone or damaged", "module", ans.module, "version", ans.version, "error", err)
		a.Deployment.Lost(r.Context(), ans.module, ans.version, err)
		a.answers.forget(ans.module, ans.version)
		return false
	}
	if err != nil {
		a.fail(w, r, fmt.Errorf("%s@%s: read the zip: %w", ans.module, ans.version, err))
		return true
	}
	defer func() { _ = b.Close() }()
	ans.header.write(w)
	http.ServeContent(w, r, "", b.ModTime(), b.Content())
	return true
}
