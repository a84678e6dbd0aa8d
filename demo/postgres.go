package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// databaseTimeout bounds what is asked of Postgres here: databases are made and dropped.
const databaseTimeout = 60 * time.Second

// postgres is the server that the deployments have their databases on.
type postgres struct {
	root   string // of the repository
	server string // URL of a database on it
	lent   bool   // DATABASE_URL names it: it is not ours to start and stop
	used   bool   // the deployments' databases may be on it
}

func existingPostgres(root string) *postgres {
	server := os.Getenv("DATABASE_URL")
	return &postgres{root: root, server: server, lent: server != ""}
}

// startPostgres starts the private server, unless there is one to be used.
func startPostgres(ctx context.Context, root string) (*postgres, error) {
	p := existingPostgres(root)
	if p.lent {
		return p, nil
	}
	server, err := p.script("start", clusterDir)
	if err != nil {
		return p, err
	}
	p.server = strings.TrimSpace(server)
	return p, ctx.Err()
}

// script runs scripts/postgres.sh, which is not interrupted: half started is harder to stop than started.
func (p *postgres) script(args ...string) (string, error) {
	cmd := exec.Command(filepath.Join(p.root, "scripts", "postgres.sh"), args...)
	cmd.Dir = p.root
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // out of reach of Ctrl-C
	output, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("scripts/postgres.sh %s: %w", strings.Join(args, " "), err)
	}
	return string(output), nil
}

// databaseURL is the URL of a database on the server.
func (p *postgres) databaseURL(name string) (string, error) {
	u, err := url.Parse(p.server)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("DATABASE_URL: want a URL of the form postgres://user:password@host:port/database")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// createDatabases gives every deployment an empty database, in place of one that an earlier run has left.
func (p *postgres) createDatabases(ctx context.Context, deployments []*deployment) error {
	for _, d := range deployments {
		var err error
		if d.databaseURL, err = p.databaseURL(d.databaseName()); err != nil {
			return err
		}
	}
	if err := p.dropDatabases(ctx, deployments); err != nil {
		return err
	}
	p.used = true
	for _, d := range deployments {
		if err := p.execute(ctx, "CREATE DATABASE "+d.databaseName()); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres) dropDatabases(ctx context.Context, deployments []*deployment) error {
	for _, d := range deployments {
		if err := p.execute(ctx, "DROP DATABASE IF EXISTS "+d.databaseName()+" WITH (FORCE)"); err != nil {
			return err
		}
	}
	return nil
}

// execute runs a statement on a connection of its own: databases can neither be made nor dropped in a transaction.
func (p *postgres) execute(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.server)
	if err != nil {
		return fmt.Errorf("connect to Postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// clear stops the private server; from one that was lent it removes what the demo has made there.
func (p *postgres) clear(deployments []*deployment) error {
	switch {
	case p == nil:
		return nil
	case p.lent && !p.used:
		return nil
	case p.lent:
		return p.dropDatabases(context.Background(), deployments)
	default:
		_, err := p.script("stop", clusterDir)
		return err
	}
}
