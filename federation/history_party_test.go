package federation

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
	"olympus/internal/signature"
	"olympus/internal/testdb"
	"olympus/models"
)

// life ends things before the test does: what is made with it goes when it ends.
type life struct {
	testing.TB
	ends []func()
}

func (l *life) Cleanup(f func())    { l.ends = append(l.ends, f) }
func (l *life) Logf(string, ...any) {} // the deployments' warnings: of histories that are told by their steps
func (l *life) end() {
	for ; len(l.ends) > 0; l.ends = l.ends[:len(l.ends)-1] {
		l.ends[len(l.ends)-1]()
	}
}

// party is a deployment in a history: it keeps its name, key and address when its database is restored.
type party struct {
	l             *life // of the history
	w             *world
	name, url     string
	key, verifier string
	database      string
	db            *pop.Connection
	store         string
	front         through // answers at url, whatever process lives
	process       *deployment
	running       *life                  // of the process
	asked         atomic.Pointer[func()] // called when a page of the log is asked for
	pointers      map[string]int64       // what pulls, rewinds and restores have made of the pull pointers
	during        map[string]int         // the life of the peer that a pull pointer is about
	logs          [][]protocol.Logged    // by life: another begins with each restore
	served        map[int]string         // the .info that each version was served with
	backup        *memory

	sent  int              // pushes that have left since the database was last replaced; guarded by the lock of the world
	heard []protocol.Event // of pushes that have been acknowledged since then
}

// memory is what the history knows of a backup.
type memory struct {
	pointers map[string]int64
	during   map[string]int
	served   map[int]string
	log      []protocol.Logged
	store    string
}

// newParty makes a deployment that nothing has happened to, and no process of which lives.
func newParty(l *life, w *world, name string) *party {
	l.Helper()
	p := &party{l: l, w: w, name: name, database: testdb.URL(l)}
	// Nobody cuts the power in a history: its many small commits need not wait for the disk.
	once := testdb.Open(l, p.database)
	require.NoError(l, once.RawQuery(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$`).Exec())
	var err error
	p.key, p.verifier, err = signature.GenerateKey(name)
	require.NoError(l, err)
	server := httptest.NewServer(http.HandlerFunc(p.serveHTTP))
	l.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	p.url, p.db = server.URL, testdb.Open(l, p.database)
	p.front.put(unreachable)
	return p
}

// reset lets a deployment begin as it was when it was made, and pull pages of the given size.
func (p *party) reset(page int) error {
	p.store = p.l.TempDir()
	p.pointers, p.during, p.served = make(map[string]int64), make(map[string]int), make(map[int]string)
	p.logs, p.heard = [][]protocol.Logged{nil}, nil
	p.w.forgetSent(p)
	if err := p.copyBack("made"); err != nil {
		return err
	}
	p.begin(page)
	return p.saveBackup()
}

// begin starts a process. How large the pages are that it asks for stays as it is while it lives.
func (p *party) begin(page int) {
	p.running = &life{TB: p.l}
	p.process = start(p.running, p.name, options{lazy: true, database: p.database, store: p.store, key: p.key, url: p.url})
	p.process.PageSize = page
	p.front.put(p.process.app.ServeHTTP)
}

// stop ends the process, and waits for what it is at.
func (p *party) stop() {
	p.front.put(unreachable)
	if p.running != nil { // a history may fail before all have begun
		p.running.end()
	}
}

func unreachable(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusServiceUnavailable)
}

// serveHTTP is the network in front of a deployment: pushes are kept until the history delivers or drops them.
func (p *party) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/push" && r.Header.Get("Delivered") == "" {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = p.w.keep(p, body)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"accepted":1}`)
		return
	}
	if f := p.asked.Load(); f != nil && r.URL.Path == "/eventlog" {
		(*f)()
	}
	p.front.wrap(nil).ServeHTTP(w, r)
}

// settle waits until the pushes of this deployment are on their way, and the events of those that it has acknowledged in its log.
func (p *party) settle() error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		var row struct {
			N int `db:"n"`
		}
		if err := p.db.RawQuery("SELECT count(*)::int AS n FROM river_job WHERE kind = 'push'").First(&row); err != nil {
			return err
		}
		for len(p.heard) > 0 {
			logged, err := models.EventsOf(p.db, p.heard[0].Module, p.heard[0].Version)
			if err != nil {
				return err
			}
			if !facts(logged)[factOf(&p.heard[0])] {
				break
			}
			p.heard = p.heard[1:]
		}
		left := row.N - p.w.sentBy(p)
		if left <= 0 && len(p.heard) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d pushes have not left %s, and %d of what it acknowledged is not in its log", left, p.name, len(p.heard))
		}
		<-time.After(time.Millisecond)
	}
}

// restored are the tables of a deployment that a backup has; what else there is is work under way.
var restored = []string{"event_log", "events", "tiles", "versions", "peers", "arrivals", "deliveries"}

// saveBackup copies the database and the blob store.
func (p *party) saveBackup() error {
	m := &memory{pointers: maps.Clone(p.pointers), during: maps.Clone(p.during), served: maps.Clone(p.served), log: p.log()}
	for {
		// The process goes on: what is staged, or is being removed, may be gone before it is copied.
		m.store = p.l.TempDir()
		err := os.CopyFS(filepath.Join(m.store, "store"), os.DirFS(p.store))
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	p.backup = m
	return p.copyAway("backup")
}

// restore replaces the database by the backup, and starts a process as if the machine were new.
func (p *party) restore(store string, page int) error {
	p.stop()
	err := p.copyBack("backup")
	if err != nil {
		return err
	}
	switch store {
	case "restored":
		p.store = p.l.TempDir()
		err = os.CopyFS(p.store, os.DirFS(filepath.Join(p.backup.store, "store")))
	case "lost":
		p.store = p.l.TempDir()
	}
	p.pointers, p.during, p.served = maps.Clone(p.backup.pointers), maps.Clone(p.backup.during), maps.Clone(p.backup.served)
	p.logs, p.heard = append(p.logs, p.backup.log), nil
	p.w.forgetSent(p)
	p.begin(page)
	return err
}

// copyAway copies the tables into a schema.
func (p *party) copyAway(schema string) error {
	statements := []string{"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "DROP SCHEMA IF EXISTS " + schema + " CASCADE", "CREATE SCHEMA " + schema}
	for _, table := range restored {
		statements = append(statements, "CREATE TABLE "+schema+"."+table+" AS TABLE "+table)
	}
	return p.execAll(statements)
}

// copyBack replaces the tables by those of a schema.
func (p *party) copyBack(schema string) error {
	statements := []string{"DELETE FROM river_job", "DELETE FROM fills", "DELETE FROM nonces"}
	for _, table := range restored {
		statements = append(statements, "ALTER TABLE "+table+" DISABLE TRIGGER USER", "DELETE FROM "+table,
			"INSERT INTO "+table+" SELECT * FROM "+schema+"."+table, "ALTER TABLE "+table+" ENABLE TRIGGER USER")
	}
	return p.execAll(statements)
}

func (p *party) execAll(statements []string) error {
	return p.db.Transaction(func(tx *pop.Connection) error {
		for _, s := range statements {
			if err := tx.RawQuery(s).Exec(); err != nil {
				return fmt.Errorf("%s: %w", s, err)
			}
		}
		return nil
	})
}

// log is the log as it was last seen.
func (p *party) log() []protocol.Logged { return p.logs[len(p.logs)-1] }

// look takes a snapshot and checks it by itself and against the one before. The pull pointer for the peer moved, if there is one, is
// where it should be or has just been moved; no other has.
func (p *party) look(moved *party) error {
	s, err := look(p.db)
	if err != nil {
		return err
	}
	if err := s.check(); err != nil {
		return err
	}
	for i, before := range p.log() {
		if i >= len(s.events) || s.events[i] != before {
			return fmt.Errorf("position %d has changed: it was %s", i+1, factOf(&before.Event))
		}
	}
	p.logs[len(p.logs)-1] = s.events
	for peer, at := range s.pointers {
		if s.states[peer] != models.PeerActive {
			return fmt.Errorf("%s is %s", peer, s.states[peer])
		}
		if at != p.pointers[peer] && (moved == nil || moved.name != peer) {
			return fmt.Errorf("the pull pointer for %s moved from %d to %d", peer, p.pointers[peer], at)
		}
		p.pointers[peer] = at
	}
	return nil
}

// skips returns what the pull pointer for a peer has passed over, in the present life of the peer or the one that the pointer is about.
func (p *party) skips(peer *party) error {
	at, set := p.pointers[peer.name], facts(p.log())
	var err error
	for _, of := range []int{len(peer.logs) - 1, p.during[peer.name]} {
		log := peer.logs[of]
		if at > int64(len(log)) {
			err = fmt.Errorf("the pull pointer for %s is at %d of %d", peer.name, at, len(log))
		} else if f := lacking(set, log[:at]); f != nil {
			err = fmt.Errorf("the pull pointer for %s is at %d and has passed over %s", peer.name, at, f)
		} else {
			p.during[peer.name] = of
			return nil
		}
	}
	return err
}
