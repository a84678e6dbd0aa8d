// Package grifts holds the tasks that operators run from the shell: "olympus task NAME", one file per namespace.
//
// A task checks its arguments, makes one or two calls into worker or models, and prints. It runs in the olympus binary and is no server:
// it works no jobs, and what it queues is worked by the processes that serve. All of them can be run again.
package grifts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gobuffalo/grift/grift"

	"olympus/config"
	"olympus/worker"
)

// actor is how the audit trail calls whoever runs a task.
const actor = "task"

// Env is what tasks need of the process that they run in.
type Env struct {
	// Config returns the settings. The task that makes a signing key goes on without one.
	Config func() (*config.Config, error)
	// Open makes this process part of the deployment, as one that serves nothing, until the returned function is called. Tasks that
	// need no database do not call it.
	Open func(context.Context) (*worker.Deployment, func() error, error)

	Stdin          io.Reader
	Terminal       bool // Stdin and Stdout are one: there is somebody to ask
	Stdout, Stderr io.Writer
}

// UsageError says that a task was called in a way that it cannot be called.
type UsageError struct {
	Reason string
	Usage  string // how it can be; empty if Reason says it
}

func (e *UsageError) Error() string { return e.Reason }

// task is one task, known as namespace:name.
type task struct {
	namespace, name string
	args            string // as the usage shows them
	least, most     int    // arguments; most 0 is least, -1 any number
	flags           []flag // besides --json
	does            string
	run             func(*call) error
}

// flag is --name, or --name VALUE.
type flag struct {
	name  string
	value string // as the usage shows it; empty if there is none
}

func (t *task) String() string {
	if t.namespace == "" {
		return t.name
	}
	return t.namespace + ":" + t.name
}

func (t *task) usage() string {
	words := []string{"olympus task", t.String()}
	if t.args != "" {
		words = append(words, t.args)
	}
	for _, f := range append(slices.Clone(t.flags), flag{name: "json"}) {
		words = append(words, "["+strings.TrimSpace("--"+f.name+" "+f.value)+"]")
	}
	return strings.Join(words, " ")
}

func (t *task) misused(format string, args ...any) error {
	return &UsageError{Reason: fmt.Sprintf("%s: %s", t, fmt.Sprintf(format, args...)), Usage: t.usage()}
}

func tasks() []task {
	all := slices.Concat(peerTasks(), joinTasks(), syncTasks(), logTasks(), moduleTasks(), keyTasks(), doctorTasks(), explainTasks())
	slices.SortFunc(all, func(a, b task) int { return cmp.Compare(a.String(), b.String()) })
	return all
}

// Names are the names of all tasks, in order.
func Names() []string {
	var names []string
	for _, t := range tasks() {
		names = append(names, t.String())
	}
	return names
}

// Flags are the flags of a task; none if there is no such task.
func Flags(name string) []string {
	var flags []string
	for _, t := range tasks() {
		if t.String() != name {
			continue
		}
		for _, f := range append(slices.Clone(t.flags), flag{name: "json"}) {
			flags = append(flags, "--"+f.name)
		}
	}
	return flags
}

// Load registers the tasks with grift, whose registry is one for the process. Loaded again, they take the place of those before.
func Load(env Env) error {
	for _, t := range tasks() {
		add := func() {
			// Neither can fail. Set, because Add would run a task once for each time that it was loaded.
			_ = grift.Desc(t.name, t.does)
			_ = grift.Set(t.name, func(c *grift.Context) error { return t.call(c, env, c.Args) })
		}
		if t.namespace == "" {
			add()
			continue
		}
		if err := grift.Namespace(t.namespace, add); err != nil {
			return fmt.Errorf("register task %s: %w", t.String(), err)
		}
	}
	return nil
}

// Run runs a registered task, or "list", which prints what there is.
func Run(ctx context.Context, env Env, name string, args []string) error {
	if name == "list" {
		t := task{namespace: "task", name: "list", run: list}
		return t.call(ctx, env, args)
	}
	if !slices.Contains(grift.List(), name) {
		return &UsageError{Reason: fmt.Sprintf("there is no task %.100q", name), Usage: "olympus task NAME [ARGS] (olympus task list names them)"}
	}
	c := grift.NewContextWithContext(name, ctx)
	c.Args = args
	return grift.Run(name, c)
}

// call is one run of a task.
type call struct {
	context.Context
	Env
	task *task
	args []string
	json bool // print JSON
	// flags are the values of those that were given, that of a flag without one being its name.
	flags map[string]string
}

func (t *task) call(ctx context.Context, env Env, args []string) error {
	c := &call{Context: ctx, Env: env, task: t, flags: make(map[string]string)}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			c.args = append(c.args, args[i+1:]...)
			break
		}
		name, isFlag := strings.CutPrefix(arg, "--")
		if !isFlag {
			c.args = append(c.args, arg)
			continue
		}
		if name == "json" {
			c.json = true
			continue
		}
		name, value, hasValue := strings.Cut(name, "=")
		known := slices.IndexFunc(t.flags, func(f flag) bool { return f.name == name && (f.value != "" || !hasValue) })
		switch {
		case known < 0:
			return t.misused("unknown flag %.100q", arg)
		case t.flags[known].value == "":
			value = name
		case !hasValue && i+1 == len(args):
			return t.misused("%.100q needs a value", arg)
		case !hasValue:
			i++
			value = args[i]
		}
		c.flags[name] = value
	}
	most := cmp.Or(t.most, t.least)
	switch {
	case len(c.args) < t.least:
		return t.misused("missing argument")
	case most >= 0 && len(c.args) > most:
		return t.misused("unexpected argument %.100q", c.args[most])
	}
	return t.run(c)
}

// arg is an argument by its index, empty if it was left out.
func (c *call) arg(i int) string {
	if i < len(c.args) {
		return c.args[i]
	}
	return ""
}

// with runs f in the deployment.
func (c *call) with(f func(*worker.Deployment) error) error {
	d, done, err := c.Open(c)
	if err != nil {
		return err
	}
	return errors.Join(f(d), done())
}

// print prints an answer: value as JSON, or a text.
func (c *call) print(value any, format string, args ...any) error {
	if c.json {
		encoder := json.NewEncoder(c.Stdout)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(value)
	}
	_, err := fmt.Fprintf(c.Stdout, format, args...)
	return err
}

// table prints rows of cells, or value as JSON.
func (c *call) table(value any, rows [][]string) error {
	if c.json {
		return c.print(value, "")
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, cells := range rows {
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func list(c *call) error {
	type line struct {
		Name        string `json:"name"`
		Args        string `json:"args"`
		Description string `json:"description"`
	}
	lines := []line{}
	var rows [][]string
	for _, t := range tasks() {
		lines = append(lines, line{t.String(), t.args, t.does})
		rows = append(rows, []string{strings.TrimSpace(t.String() + " " + t.args), t.does})
	}
	return c.table(lines, rows)
}
