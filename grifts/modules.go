package grifts

import (
	"strings"

	"golang.org/x/mod/module"

	"olympus/internal/protocol"
	"olympus/worker"
)

func moduleTasks() []task {
	return []task{
		{namespace: "modules", name: "add", args: "M@V", least: 1, run: addModule,
			does: "fetch a version before anybody asks for it; V may be latest, a branch or a commit"},
		{namespace: "modules", name: "deprecate", args: "M@V REASON...", least: 2, most: -1, run: change(protocol.KindDeprecate),
			does: "leave a version out of lists; it is still served by its exact version"},
		{namespace: "modules", name: "delete", args: "M@V REASON...", least: 2, most: -1, run: change(protocol.KindDelete),
			does: "bar a version for good, here and at every peer"},
		{namespace: "modules", name: "import", args: "DIR|URL", least: 1, run: importModules,
			flags: []flag{{"versions", "FILE"}, {"check", ""}},
			does:  "take over what another proxy has: a directory of Athens, goproxy or the go command, or a server"},
	}
}

// moduleVersion takes the first argument apart.
func (c *call) moduleVersion() (path, version string, err error) {
	at := strings.LastIndexByte(c.args[0], '@')
	if at < 0 || at == len(c.args[0])-1 {
		return "", "", c.task.misused("%.200q is not of the form module@version", c.args[0])
	}
	path, version = c.args[0][:at], c.args[0][at+1:]
	if err := module.CheckPath(path); err != nil {
		return "", "", c.task.misused("%v", err)
	}
	return path, version, nil
}

func addModule(c *call) error {
	path, query, err := c.moduleVersion()
	if err != nil {
		return err
	}
	return c.with(func(d *worker.Deployment) error {
		version, err := d.Prefetch(c, path, query)
		if err != nil {
			return err
		}
		return c.print(map[string]any{"module": path, "version": version}, "%s@%s is held\n", path, version)
	})
}

// change is the task that appends an event of a kind without hashes.
func change(kind protocol.Kind) func(*call) error {
	return func(c *call) error {
		path, version, err := c.moduleVersion()
		if err != nil {
			return err
		}
		reason := strings.Join(c.args[1:], " ")
		return c.with(func(d *worker.Deployment) error {
			do := d.Deprecate
			if kind == protocol.KindDelete {
				do = d.Delete
			}
			changed, err := do(actor, path, version, reason)
			if err != nil {
				return err
			}
			state := "is now"
			if !changed {
				state = "was already"
			}
			return c.print(map[string]any{"module": path, "version": version, "kind": kind, "changed": changed},
				"%s@%s %s %sd\n", path, version, state, kind)
		})
	}
}
