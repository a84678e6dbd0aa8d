// Package postgres opens connections to Postgres that end what takes too long: in the server, so that nothing holds a lock or a snapshot
// for ever, and in the client, so that whoever asks is told soon that there is no answer. It also finds out whether a pooler stands
// between that takes sessions apart.
//
// Nothing here knows a table: what is asked of the database is in models.
package postgres

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/gobuffalo/pop/v6"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
)

// connectTimeout bounds how long a connection may take until it is ready, unless the URL of the database says otherwise (connect_timeout).
const connectTimeout = 5 * time.Second

// Limits say after what time something ends by itself. Zero stands for never. What the URL of a database sets by these settings' names
// stays as it is.
type Limits struct {
	Statement time.Duration // one statement: statement_timeout
	Lock      time.Duration // waiting for one lock: lock_timeout
	Idle      time.Duration // a transaction in which nothing happens: idle_in_transaction_session_timeout
	// Wait is how long a statement outside of a transaction, or the beginning of one, is waited for, that for a free connection included.
	// It also ends what the server cannot, because it does not answer at all.
	Wait time.Duration
}

var (
	// Serving are the limits for what requests and jobs ask.
	Serving = Limits{Statement: 30 * time.Second, Lock: 10 * time.Second, Idle: 60 * time.Second, Wait: 30 * time.Second}
	// Queueing are those for the queue. It bounds itself by less, but for its indexes, which it builds anew in a minute at most.
	Queueing = Limits{Statement: 90 * time.Second, Lock: 90 * time.Second, Idle: 60 * time.Second}
	// Unlimited is for tasks and migrations, which take as long as the log is long.
	Unlimited = Limits{}
)

// Apply makes the connections of a configuration keep to the limits. They are set once a connection stands: poolers refuse settings that
// they do not know while it is made.
func (l Limits) Apply(c *pgx.ConnConfig) {
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
		// A server whose machine has gone sends nothing that would end a connection.
		c.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	}
	timeout := c.ConnectTimeout
	var settings []string
	for _, setting := range []struct {
		name  string
		value time.Duration
	}{
		{"statement_timeout", l.Statement},
		{"lock_timeout", l.Lock},
		{"idle_in_transaction_session_timeout", l.Idle},
	} {
		if _, chosen := c.RuntimeParams[setting.name]; !chosen && setting.value > 0 {
			settings = append(settings, fmt.Sprintf("SET %s = %d", setting.name, setting.value.Milliseconds()))
		}
	}
	if len(settings) == 0 {
		return
	}
	c.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		_, err := conn.Exec(ctx, strings.Join(settings, "; ")).ReadAll()
		return err
	}
}

// Open opens a pool of connections that keep to the limits. It does not connect yet.
func Open(details *pop.ConnectionDetails, limits Limits) (*pop.Connection, error) {
	db, err := pop.NewConnection(details)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(db.URL())
	if err != nil {
		return nil, err
	}
	limits.Apply(config)
	// What pop itself does when it opens a connection, which it would do by the URL alone.
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(details.Pool)
	if details.IdlePool != 0 {
		pool.SetMaxIdleConns(details.IdlePool)
	}
	pool.SetConnMaxLifetime(details.ConnMaxLifetime)
	pool.SetConnMaxIdleTime(details.ConnMaxIdleTime)
	db.Store = &store{DB: sqlx.NewDb(pool, "postgres"), wait: limits.Wait}
	return db, nil
}

// Connect opens a single connection that keeps to the limits.
func Connect(ctx context.Context, url string, limits Limits) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	limits.Apply(config)
	return pgx.ConnectConfig(ctx, config)
}
