package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5/pgconn"

	"olympus/internal/postgres"
)

const (
	databaseWait  = 5 * time.Second        // for a database that is still starting
	databaseRetry = 100 * time.Millisecond // between attempts
)

// OpenDatabase opens the database: that of DATABASE_URL if it is set, else that of c.Env in yml, which
// is the content of database.yml and also sets the size of the pool. Its connections keep to the limits.
// It waits some seconds for a database that is still starting, and refuses one behind a pooler that takes
// sessions apart. Its error is one line that names the host, without a password.
func (c *Config) OpenDatabase(yml io.Reader, limits postgres.Limits) (*pop.Connection, error) {
	return c.openDatabase(yml, limits, databaseWait)
}

func (c *Config) openDatabase(yml io.Reader, limits postgres.Limits, wait time.Duration) (*pop.Connection, error) {
	connections, err := pop.ParseConfig(yml)
	if err != nil {
		return nil, fmt.Errorf("read database.yml: %w", err)
	}
	details := connections[c.Env]
	if details == nil {
		return nil, fmt.Errorf("read database.yml: no connection for %s", c.Env)
	}
	if c.DatabaseURL != "" {
		details.URL = c.DatabaseURL
	}
	server, err := pgconn.ParseConfig(details.URL)
	if err != nil {
		return nil, fmt.Errorf("open database: %s", oneLine(err)) // the driver hides the password
	}
	name := fmt.Sprintf("%s/%s", net.JoinHostPort(server.Host, fmt.Sprint(server.Port)), server.Database)

	db, err := postgres.Open(details, limits)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %s", name, oneLine(err))
	}
	if err := waitFor(db, wait); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot reach database %s: %s", name, reason(err)), db.Close())
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := postgres.CheckPooler(ctx, details.URL); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot use database %s: %s", name, reason(err)), db.Close())
	}
	return db, nil
}

// waitFor returns nil as soon as the database answers, and after wait its last error.
func waitFor(db *pop.Connection, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	pinger, ok := db.Store.(interface{ PingContext(context.Context) error })
	if !ok {
		return errors.New("the connection cannot be checked")
	}
	var last error
	for {
		err := pinger.PingContext(ctx)
		if err == nil {
			return nil
		}
		// Running out of time is the least telling of the errors.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !worthWaiting(err) {
			return last
		}
		select {
		case <-ctx.Done():
			return last
		case <-time.After(databaseRetry):
		}
	}
}

// worthWaiting tells a server that is not there yet, or says that it is starting or full, from one
// that refuses us.
func worthWaiting(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return true
	}
	return slices.Contains([]string{"57P03", "53300"}, refused.Code) // cannot_connect_now, too_many_connections
}

// reason is the part of a driver's error that says what is wrong, without the list of addresses tried.
func reason(err error) string {
	var refused *pgconn.PgError
	var network *net.OpError
	switch {
	case errors.Is(err, postgres.ErrPooler):
		return oneLine(err)
	case errors.As(err, &refused):
		return oneLine(refused)
	case errors.As(err, &network):
		return oneLine(network.Err)
	}
	return oneLine(err)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
