package docs

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/config"
	"olympus/grifts"
	"olympus/worker"
)

// programs are those that the documents may name besides our own.
var programs = strings.Fields(`cat cd chmod cp createdb curl dropdb du echo export go helm kill ls mkdir mv openssl pg_basebackup pg_dump pg_restore pg_verifybackup
	promtool psql rm rsync sed source systemctl systemd-analyze tar wait`)

var (
	assignment = regexp.MustCompile(`^[A-Z_]+=("[^"]*"|\$\([^)]*\)|[^ ]*)\s+`)
	ourCommand = regexp.MustCompile(`(?:^|[\s(/])olympus ([a-z]+)((?: [^|>&;#()]*)?)`)
	directory  = regexp.MustCompile(`/srv/[a-z]+|[.a-z]*/blobs`)
	target     = regexp.MustCompile(`(?:^|[\s;&(])make ([a-z]+)`)
	script     = regexp.MustCompile(`(?:^|[\s(])scripts/([a-z.]+)(?: ([a-z]+))?`)
)

// Whether or not it is run here: a command names a task that there is, with arguments that it takes, a target of the Makefile, a script.
func TestCommandsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	opened := errors.New("a task that would run")
	env := grifts.Env{
		Config: func() (*config.Config, error) { return nil, opened },
		Open:   func(context.Context) (*worker.Deployment, func() error, error) { return nil, nil, opened },
		Stdin:  strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard,
	}
	require.NoError(t, grifts.Load(env))
	there := t.TempDir()
	placeholder := strings.NewReplacer("M@V", "example.com/m@v1.0.0")
	for _, b := range readBlocks(t) {
		require.NotEmpty(t, b.steps, b.name)
		for _, s := range b.steps {
			for _, found := range ourCommand.FindAllStringSubmatch(s.command, -1) {
				words := strings.Fields(placeholder.Replace(directory.ReplaceAllLiteralString(found[2], there)))
				require.Contains(t, []string{"task", "migrate", "version", "completion", "help"}, found[1], "%s: %s", s.at, s.command)
				if found[1] != "task" {
					continue
				}
				require.NotEmpty(t, words, "%s: which task?", s.at)
				var misused *grifts.UsageError
				err := grifts.Run(t.Context(), env, words[0], words[1:])
				require.False(t, errors.As(err, &misused), "%s: %s: %v", s.at, s.command, err)
			}
			for _, found := range target.FindAllStringSubmatch(s.command, -1) {
				require.Regexp(t, `(?m)^`+found[1]+`:`, string(makefile), "%s: %s", s.at, s.command)
			}
			for _, found := range script.FindAllStringSubmatch(s.command, -1) {
				text, err := os.ReadFile(filepath.Join("../scripts", found[1]))
				require.NoError(t, err, s.at)
				if found[2] != "" {
					require.Regexp(t, `(?m)^\s*"?`+found[2]+`"?\)`, string(text), "%s: scripts/%s has no command %s", s.at, found[1], found[2])
				}
			}
			command := s.command
			for assignment.MatchString(command) {
				command = assignment.ReplaceAllString(command, "")
			}
			first := strings.Trim(strings.Fields(command + " -")[0], ";")
			if strings.Contains(first, "olympus") || first == "make" || strings.HasPrefix(first, "scripts/") || strings.Contains(first, "=") || first == "-" {
				continue
			}
			require.Contains(t, programs, first, "%s: %s: is this a program that there is?", s.at, s.command)
		}
	}
}
