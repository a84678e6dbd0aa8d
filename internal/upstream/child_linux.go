package upstream

import "syscall"

// childAttributes put a child process into a group of its own, to end what it starts together with it: a version control system that is left
// alone may hang for hours. It ends with this process, however that ends, as long as the thread that started it lives on.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
