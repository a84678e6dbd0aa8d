package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end in good order: longer than its requests and jobs may.
const stopTimeout = 40 * time.Second

// process is a server. It leads a session of its own: neither Ctrl-C nor the end of our terminal reaches it, only we do.
//
// Its id is kept in a file, so that it can be stopped when we are gone.
type process struct {
	pid   int
	dir   string        // absolute path of its directory
	ended chan struct{} // closed when it has; nil if it is not our child
}

// startProcess starts a server that logs into a file in its directory.
func startProcess(binary, dir string, env []string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(binary)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, dir: dir, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(p.ended)
	}()
	if err := os.WriteFile(p.file(), []byte(strconv.Itoa(p.pid)+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, p.kill())
	}
	return p, nil
}

// findProcess returns the server that was started in a directory and still runs, or nil.
func findProcess(binary, dir string) *process {
	p := &process{dir: dir}
	content, err := os.ReadFile(p.file())
	if err != nil {
		return nil
	}
	if p.pid, err = strconv.Atoi(strings.TrimSpace(string(content))); err != nil || p.pid <= 1 {
		return nil
	}
	// The number may belong to somebody else by now.
	args, err := exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(p.pid)).Output()
	if err != nil || strings.TrimSpace(string(args)) != binary {
		return nil
	}
	return p
}

func (p *process) file() string { return filepath.Join(p.dir, "pid") }

// signal does nothing when the process has ended: its number may belong to somebody else by now.
func (p *process) signal(s syscall.Signal) {
	if !p.hasEnded() {
		_ = syscall.Kill(p.pid, s)
	}
}

func (p *process) hasEnded() bool {
	if p.ended == nil {
		return errors.Is(syscall.Kill(p.pid, 0), syscall.ESRCH)
	}
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop ends the process in good order, or else at once.
func (p *process) stop() error {
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT) // it may have been made to hang
	if p.await(stopTimeout) == nil {
		return nil
	}
	return p.kill()
}

// kill ends the process as a crash would.
func (p *process) kill() error {
	p.signal(syscall.SIGKILL)
	return p.await(stopTimeout)
}

func (p *process) await(patience time.Duration) error {
	for until := time.Now().Add(patience); !p.hasEnded(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			return fmt.Errorf("process %d does not end", p.pid)
		}
	}
	return os.Remove(p.file())
}

// lastLine is the last thing that it logged.
func (p *process) lastLine() string {
	content, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return lines[len(lines)-1]
}
