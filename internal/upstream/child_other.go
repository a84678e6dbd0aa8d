//go:build !linux

package upstream

import "syscall"

// childAttributes put a child process into a group of its own, to end what it starts together with it. Here it outlives this process if
// that is killed.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
