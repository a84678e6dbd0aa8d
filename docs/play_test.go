package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	aPort  = regexp.MustCompile(`\b[0-9]{4}\b`)
	serves = regexp.MustCompile(`^([A-Z_]+=\S+ )*(make run|(\S*/)?olympus)$`) // until it is stopped
	asks   = regexp.MustCompile(`\(yes/no\) (yes)$`)                          // and what is answered
	aKey   = regexp.MustCompile(`\b((?:o[amg]|dx)\.example\.com)\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43,44}=?`)
)

// here is a command of a document as it is typed here: with the ports, keys and directories of this machine, which is each that the document names.
func (w *world) here(command string) string {
	command = aKey.ReplaceAllStringFunc(command, func(written string) string {
		name, _, _ := strings.Cut(written, "+")
		if key := w.keys[name]; key != "" {
			return key
		}
		return written
	})
	command = strings.ReplaceAll(strings.ReplaceAll(command, "/restored?", "/"+w.restored+"?"), "DATABASE restored", "DATABASE "+w.restored)
	command = strings.ReplaceAll(strings.ReplaceAll(command, "ADDR=0.0.0.0", "ADDR=127.0.0.1"), " /srv/", " "+w.dir+"/srv/")
	command = strings.ReplaceAll(strings.ReplaceAll(command, "verify /etc/", "verify --root="+w.dir+" /etc/"), "yes /etc/", "yes "+w.dir+"/etc/")
	for address, port := range w.ports {
		if strings.Contains(address, ".") {
			command = strings.ReplaceAll(command, address, "127.0.0.1:"+port)
		}
	}
	return aPort.ReplaceAllStringFunc(command, func(port string) string {
		if w.ports[port] != "" {
			return w.ports[port]
		}
		return port
	})
}

// play runs the commands of a block, and compares what they print with what the document shows. in is the terminal of the prompt $.
func (w *world) play(b block, in string) {
	w.t.Helper()
	for _, s := range b.steps {
		name := s.terminal
		if name == "" {
			name = in
		}
		if serves.MatchString(s.command) {
			require.Empty(w.t, s.output, s.at)
			w.start(w.terminal(name), w.here(s.command))
			continue
		}
		output, code := w.terminal(name).run(s.at, w.typed(s))
		w.learn(output)
		if s.shown {
			want, got := shape(s.output), shape(output)
			if strings.Contains(s.command, "task explain ") {
				slices.Sort(want)
				got = w.settled(s, name, want)
			}
			require.Equal(w.t, strings.Join(want, "\n"), strings.Join(got, "\n"), "%s: %s", s.at, s.command)
		}
		if code != 0 {
			require.NotEmpty(w.t, s.output, "%s: %s fails: %s", s.at, s.command, strings.Join(output, "\n"))
		}
	}
}

// typed is the command of a step as it is typed here. One that asks gets a terminal of its own, in which somebody waits for the question and
// answers what the document shows. A stream is read as far as the document shows it.
func (w *world) typed(s step) string {
	command := w.here(s.command)
	if strings.HasPrefix(command, "curl -N ") {
		return fmt.Sprintf("head -n %d < <(%s)", len(s.output), command)
	}
	for _, line := range s.output {
		if answer := asks.FindStringSubmatch(line); answer != nil {
			w.asked++
			file := fmt.Sprintf("%s/asked.%d", w.dir, w.asked)
			return fmt.Sprintf("(for _ in $(seq 600); do ! grep -qs '(yes/no)' %s || break; sleep 0.1; done; echo %s) | script -qefc '%s' %[1]s", file, answer[1], command)
		}
	}
	return command
}

// settled asks for the life of a version until it is as the document tells it: jobs may be at it still. The lines are sorted, as want must be:
// what happens at the same moment is told in either order.
func (w *world) settled(s step, terminal string, want []string) (got []string) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !slices.Equal(want, got) && time.Now().Before(deadline); {
		output, _ := w.terminal(terminal).run(s.at, w.here(s.command))
		got = slices.Sorted(slices.Values(shape(output)))
	}
	return got
}
