package actions

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"olympus/internal/gate"
)

const (
	// A request that is not answered from the cache has a turn while it asks the database, whose connections all share: those of clients
	// leave some to those of peers, and both to what the process itself does. A turn ends where a request begins to wait for something
	// else, or to be answered.
	clientTurns  = 8
	peerTurns    = 6
	waitingTurns = 2000
	turnPatience = 5 * time.Second
)

// turnGates bound who asks the database at a time: clients, and those who say that they are peers.
type turnGates struct{ clients, peers *gate.Gate }

func newTurns() *turnGates {
	return &turnGates{clients: gate.New(clientTurns, waitingTurns), peers: gate.New(peerTurns, waitingTurns)}
}

// take waits for a turn of a request. The error is gate.ErrFull, or that of the request's context.
func (t *turnGates) take(w http.ResponseWriter, r *http.Request) (http.ResponseWriter, *http.Request, func(), error) {
	g := t.clients
	if isSigned(r) {
		g = t.peers
	}
	waiting, cancel := context.WithTimeout(r.Context(), turnPatience)
	defer cancel()
	leave, err := g.Enter(waiting)
	if errors.Is(err, context.DeadlineExceeded) && r.Context().Err() == nil {
		err = gate.ErrFull
	}
	if err != nil {
		return nil, nil, nil, err
	}
	return &turnWriter{w, leave}, r.WithContext(gate.WithTurn(r.Context(), leave)), leave, nil
}

// turnWriter ends the turn of a request when its answer begins: whoever reads slowly must not keep the others from the database.
type turnWriter struct {
	http.ResponseWriter
	leave func()
}

func (w *turnWriter) WriteHeader(status int) {
	w.leave()
	w.ResponseWriter.WriteHeader(status)
}

func (w *turnWriter) Write(b []byte) (int, error) {
	w.leave()
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets the kernel send files.
func (w *turnWriter) ReadFrom(r io.Reader) (int64, error) {
	w.leave()
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap is for http.ResponseController.
func (w *turnWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// inTurn gives requests for what only reads their turn.
func (a *App) inTurn(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		inner, r2, leave, err := a.turns.take(w, r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		defer leave()
		next.ServeHTTP(inner, r2)
	})
}
