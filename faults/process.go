package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// slot is the place of one process of a deployment: the process in it is replaced whenever it has been killed.
type slot struct {
	deployment *deployment
	number     int
	role       string

	mu       sync.Mutex
	port     int
	cmd      *exec.Cmd
	ended    chan struct{} // closed once the process has been waited for
	expected bool          // that it ends
}

// stopPatience is longer than a process takes to end in good order.
const stopPatience = 45 * time.Second

// freePort returns a port that is free, below those that the system takes for outgoing connections.
func freePort() int {
	for {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
}

func (s *slot) String() string {
	return fmt.Sprintf("%s %s process %d", s.deployment.label, s.role, s.number)
}

func (s *slot) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// takePort keeps the port of the process before, unless somebody else has it by now.
func (s *slot) takePort() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)))
	if err == nil {
		_ = l.Close()
	}
	if err != nil || s.port == 0 {
		s.port = freePort()
	}
	return strconv.Itoa(s.port)
}

func (s *slot) log() string {
	return filepath.Join(s.deployment.dir, fmt.Sprintf("%s-%d.log", s.role, s.number))
}

// start starts a process and waits until it is ready. One that ends before that is started again, as whatever supervises it would:
// there may be no database at the moment.
func (s *slot) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		if err := s.launch(); err != nil {
			return err
		}
		switch err := s.awaitReady(ctx); {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("start %s: %w: it said last: %s", s, err, lastLine(s.log()))
		}
		pause(ctx, 300*time.Millisecond)
	}
}

func (s *slot) launch() error {
	port := s.takePort()
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	fmt.Fprintf(log, "=== started at %s, port %s\n", time.Now().Format(clock), port)
	cmd := s.deployment.command()
	cmd.Env = append(cmd.Env, "OLYMPUS_ROLE="+s.role, "PORT="+port)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.ended, s.expected = cmd, ended, false
	s.mu.Unlock()
	s.deployment.spread()
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	return nil
}

// awaitReady waits until the process is ready, and from then on sees to it that it does not end by itself.
func (s *slot) awaitReady(ctx context.Context) error {
	s.mu.Lock()
	cmd, ended := s.cmd, s.ended
	s.mu.Unlock()
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		resp, err := client.Get("http://" + s.address() + "/readyz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-ended:
			return fmt.Errorf("it ended: %s", cmd.ProcessState)
		case <-time.After(30 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
	go func() {
		<-ended
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.expected && s.cmd == cmd {
			s.deployment.oracle.violate("%s ended by itself: %s: %s", s, cmd.ProcessState, lastLine(s.log()))
		}
	}()
	return nil
}

// signal sends a signal to the process, if there is one, and returns what is closed when it has ended.
func (s *slot) signal(sig syscall.Signal, ends bool) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	s.expected = s.expected || ends
	_ = s.cmd.Process.Signal(sig)
	return s.ended
}

// kill ends the process with SIGKILL.
func (s *slot) kill() {
	if ended := s.signal(syscall.SIGKILL, true); ended != nil {
		<-ended
	}
}

// terminate ends the process with SIGTERM. One that does not end, or not well, is a violation.
func (s *slot) terminate() {
	ended := s.signal(syscall.SIGTERM, true)
	if ended == nil {
		return
	}
	select {
	case <-ended:
		if state := s.cmd.ProcessState; state.ExitCode() != 0 {
			s.deployment.oracle.violate("%s did not end well after SIGTERM: %s: %s", s, state, lastLine(s.log()))
		}
	case <-time.After(stopPatience):
		s.deployment.oracle.violate("%s did not end within %s of SIGTERM", s, stopPatience)
		s.kill()
	}
}

// lastLine is the last line of a file.
func lastLine(name string) string {
	content, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	content = bytes.TrimSpace(content)
	return strings.TrimSpace(string(content[bytes.LastIndexByte(content, '\n')+1:]))
}

// memory is the most that the process has had in memory so far, in bytes; 0 if it does not run.
func (s *slot) memory() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kib, 10, 64)
	return n << 10
}
