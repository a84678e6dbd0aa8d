package upstream

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/mod/module"
	"golang.org/x/sync/semaphore"

	"olympus/internal/download"
	"olympus/internal/protocol"
)

// maxOutput is how much output of the go command is taken, in bytes.
const maxOutput = 8 << 20

// direct asks the version control system of a module, as the go command does with GOPROXY=direct: by running it.
type direct struct {
	goBin   string
	env     []string
	tempDir string
	timeout time.Duration
	maxZip  int64
	slots   *semaphore.Weighted
	seconds *prometheus.HistogramVec
}

func newDirect(opts Options, maxZip int64, seconds *prometheus.HistogramVec) *direct {
	d := &direct{
		goBin:   opts.GoBin,
		tempDir: opts.TempDir,
		timeout: orDefault(opts.Timeouts.Direct, 10*time.Minute),
		maxZip:  maxZip,
		slots:   semaphore.NewWeighted(4),
		seconds: seconds,
	}
	if d.goBin == "" {
		d.goBin = "go"
	}
	if opts.MaxDirect > 0 {
		d.slots = semaphore.NewWeighted(int64(opts.MaxDirect))
	}
	// The last of two settings counts. Sums are checked here, for every source alike, and not by the go command, which
	// would reach the checksum database by a way of its own.
	d.env = append(slices.Clone(opts.Env),
		"GO111MODULE=on", "GOWORK=off", "GOTOOLCHAIN=local",
		"GOPROXY=direct", "GONOPROXY=none", "GOPRIVATE="+opts.Private, "GOSUMDB=off", "GONOSUMDB=none",
		"GIT_TERMINAL_PROMPT=0", "GCM_INTERACTIVE=never",
	)
	return d
}

// fetched is what go mod download prints: the files in its cache.
type fetched struct{ Version, Info, GoMod, Zip string }

func (d *direct) String() string { return "version control" }

func (d *direct) metadata(ctx context.Context, path, version string) (*Metadata, error) {
	var files fetched
	if err := d.run(ctx, &files, path, version, "mod", "download", "-json"); err != nil {
		return nil, err
	}
	info, err := readFile(files.Info, protocol.MaxInfoBytes)
	if err != nil {
		return nil, err
	}
	mod, err := readFile(files.GoMod, protocol.MaxModBytes)
	if err != nil {
		return nil, err
	}
	if err := CheckFiles(path, version, info, mod); err != nil {
		return nil, &FailedError{URL: "direct", Err: err}
	}
	// Opened at once: the cache of the go command may be emptied at any time.
	zip, err := os.Open(files.Zip)
	if err != nil {
		return nil, ourFault("open what the go command downloaded", err)
	}
	return &Metadata{Info: info, Mod: mod, from: d, file: zip}, nil
}

func (d *direct) zip(ctx context.Context, md *Metadata, path, version string, w io.Writer) error {
	if md == nil || md.file == nil {
		md, err := d.metadata(ctx, path, version)
		if err != nil {
			return err
		}
		defer md.Close()
		return d.copy(md.file, w)
	}
	return d.copy(md.file, w)
}

// copy writes the zip in a file of the go command to w.
func (d *direct) copy(zip *os.File, w io.Writer) error {
	stat, err := zip.Stat()
	if err != nil {
		return ourFault("size of what the go command downloaded", err)
	}
	if stat.Size() > d.maxZip {
		return &FailedError{URL: "direct", Err: fmt.Errorf("zip of %d bytes: %w of %d bytes", stat.Size(), ErrTooLarge, d.maxZip)}
	}
	if _, err := io.Copy(w, io.NewSectionReader(zip, 0, stat.Size())); err != nil {
		return ourFault("copy what the go command downloaded", err)
	}
	return nil
}

func (d *direct) query(ctx context.Context, path, query string) ([]byte, string, error) {
	var found struct {
		Version string
		Time    time.Time
	}
	if err := d.run(ctx, &found, path, query, "list", "-m", "-json"); err != nil {
		return nil, "", err
	}
	if err := checkVersion(path, found.Version); err != nil {
		return nil, "", &FailedError{URL: "direct", Err: fmt.Errorf("%s@%s: %w", path, query, err)}
	}
	info, err := json.Marshal(found)
	if err != nil {
		return nil, "", &FailedError{URL: "direct", Err: fmt.Errorf("%s@%s: %w", path, query, err)}
	}
	return info, found.Version, nil
}

func (d *direct) list(ctx context.Context, path string) ([]string, error) {
	var found struct{ Versions []string }
	// Whether a version is retracted is judged by the go command of the client.
	if err := d.run(ctx, &found, path, "latest", "list", "-m", "-json", "-versions", "-retracted"); err != nil {
		return nil, err
	}
	versions := slices.DeleteFunc(found.Versions, func(v string) bool {
		return checkVersion(path, v) != nil || module.IsPseudoVersion(v)
	})
	download.Sort(versions)
	return slices.Compact(versions), nil
}

// run runs the go command with path@query as last argument and decodes its output, a JSON object, into result.
func (d *direct) run(asking context.Context, result any, path, query string, args ...string) (err error) {
	ctx, cancel := context.WithTimeout(asking, d.timeout)
	defer cancel()
	if err := d.slots.Acquire(ctx, 1); err != nil {
		return &FailedError{URL: "direct", Err: fmt.Errorf("wait for other direct fetches: %w", err)}
	}
	defer d.slots.Release(1)
	began := time.Now()
	defer func() { measure(asking, d.seconds, "direct", began, err) }()

	dir, err := os.MkdirTemp(d.tempDir, directPattern)
	if err != nil {
		return ourFault("make a directory for the go command", err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, d.goBin, append(args, path+"@"+query)...)
	cmd.Env, cmd.Dir = d.env, dir
	var stdout, stderr limitedBuffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = childAttributes()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second

	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return &FailedError{URL: "direct", Err: fmt.Errorf("%s@%s: %w", path, query, ctx.Err())}
	case errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist):
		// Where there is no go command, what the proxies said is all that can be known.
		return &NotFoundError{Path: path, Version: query, Reason: "direct: there is no go command here to ask with"}
	case err != nil:
		return judge(path, query, stdout.Bytes(), stderr.String(), err)
	}
	if err := json.Unmarshal(stdout.Bytes(), result); err != nil {
		return &FailedError{URL: "direct", Err: fmt.Errorf("output of the go command: %w", err)}
	}
	return nil
}

// directPattern names the directories that the go command is run in.
const directPattern = "olympus-direct-*"

// CollectTemp removes the directories of processes that were killed while they ran the go command, once they are older than olderThan,
// which must be longer than any run.
func (u *Upstream) CollectTemp(olderThan time.Duration) error {
	dirs, err := filepath.Glob(filepath.Join(cmp.Or(u.direct.tempDir, os.TempDir()), directPattern))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < olderThan {
			continue
		}
		if err := os.RemoveAll(dir); err != nil {
			return ourFault("remove the directory of a go command", err)
		}
	}
	return nil
}

// ourFault is an error of this machine. It keeps only the text of err: a file that is missing here must not match
// fs.ErrNotExist, as a module that is missing there does.
func ourFault(attempt string, err error) error {
	return fmt.Errorf("%s: %v", attempt, err)
}

// readFile reads a file in the cache of the go command.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, ourFault("open what the go command downloaded", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, ourFault("read what the go command downloaded", err)
	}
	if int64(len(b)) > limit {
		return nil, &FailedError{URL: "direct", Err: fmt.Errorf("%w of %d bytes", ErrTooLarge, limit)}
	}
	return b, nil
}

// limitedBuffer keeps the first maxOutput bytes written to it.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), maxOutput-b.Len())])
	return len(p), nil
}
