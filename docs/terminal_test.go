package docs

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long one command may take.
const patience = 2 * time.Minute

// terminal is a shell that commands are typed into, one after the other: what one exports or starts is there for the next.
type terminal struct {
	t     *testing.T
	input io.Writer
	lines chan string // of its output; closed when the shell has ended
	asked int
}

func openTerminal(t *testing.T, dir string, env []string) *terminal {
	t.Helper()
	shell := exec.Command("bash", "--norc", "--noprofile")
	shell.Dir, shell.Env = dir, env
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := shell.StdinPipe()
	require.NoError(t, err)
	output, err := shell.StdoutPipe()
	require.NoError(t, err)
	shell.Stderr = shell.Stdout
	require.NoError(t, shell.Start())
	term := &terminal{t: t, input: input, lines: make(chan string, 1000)}
	go func() {
		defer close(term.lines)
		scanner := bufio.NewScanner(output)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			term.lines <- strings.TrimSuffix(scanner.Text(), "\r") // which ends the lines of a terminal
		}
	}()
	t.Cleanup(func() {
		// What it has started in the background too.
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL)
		for range term.lines {
		}
		_ = shell.Wait()
	})
	return term
}

// run types a command and returns its output and exit code. at names it in a failure.
func (term *terminal) run(at, command string) (output []string, code int) {
	term.t.Helper()
	term.asked++
	end := fmt.Sprintf("--end of command %d: ", term.asked)
	_, err := fmt.Fprintf(term.input, "{ %s\n} </dev/null\nprintf '\\n%s%%d\\n' $?\n", command, end)
	require.NoError(term.t, err, at)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case line, open := <-term.lines:
			require.True(term.t, open, "%s: %s ends the shell: %s", at, command, strings.Join(output, "\n"))
			if text, ended := strings.CutPrefix(line, end); ended {
				code, err = strconv.Atoi(text)
				require.NoError(term.t, err)
				return output, code
			}
			if line != "" {
				output = append(output, line)
			}
		case <-timer.C:
			require.Fail(term.t, "it does not end", "%s: %s: %s", at, command, strings.Join(output, "\n"))
		}
	}
}
