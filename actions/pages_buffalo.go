package actions

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"github.com/gobuffalo/buffalo"
	"github.com/gobuffalo/buffalo/plugins"
	"github.com/gorilla/sessions"
)

// quietPlugins keeps Buffalo from writing a cache of its command-line plugins into the home directory of whoever runs the server.
var quietPlugins = sync.OnceFunc(func() { plugins.CachePath = os.DevNull })

// noSessions is a session store that stores nothing and sets no cookie.
type noSessions struct{}

func (s noSessions) Get(_ *http.Request, name string) (*sessions.Session, error) {
	return sessions.NewSession(s, name), nil
}

func (s noSessions) New(_ *http.Request, name string) (*sessions.Session, error) {
	return sessions.NewSession(s, name), nil
}

func (noSessions) Save(*http.Request, http.ResponseWriter, *sessions.Session) error { return nil }

// buffaloLog writes what Buffalo has to say to our log. Its fields of a request are left out: they are about rendering.
type buffaloLog struct{ log *slog.Logger }

func (l buffaloLog) WithField(string, any) buffalo.Logger     { return l }
func (l buffaloLog) WithFields(map[string]any) buffalo.Logger { return l }
func (l buffaloLog) Debugf(format string, args ...any)        { l.log.Debug(fmt.Sprintf(format, args...)) }
func (l buffaloLog) Infof(format string, args ...any)         { l.log.Info(fmt.Sprintf(format, args...)) }
func (l buffaloLog) Printf(format string, args ...any)        { l.log.Info(fmt.Sprintf(format, args...)) }
func (l buffaloLog) Warnf(format string, args ...any)         { l.log.Warn(fmt.Sprintf(format, args...)) }
func (l buffaloLog) Errorf(format string, args ...any)        { l.log.Error(fmt.Sprintf(format, args...)) }
func (l buffaloLog) Fatalf(format string, args ...any)        { l.log.Error(fmt.Sprintf(format, args...)) }
func (l buffaloLog) Debug(args ...any)                        { l.log.Debug(fmt.Sprint(args...)) }
func (l buffaloLog) Info(args ...any)                         { l.log.Info(fmt.Sprint(args...)) }
func (l buffaloLog) Warn(args ...any)                         { l.log.Warn(fmt.Sprint(args...)) }
func (l buffaloLog) Error(args ...any)                        { l.log.Error(fmt.Sprint(args...)) }
func (l buffaloLog) Fatal(args ...any)                        { l.log.Error(fmt.Sprint(args...)) }
func (l buffaloLog) Panic(args ...any)                        { l.log.Error(fmt.Sprint(args...)) }
