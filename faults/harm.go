package main

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
)

// cut treats a request, or an answer on its way back, that meets a severed link.
func (l *link) cut(w http.ResponseWriter, r *http.Request, k kind, changed <-chan struct{}) {
	switch k {
	case refusal:
		l.count("reset")
		reset(w)
		return
	case blackhole:
		l.count("never answered")
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	l.count("hung")
	for severed(k) {
		select {
		case <-changed:
			k, changed = l.kind()
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	panic(http.ErrAbortHandler) // what was on its way is lost
}

// reset ends the connection with a RST.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// nonsense answers as something else than a deployment would.
func nonsense(w http.ResponseWriter, r *http.Request) {
	noise := make([]byte, 300+rand.IntN(3000))
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	bodies := []string{
		string(noise), "", "{", "<html><body>It works!</body></html>", `{"position":1,"kind":"add"}` + "\n" + `{"head":1,"next":1}` + "\n",
		`{"head":0,"next":0}` + "\n", `{"module":"example.com/x","version":"v1.0.0","state":"live","held":true,"events":[]}`, strings.Repeat("[", 2000),
	}
	status := http.StatusOK
	if r.URL.Path == "/eventlog" && rand.IntN(4) == 0 {
		// As a log answers that has become shorter.
		status, bodies = http.StatusConflict, []string{`{"detail":"after=1 is beyond the head 0","head":0}`}
	}
	w.Header().Set("Content-Type", []string{"application/x-ndjson", "application/json", "text/html", "application/zip"}[rand.IntN(4)])
	w.WriteHeader(status)
	_, _ = io.WriteString(w, bodies[rand.IntN(len(bodies))])
}
