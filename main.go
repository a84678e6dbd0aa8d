// Command olympus is a federated Go module registry. Without arguments it serves; see usage for the rest.
//
// This package reads the settings, builds what they name (deployment.go) and starts it: a server (serve.go), a migration, or one of the
// operator's tasks. It holds no logic of the product.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"olympus/config"
	"olympus/grifts"
	"olympus/internal/postgres"
	"olympus/internal/tracing"
)

// version and commit are set by the linker.
var (
	version = "devel"
	commit  string // empty: what the go command has recorded, if anything
)

//go:embed database.yml
var databaseYML string

const usage = `usage: olympus                     serve
       olympus migrate             bring the database schema up to date
       olympus task NAME [ARGS]    run one of the operator's tasks; with --json it prints JSON
       olympus task list           name them
       olympus completion SHELL    print what makes bash, zsh or fish complete this
       olympus version             print the version
       olympus help                print this

Settings come from the environment.
`

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs a command and returns the exit code: 1 after a failure, 2 when there is no such command. Of a failure it tells in one line.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal()
	defer stop()
	err := command(ctx, args, stdout, stderr)
	var misused *grifts.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &misused):
		_, _ = fmt.Fprintf(stderr, "olympus: %s\n", oneLine(err))
		if misused.Usage != "" {
			_, _ = fmt.Fprintf(stderr, "usage: %s\n", misused.Usage)
		}
		return 2
	default:
		_, _ = fmt.Fprintf(stderr, "olympus: %s\n", oneLine(err))
		return 1
	}
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	if !slices.Contains([]string{"task", "completion", "complete"}, name) && len(args) > 0 {
		return &grifts.UsageError{Reason: fmt.Sprintf("unexpected argument %.100q (olympus help tells what there is)", args[0])}
	}
	switch name {
	case "":
		return startServer(ctx, stdout)
	case "migrate":
		return migrate(ctx, stdout)
	case "completion":
		return printCompletion(args, stdout)
	case "complete":
		return complete(args, stdout)
	case "task":
		return runTask(ctx, args, stdout, stderr)
	case "version", "-version", "--version":
		_, err := fmt.Fprintln(stdout, versionLine())
		return err
	case "help", "-h", "-help", "--help":
		_, err := io.WriteString(stdout, usage)
		return err
	}
	return &grifts.UsageError{Reason: fmt.Sprintf("there is no command %.100q (olympus help tells what there is)", name)}
}

// versionLine says what this binary is: version, commit if it is known, Go version, platform.
func versionLine() string {
	words := []string{"olympus", version}
	if c := builtFrom(); c != "" {
		words = append(words, "commit "+c)
	}
	return strings.Join(append(words, runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH), " ")
}

// builtFrom is the commit that the binary was built from, or empty.
func builtFrom() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return setting.Value
		}
	}
	return ""
}

func startServer(ctx context.Context, stdout io.Writer) error {
	settings, err := config.Load()
	if err != nil {
		return err
	}
	log := slog.New(tracing.LogHandler(settings.Logger(stdout).Handler()))
	quietPop(log)
	tellTraces(log)
	return serve(ctx, settings, log)
}

func migrate(ctx context.Context, stdout io.Writer) error {
	settings, err := config.Load()
	if err != nil && !errors.Is(err, config.ErrNoSigningKey) {
		return err
	}
	quietPop(slog.New(slog.DiscardHandler))
	db, applied, err := openDatabase(ctx, settings, postgres.Unlimited)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%d migrations applied, the schema is up to date\n", applied)
	return errors.Join(err, db.Close())
}

// errTerminated is the cause of the end of a context when the process was told to stop by whatever runs it, rather than by somebody at a
// terminal.
var errTerminated = errors.New("terminated")

// untilSignal returns a context that ends with the first signal to stop. The second ends the process at once.
func untilSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if ctx.Err() != nil {
				os.Exit(1)
			}
			if s == syscall.SIGTERM {
				cancel(errTerminated)
			}
			cancel(nil)
		}
	}()
	return ctx, func() { signal.Stop(signals); close(signals); cancel(nil) }
}

// oneLine is an error as one line; joined errors are separated by semicolons.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "; ")
}
