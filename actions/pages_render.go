package actions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"html/template"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/buffalo/render"
	"golang.org/x/mod/module"
)

// navigation is one entry of the menu.
type navigation struct {
	Label, Href string
	Here        bool
}

var sections = []struct{ label, path string }{
	{"Overview", ""}, {"Alarms", "alarms"}, {"Peers", "peers"}, {"Events", "events"}, {"Modules", "modules"}, {"Jobs", "jobs"},
	{"Audit", "audit"},
}

// html renders a page. Templates get plain strings, which plush escapes, and template.HTML where a function here made it: plush would
// print nothing of another type's string, or print it unescaped.
func (p *pages) html(c buffalo.Context, status int, name, title string, view any) error {
	path := strings.TrimSuffix(c.Request().URL.Path, "/")
	menu := make([]navigation, len(sections))
	for i, s := range sections {
		here := path == "/"+s.path || s.path != "" && strings.HasPrefix(path, "/"+s.path+"/") || s.path == "" && (path == "" || path == "/status") ||
			s.path == "modules" && strings.HasPrefix(path, "/explain/")
		menu[i] = navigation{s.label, p.link(s.path), here}
	}
	c.Set("title", title)
	c.Set("deployment", p.Deployment.Name)
	c.Set("release", p.Version)
	c.Set("navigation", menu)
	c.Set("stylesheet", p.assetLink("olympus.css"))
	c.Set("icon", p.assetLink("olympus.svg"))
	c.Set("script", p.assetLink("olympus.js"))
	c.Set("live", p.link("live"))
	topics, _ := c.Value("topics").(string)
	c.Set("topics", topics)
	c.Set("signin", p.link("signin")+"?back="+url.QueryEscape(p.here(c.Request())))
	c.Set("signout", p.link("signout"))
	c.Set("made", exactly(time.Now()))
	c.Set("view", view)
	p.setReader(c)
	h := c.Response().Header()
	h.Add("Vary", "Accept")
	h.Add("Vary", "Cookie")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache")
	}
	return c.Render(status, p.engine.HTML(name))
}

// upToDate makes the script keep a page up to date: it is read again when something has changed that it shows.
func upToDate(c buffalo.Context, topics ...string) { c.Set("topics", strings.Join(topics, " ")) }

// json renders a value as it stands, without escapes for HTML. A form is answered with the page to go on to.
func (p *pages) json(c buffalo.Context, status int, value any) error {
	if f := formOf(c.Request().Context()); f != nil {
		return p.goOn(c, f, noticeOf(c.Request(), value))
	}
	h := c.Response().Header()
	h.Add("Vary", "Accept")
	h.Set("Cache-Control", "no-cache")
	return c.Render(status, render.Func("application/json", func(w io.Writer, _ render.Data) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(value)
	}))
}

// wantsJSON reports whether a request prefers JSON to a page, by its Accept header. Who accepts anything gets a page.
func wantsJSON(r *http.Request) bool {
	quality := map[string]float64{}
	for _, field := range r.Header.Values("Accept") {
		for item := range strings.SplitSeq(field, ",") {
			media, parameters, err := mime.ParseMediaType(item)
			if err != nil {
				continue
			}
			q, err := strconv.ParseFloat(parameters["q"], 64)
			if err != nil {
				q = 1
			}
			quality[media] = q
		}
	}
	return quality["application/json"] > 0 && quality["application/json"] >= quality["text/html"]
}

// basePath is the path below which the deployment is reached; a proxy in front takes it off.
func basePath(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.EscapedPath(), "/")
}

// link is the address of a page, from unescaped elements of its path.
func (p *pages) link(elements ...string) string {
	u := url.URL{Path: strings.TrimPrefix(strings.Join(elements, "/"), "/")}
	return p.base + "/" + u.EscapedPath()
}

// versionLink is the address of the page of a version.
func (p *pages) versionLink(path, version string) string {
	escapedPath, err := module.EscapePath(path)
	if err != nil {
		return p.link("modules")
	}
	escapedVersion, err := module.EscapeVersion(version)
	if err != nil {
		return p.link("modules")
	}
	return p.link("modules", escapedPath+"@"+escapedVersion)
}

// ago is a time relative to now, with the exact one where a reader looks for it.
func ago(t *time.Time) template.HTML {
	if t == nil || t.IsZero() {
		return `<span class="never">never</span>`
	}
	text := relative(time.Since(*t))
	if text == "" {
		text = t.UTC().Format("2 Jan 2006")
	}
	return template.HTML(fmt.Sprintf(`<time datetime=%q title=%q>%s</time>`,
		t.UTC().Format(time.RFC3339Nano), html.EscapeString(t.UTC().Format("2006-01-02 15:04:05.000000 UTC")), text))
}

// exactly is a time of today, to the second.
func exactly(t time.Time) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime=%q>%s</time>`, t.UTC().Format(time.RFC3339), t.UTC().Format("15:04:05 UTC")))
}

// relative says how long ago something was, or will be for a negative duration; nothing when a date says it better.
func relative(d time.Duration) string {
	if d < 0 {
		if d > -time.Second {
			return "now"
		}
		return "in " + roughly(-d)
	}
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 30*24*time.Hour:
		return roughly(d) + " ago"
	}
	return ""
}

// roughly is a duration in its largest unit.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 24*time.Hour:
		return strconv.Itoa(int(d.Hours())) + " h"
	case d < 48*time.Hour:
		return "1 day"
	}
	return strconv.Itoa(int(d.Hours()/24)) + " days"
}

// counted is a number with its thousands apart.
func counted(n int64) string {
	digits := strconv.FormatInt(n, 10)
	var b bytes.Buffer
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// some is a number with its noun, which takes an s in the plural.
func some(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return counted(n) + " " + noun + "s"
}

// sized is a number of bytes in a readable unit.
func sized(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1<<10:
		return some(n, "byte")
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// utc is a time as JSON has it here, null for none.
func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
