package docs

import (
	"os"
	"path/filepath"
	"strings"

	"olympus/internal/testmod"
)

// scenario is somebody who follows documents: the blocks that are run one after the other on one machine.
type scenario struct {
	name   string
	ports  []string       // that the documents speak of, and machines with theirs
	before func(w *world) // what is there already
	blocks []string       // "TERMINAL: name" for a block with the prompt $
}

var scenarios = []scenario{
	{
		name: "tutorial", ports: []string{"3000", "3001"},
		blocks: []string{
			"tutorial.md, 1. Build, 1", "tutorial.md, 2. Start om, 1", "tutorial.md, 3. Point go at it, 1", "tutorial.md, 4. Start oa, 1",
			"tutorial.md, 5. Make them peers, 1", "tutorial.md, 5. Make them peers, 2", "tutorial.md, 5. Make them peers, 3",
			"tutorial.md, 6. Fetch at om, find it at oa, 1", "tutorial.md, 6. Fetch at om, find it at oa, 2", "tutorial.md, 7. Switch the world off, 1", "tutorial.md, 8. Bar a version, 1",
			"tutorial.md, 9. Clean up, 1",
		},
	},
	{
		name: "two machines", ports: []string{"om.example.com:3000", "oa.example.com:3000"},
		before: func(w *world) {
			w.machine("om")
			w.machine("oa")
		},
		blocks: []string{
			"README.md, Federate two machines, 1", "om: README.md, Federate two machines, 2", "oa: README.md, Federate two machines, 2",
			"README.md, Federate two machines, 3", "README.md, Federate two machines, 4", "README.md, Federate two machines, 5",
		},
	},
	{
		name: "restore", ports: []string{"3000", "3001"},
		before: func(w *world) {
			om := w.serve("om", "3000", "OLYMPUS_PULL_INTERVAL=1s")
			oa := w.serve("oa", "3001", "OLYMPUS_PULL_INTERVAL=1s")
			w.knows("om", "oa")
			w.knows("oa", "om")
			w.must(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
			w.must(oa, "olympus task sync:pull")
			w.t.Cleanup(func() {
				_, _ = w.terminal("end").run("end", `psql -q "`+os.Getenv("TEST_DATABASE_URL")+`" -c 'DROP DATABASE IF EXISTS `+w.restored+` WITH (FORCE)'`)
			})
		},
		blocks: []string{"backup.md, Back up, 1", "backup.md, A drill, 1", "DO: oa: olympus task sync:pull", "DO: om: kill $!; wait", "backup.md, A drill, 2", "backup.md, A drill, 3"},
	},
	{
		name: "operating", ports: []string{"3950", "3951"},
		before: func(w *world) {
			om := w.serve("om", "3950")
			w.serve("oa", "3951", "OLYMPUS_FETCH=lazy")
			w.knows("om", "oa")
			w.must(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
		},
		blocks: []string{
			"operating.md, Modules, 1", "operating.md, Doctor, 1", "oa: operating.md, Peers, 1", "protocol.md, Errors, 1", "protocol.md, Errors of the other routes, 1",
			"protocol.md, Feed of versions, 1", "operating.md, Administration over HTTP, 1", "operating.md, Administration over HTTP, 2",
		},
	},
	{
		name: "peers", ports: []string{"3000", "3001"},
		before: func(w *world) {
			om, oa := w.serve("om", "3000"), w.serve("oa", "3001")
			w.must(om, "olympus task modules:add golang.org/x/mod@v0.42.0")
			w.learn(strings.Split(w.must(om, "olympus task key:show"), "\n"))
			w.must(oa, "olympus task peers:join http://127.0.0.1:"+w.ports["3000"]+" "+w.keys["om.example.com"])
		},
		blocks: []string{
			"operating.md, Peers, 2", "DO: oa: olympus task sync:pull", "security.md, Change the signing key, 1", "security.md, Change the signing key, 2",
		},
	},
	{
		name: "first steps", ports: []string{"3000"},
		before: func(w *world) { w.serve("om", "3000") },
		blocks: []string{
			"README.md, Use it, 1", "README.md, A checksum database of your own, 1", "operating.md, Tasks, 1", "operating.md, Keys, 1",
			"packaging.md, Binaries of a release, 1", "upgrading.md, Upgrade, 1", "capacity.md, Disk, 1",
		},
	},
	{
		name: "migrating", ports: []string{"olympus.example.com"},
		before: func(w *world) {
			hello, newer := testmod.Module{Path: "example.com/hello", Version: "v1.0.0"}, testmod.Module{Path: "example.com/hello", Version: "v1.1.0"}
			lint := testmod.Module{Path: "example.com/Tools/lint", Version: "v0.0.0-20260102030405-abcdefabcdef"}
			testmod.Athens(w.t, filepath.Join(w.dir, "srv/athens"), hello, newer, lint)
			testmod.Tree(w.t, filepath.Join(w.dir, "srv/goproxy"), hello, newer, lint)
			old := portOf(w.t, testmod.NewUpstream(w.t, hello, newer).URL)
			w.ports["8081"], w.ports["athens.example.com:3000"] = old, old
			w.write("go.sum", testmod.GoSum(w.t, newer))
			for _, name := range []string{"om", "oa", "og", "dx"} { // from a goproxy, an Athens, any server; and once more from an Athens
				w.deployment(name, "olympus.example.com")
			}
		},
		blocks: []string{
			"oa: migrating.md, 2. Import, 1", "oa: migrating.md, 2. Import, 4", "og: migrating.md, 2. Import, 2", "dx: operating.md, Modules, 2",
			"migrating.md, 1. Run Olympus beside the old proxy, 1", "DO: om: olympus",
			`DO: om: export LINT="srv/goproxy/example.com/!tools/lint/@v/v0.0.0-20260102030405-abcdefabcdef.zip"`,
			`DO: om: mv "$LINT" whole.zip; head -c 100 whole.zip > "$LINT"; ! olympus task modules:import /srv/goproxy`, "migrating.md, 2. Import, 3",
			`DO: om: cp whole.zip "$LINT"; olympus task modules:import /srv/goproxy`,
			"DO: client: mkdir project; cd project; go mod init example.com/project", "client: migrating.md, 3. Point the clients, 1",
			"migrating.md, 4. Take the old proxy away, 1",
		},
	},
}
