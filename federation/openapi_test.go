package federation

import (
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// description is the OpenAPI description that a deployment serves, and what has been asked of it.
type description struct {
	t        *testing.T
	document map[string]any
	schemas  *jsonschema.Compiler
	answered map[string]bool // operations that were answered well, as METHOD /path
}

const descriptionURL = "https://olympus.example.com/openapi.json"

func readDescription(t *testing.T, d *deployment) *description {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(d.mustGet("/openapi.json")))
	require.NoError(t, err)
	s := &description{t: t, document: document.(map[string]any), schemas: jsonschema.NewCompiler(), answered: make(map[string]bool)}
	require.Equal(t, "3.1.0", s.document["openapi"])
	require.Equal(t, []any{map[string]any{"url": d.url}}, s.document["servers"])
	// Clients must take members that they do not know. This test must not: a new one is to be described.
	for _, schema := range s.at("components", "schemas") {
		if m := schema.(map[string]any); m["properties"] != nil {
			m["additionalProperties"] = false
		}
	}
	s.schemas.DefaultDraft(jsonschema.Draft2020)
	s.schemas.AssertFormat()
	require.NoError(t, s.schemas.AddResource(descriptionURL, document))
	return s
}

// at is the object that names lead to, by way of references; nil if there is none.
func (s *description) at(names ...string) map[string]any {
	found := s.document
	for _, name := range names {
		found, _ = found[name].(map[string]any)
		if ref, ok := found["$ref"].(string); ok {
			found = s.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return found
}

// operations are what is described, as METHOD /path.
func (s *description) operations() (all []string) {
	for path, item := range s.at("paths") {
		for method := range item.(map[string]any) {
			all = append(all, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(all)
	return all
}

// validate checks a text against the schema at a place. where names it in the failure.
func (s *description) validate(where, text string, pointer ...string) {
	s.t.Helper()
	for i, p := range pointer {
		pointer[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(p)
	}
	schema, err := s.schemas.Compile(descriptionURL + "#/" + strings.Join(pointer, "/"))
	require.NoError(s.t, err, where)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	require.NoError(s.t, err, "%s: %s", where, text)
	require.NoError(s.t, schema.Validate(value), "%s: the answer is not as internal/openapi/openapi.json describes it: %s", where, text)
}

// check requires that an answer is one of those that are described for an operation.
func (s *description) check(operation string, got answer) {
	s.t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	status := strconv.Itoa(got.status)
	pointer := []string{"paths", path, strings.ToLower(method), "responses", status}
	response := s.at(pointer...)
	where := operation + " answers " + status
	require.NotNil(s.t, response, "%s, which internal/openapi/openapi.json does not describe: %s", where, got.body)
	if got.status < 400 {
		s.answered[operation] = true
	}
	kinds, _ := response["content"].(map[string]any)
	if kinds == nil {
		require.Empty(s.t, got.body, where)
		return
	}
	kind, _, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	require.NoError(s.t, err, where)
	media, _ := kinds[kind].(map[string]any)
	require.NotNil(s.t, media, "%s with %s, which is not described", where, kind)
	if !strings.Contains(kind, "json") {
		return
	}
	if raw := s.at(pointer[:4]...)[status].(map[string]any); raw["$ref"] != nil {
		pointer = strings.Split(strings.TrimPrefix(raw["$ref"].(string), "#/"), "/")
	}
	pointer = append(pointer, "content", kind, "schema")
	if media["x-each-line"] == true {
		for line := range strings.Lines(got.body) {
			s.validate(where, line, slices.Clone(pointer)...)
		}
		return
	}
	s.validate(where, got.body, pointer...)
	if got.status >= 400 {
		var problem struct{ Status int }
		require.NoError(s.t, json.Unmarshal([]byte(got.body), &problem))
		require.Equal(s.t, got.status, problem.Status, where)
	}
}

// Every route is described, and nothing is described that is not routed.
func TestEveryRouteIsDescribed(t *testing.T) {
	t.Parallel()
	d := start(t, "om.example.com", options{noJobs: true})
	parameter := regexp.MustCompile(`\{[^}]*\}(@\{[^}]*\})?`)
	named := func(operations []string) (names map[string]string) {
		names = make(map[string]string)
		for _, o := range operations {
			names[parameter.ReplaceAllString(o, "{}")] = o
		}
		return names
	}
	s := readDescription(t, d)
	routed, described := named(d.app.Routes()), named(s.operations())
	for name := range routed {
		if described[name] != "" {
			delete(routed, name)
			delete(described, name)
		}
	}
	require.Empty(t, slices.Sorted(maps.Values(routed)), "routed in actions/app.go or actions/pages.go: describe these in internal/openapi/openapi.json")
	require.Empty(t, slices.Sorted(maps.Values(described)), "described in internal/openapi/openapi.json and not routed: remove these there")
	ids := make(map[any]bool)
	for _, operation := range s.operations() {
		method, path, _ := strings.Cut(operation, " ")
		o := s.at("paths", path, strings.ToLower(method))
		require.NotEmpty(t, o["summary"], operation)
		require.False(t, ids[o["operationId"]], "%s: operationId %v is there twice", operation, o["operationId"])
		ids[o["operationId"]] = true
		inPath := 0
		for i := range asList(o["parameters"]) {
			p := o["parameters"].([]any)[i].(map[string]any)
			if ref, ok := p["$ref"].(string); ok {
				p = s.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			}
			require.NotNil(t, p["schema"], "%s: parameter %v", operation, p["name"])
			if p["in"] == "path" {
				require.Contains(t, path, "{"+p["name"].(string)+"}", operation)
				inPath++
			}
		}
		require.Equal(t, strings.Count(path, "{"), inPath, "%s: a parameter of the path is not described", operation)
	}
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// What a process of the role worker does not serve is not found, as a problem too.
func TestWorkersAnswerProblems(t *testing.T) {
	t.Parallel()
	s := newSite(t, "om.example.com", "OLYMPUS_ROLE=worker")
	p := s.start()
	resp, err := http.Get(p.url + "/eventlog")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
}
