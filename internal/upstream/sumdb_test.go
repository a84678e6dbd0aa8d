package upstream

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"

	"olympus/internal/download"
	"olympus/internal/testmod"
)

// sumDB is a real checksum database over modules, whose history can be replaced by another one under the same key.
type sumDB struct {
	name, key, skey string
	server          atomic.Pointer[sumdb.Server]
	requests        atomic.Int64
	status          atomic.Int64                                   // answered to everything, if set
	alter           atomic.Pointer[func(path, body string) string] // what is made of answers on the way, if set
}

func newSumDB(t testing.TB, name string, modules []testmod.Module) *sumDB {
	t.Helper()
	skey, key, err := note.GenerateKey(rand.Reader, name)
	require.NoError(t, err)
	db := &sumDB{name: name, key: key, skey: skey}
	db.rewrite(t, modules)
	return db
}

// rewrite starts a new history.
func (db *sumDB) rewrite(t testing.TB, modules []testmod.Module) {
	t.Helper()
	lines := make(map[string]string)
	for _, m := range modules {
		lines[m.Path+"@"+m.Version] = testmod.GoSum(t, m)
	}
	db.history(func(path, version string) ([]byte, error) {
		if l, ok := lines[path+"@"+version]; ok {
			return []byte(l), nil
		}
		return nil, &fs.PathError{Op: "lookup", Path: path + "@" + version, Err: fs.ErrNotExist}
	})
}

// history starts a new history with the records that gosum gives.
func (db *sumDB) history(gosum func(path, version string) ([]byte, error)) {
	db.server.Store(sumdb.NewServer(sumdb.NewTestServer(db.skey, gosum)))
}

// grow adds records for all modules to the history.
func (db *sumDB) grow(t testing.TB, modules []testmod.Module) {
	t.Helper()
	for _, m := range modules {
		path := download.Request{Module: m.Path, Version: m.Version, Ext: download.Info}.Path()
		path = strings.TrimSuffix(strings.Replace(path, "/@v/", "@", 1), ".info")
		rec := httptest.NewRecorder()
		db.server.Load().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/lookup"+path, nil))
		require.Equal(t, http.StatusOK, rec.Code, rec.Body)
	}
}

func (db *sumDB) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	db.requests.Add(1)
	defer func() {
		if recover() != nil { // the test server's answer to tiles that it does not have
			http.NotFound(w, r)
		}
	}()
	if status := db.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	alter := db.alter.Load()
	if alter == nil {
		db.server.Load().ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	db.server.Load().ServeHTTP(rec, r)
	w.WriteHeader(rec.Code)
	fmt.Fprint(w, (*alter)(r.URL.Path, rec.Body.String()))
}

// serve makes the database reachable, and returns its setting with the URL.
func (db *sumDB) serve(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(db)
	t.Cleanup(server.Close)
	return db.key + " " + server.URL
}

// behind makes the database reachable through a proxy, and returns the proxy's URL.
func (db *sumDB) behind(t testing.TB, modules http.Handler) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/sumdb/"+db.name+"/supported", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("/sumdb/"+db.name+"/", http.StripPrefix("/sumdb/"+db.name, db))
	mux.Handle("/", modules)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// onLookup alters the records of the database.
func (db *sumDB) onLookup(alter func(body string) string) {
	f := func(path, body string) string {
		if strings.HasPrefix(path, "/lookup/") {
			return alter(body)
		}
		return body
	}
	db.alter.Store(&f)
}
