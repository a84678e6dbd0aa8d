package actions

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"olympus/internal/download"
	"olympus/models"
	"olympus/worker"
)

// list answers /@v/list.
func (a *App) list(w http.ResponseWriter, r *http.Request, ask *asking) error {
	listed, err := a.listed(r.Context(), ask)
	if err != nil {
		return err
	}
	body := strings.Join(listed.Versions, "\n")
	if body != "" {
		body += "\n"
	}
	answer := a.fresh(ask, listed, plainText, body)
	a.serve(w, r, answer)
	return nil
}

// latest answers /@latest with the .info of the version it resolves to.
func (a *App) latest(w http.ResponseWriter, r *http.Request, ask *asking) error {
	listed, err := a.listed(r.Context(), ask)
	if err != nil {
		return err
	}
	if listed.Latest == "" {
		return notFound("%s: no version is known", ask.Module)
	}
	info, err := a.info(r.Context(), ask, listed.Latest)
	if err != nil {
		return err
	}
	answer := a.fresh(ask, listed, jsonText, info)
	a.serve(w, r, answer)
	return nil
}

func (a *App) listed(ctx context.Context, ask *asking) (*worker.Listed, error) {
	listed, err := a.Deployment.List(ctx, ask.Module, ask.onlyHere)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ask.Module, err)
	}
	if !listed.Known {
		return nil, notFound("%s: nobody knows this module", ask.Module)
	}
	return listed, nil
}

// info returns the .info of a version that a list named, filling it if that is allowed and needed.
func (a *App) info(ctx context.Context, ask *asking, version string) (string, error) {
	v, err := models.FindVersion(a.Deployment.DB.WithContext(ctx), ask.Module, version)
	if err == nil {
		v, err = a.pinned(ctx, v)
	}
	switch {
	case err == nil && v.Known():
		return v.Info, nil
	case err == nil && v.Deleted:
		return "", a.deleted(ctx, &asking{Request: download.Request{Module: ask.Module, Version: version}})
	case err != nil && !errors.Is(err, models.ErrNotFound):
		return "", err
	case ask.onlyHere:
		return "", notFound("%s@%s: not known here, and the request asks not to fetch it", ask.Module, version)
	}
	ctx, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	info, _, err := a.Deployment.Fill(ask.Module, version).Files(ctx)
	if err != nil {
		return "", fmt.Errorf("%s@%s: %w", ask.Module, version, err)
	}
	return info, nil
}

// fresh makes the answer for what changes with time, and keeps it for as long as upstream's list is fresh. Clients may keep it for half
// a minute at most, so that they hear of an event soon.
func (a *App) fresh(ask *asking, listed *worker.Listed, contentType []string, body string) *answer {
	age := min(time.Until(listed.Fresh), 30*time.Second)
	ans := &answer{
		module: ask.Module, ext: ask.Ext, body: []byte(body), until: listed.Fresh,
		header: answerHeader{
			contentType:  contentType,
			cacheControl: []string{"public, max-age=" + strconv.Itoa(max(0, int(age.Seconds())))},
			etag:         []string{etagOf(body)},
			length:       []string{strconv.Itoa(len(body))},
		},
	}
	if !ask.onlyHere && age > 0 {
		a.answers.put(ask.path, ans, ask.at)
	}
	return ans
}

// query answers .info of what is not a canonical version (a branch, a commit, a prefix, latest) with what upstream makes of it.
func (a *App) query(w http.ResponseWriter, r *http.Request, ask *asking) error {
	if ask.onlyHere {
		return notFound("%s@%s: not a version, and the request asks not to ask upstream", ask.Module, ask.Version)
	}
	ctx, cancel := context.WithTimeout(r.Context(), fillWait)
	defer cancel()
	info, version, err := a.Deployment.Query(ctx, ask.Module, ask.Version)
	if err != nil {
		return fmt.Errorf("%s@%s: %w", ask.Module, ask.Version, err)
	}
	if err := module.Check(ask.Module, version); err != nil {
		return &statusError{status: http.StatusBadGateway, message: fmt.Sprintf("%s@%s: upstream answered version %q", ask.Module, ask.Version, version)}
	}
	v, err := models.FindVersion(a.Deployment.DB.WithContext(ctx), ask.Module, version)
	if err == nil {
		v, err = a.pinned(ctx, v)
	}
	if err != nil && !errors.Is(err, models.ErrNotFound) {
		return err
	}
	if err == nil && v.Deleted {
		return a.deleted(ctx, &asking{Request: download.Request{Module: ask.Module, Version: version}})
	}
	body := string(info)
	if err == nil && v.Known() {
		body = v.Info // the same version has the same .info, however it is asked for
	}
	a.serve(w, r, &answer{
		module: ask.Module, ext: ask.Ext, body: []byte(body),
		header: answerHeader{
			contentType: jsonText, cacheControl: []string{"public, max-age=30"},
			etag: []string{etagOf(body)}, length: []string{strconv.Itoa(len(body))},
		},
	})
	return nil
}

// etagOf is a strong validator of a body.
func etagOf(body string) string {
	sum := sha256.Sum256([]byte(body))
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
}
