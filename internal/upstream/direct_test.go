package upstream

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/dirhash"

	"olympus/internal/testmod"
)

// repository is a git repository in a directory, which git finds as https://example.com/{name}.
type repository struct {
	t   testing.TB
	dir string
}

// run runs git with settings of its own.
func (r repository) run(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	require.NoError(r.t, err, "%s", out)
	return strings.TrimSpace(string(out))
}

// commit writes files, name by content, and commits them. It returns the hash.
func (r repository) commit(files map[string]string) string {
	r.t.Helper()
	for name, content := range files {
		require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, name), []byte(content), 0o644))
	}
	r.run("add", ".")
	r.run("commit", "-q", "-m", "change")
	return r.run("rev-parse", "HEAD")
}

const repoPath = "example.com/owner/repo.git"

// newRepository makes a repository with versions v1.0.0 and v1.1.0 of repoPath, of which the latter is retracted, and a
// branch after them. It returns the environment in which the go command finds it, without any network.
func newRepository(t testing.TB) (repository, []string) {
	t.Helper()
	root := t.TempDir()
	r := repository{t, filepath.Join(root, "owner", "repo.git")}
	require.NoError(t, os.MkdirAll(r.dir, 0o755))
	r.run("init", "-q", "-b", "main")
	r.commit(map[string]string{"go.mod": "module " + repoPath + "\n", "m.go": "package m\n"})
	r.run("tag", "v1.0.0")
	r.commit(map[string]string{"go.mod": "module " + repoPath + "\n\nretract v1.1.0\n"})
	r.run("tag", "v1.1.0")
	r.commit(map[string]string{"m.go": "package m // newer\n"})
	return r, directEnv(t, "file://"+root+"/")
}

// directEnv is an environment for the go command in which git finds everything at example.com under another URL.
func directEnv(t testing.TB, url string) []string {
	t.Helper()
	home := t.TempDir()
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GOMODCACHE=" + filepath.Join(home, "mod"), "GOFLAGS=-modcacherw",
		// What must be overruled.
		"GOPROXY=https://unreachable.example.com", "GOSUMDB=sum.example.com", "GO111MODULE=off",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_ALLOW_PROTOCOL=file:ssh:https",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url." + url + ".insteadOf", "GIT_CONFIG_VALUE_0=https://example.com/",
	}
}

func TestDirect(t *testing.T) {
	t.Parallel()
	r, env := newRepository(t)
	tempDir := t.TempDir()
	u := start(t, Options{Proxies: "direct", Env: env, TempDir: tempDir})

	m := testmod.Module{Path: repoPath, Version: "v1.0.0"}
	md, zip, err := fetch(t, u, m)
	require.NoError(t, err)
	require.Contains(t, string(md.Info), `"Version":"v1.0.0"`)
	require.Contains(t, string(md.Info), `"Time":"2026-01-02T03:04:05Z"`)
	require.Equal(t, "module "+repoPath+"\n", string(md.Mod))
	name := filepath.Join(t.TempDir(), "zip")
	require.NoError(t, os.WriteFile(name, zip, 0o600))
	hash, err := dirhash.HashZip(name, dirhash.Hash1)
	require.NoError(t, err)
	same := testmod.Module{Path: repoPath, Version: "v1.0.0", Files: map[string]string{"go.mod": "module " + repoPath + "\n", "m.go": "package m\n"}}
	require.Equal(t, testmod.Event(t, same, "om").ZipHash, hash)
	again, err := fetchZip(t, u, nil, m)
	require.NoError(t, err)
	require.Equal(t, zip, again)

	// Once closed, the zip is fetched again.
	require.NoError(t, md.Close())
	again, err = fetchZip(t, u, md, m)
	require.NoError(t, err)
	require.Equal(t, zip, again)

	versions, err := u.List(t.Context(), repoPath)
	require.NoError(t, err)
	require.Equal(t, []string{"v1.0.0", "v1.1.0"}, versions, "the retracted one included")

	info, version, err := u.Query(t.Context(), repoPath, "latest")
	require.NoError(t, err)
	require.Equal(t, "v1.0.0", version)
	require.JSONEq(t, `{"Version":"v1.0.0","Time":"2026-01-02T03:04:05Z"}`, string(info))
	head := r.run("rev-parse", "HEAD")
	for _, query := range []string{"main", head, head[:12]} {
		_, version, err = u.Query(t.Context(), repoPath, query)
		require.NoError(t, err)
		require.Equal(t, "v1.0.1-0.20260102030405-"+head[:12], version, "a retracted version is no base")
	}
	_, _, err = fetch(t, u, testmod.Module{Path: repoPath, Version: version})
	require.NoError(t, err)

	// What a killed process has left goes once it is old.
	old, young, other := filepath.Join(tempDir, "olympus-direct-1"), filepath.Join(tempDir, "olympus-direct-2"), filepath.Join(tempDir, "other")
	for _, dir := range []string{old, young, other} {
		require.NoError(t, os.Mkdir(dir, 0o700))
	}
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(old, long, long))
	require.NoError(t, os.Chtimes(other, long, long))
	require.NoError(t, u.CollectTemp(time.Hour))
	require.NoDirExists(t, old)
	require.NoError(t, os.Remove(young))
	require.NoError(t, os.Remove(other))
	left, err := os.ReadDir(tempDir)
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestDirectUnknown are things that do not exist, and things of which nobody knows.
func TestDirectUnknown(t *testing.T) {
	t.Parallel()
	_, env := newRepository(t)
	u := start(t, Options{Proxies: "direct", Env: env})
	for _, m := range []testmod.Module{
		{Path: repoPath, Version: "v1.2.3"},
		{Path: repoPath, Version: "v0.0.0-20200102030405-abcdef123456"},
		{Path: repoPath + "/sub", Version: "v1.0.0"},
		{Path: repoPath + "/v2", Version: "v2.0.0"},
	} {
		_, _, err := fetch(t, u, m)
		requireNotFound(t, err)
		_, err = fetchZip(t, u, nil, m)
		requireNotFound(t, err)
	}
	_, _, err := u.Query(t.Context(), repoPath, "no-such-branch")
	requireNotFound(t, err)
	// Of this kind of path the go command does not tell whether the repository or the network is missing.
	_, err = u.List(t.Context(), "example.com/owner/none.git")
	requireFailed(t, err)

	// A server that refuses connections.
	u = start(t, Options{Proxies: "direct", Env: directEnv(t, "https://me:secret@127.0.0.1:1/")})
	_, _, err = fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.0.0"})
	requireFailed(t, err)
	require.NotContains(t, err.Error(), "secret")

	// A machine that lacks git, or a disk.
	u = start(t, Options{Proxies: "direct", Env: append(env, "PATH=/nonexistent")})
	_, _, err = fetch(t, u, testmod.Module{Path: "example.com/owner/other.git", Version: "v1.0.0"})
	requireFailed(t, err)
	u = start(t, Options{Proxies: "direct", Env: env, TempDir: "/nonexistent"})
	_, _, err = fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.0.0"})
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrNotExist)
}

// TestDirectAfterProxy asks the version control system about what the proxy does not know.
func TestDirectAfterProxy(t *testing.T) {
	t.Parallel()
	_, env := newRepository(t)
	up := testmod.NewUpstream(t, plain)
	opts := Options{Proxies: up.URL + ",direct", Env: env}
	u := start(t, opts)
	md, _, err := fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.1.0"})
	require.NoError(t, err)
	require.Contains(t, string(md.Mod), "retract v1.1.0")
	require.Equal(t, 1, up.Total(), "the zip comes from where the .info came from")

	// Without a go command the proxy has the last word.
	opts.GoBin = "/nonexistent/go"
	_, _, err = fetch(t, start(t, opts), testmod.Module{Path: repoPath, Version: "v1.1.0"})
	requireNotFound(t, err)
	require.ErrorContains(t, err, "no go command")
}

// TestDirectPrivate goes to the version control system if only the public proxy is left.
func TestDirectPrivate(t *testing.T) {
	t.Parallel()
	_, env := newRepository(t)
	public := testmod.NewUpstream(t)
	base, err := parseBase(public.URL)
	require.NoError(t, err)
	db := newSumDB(t, "sum.example.com", nil)
	u, err := newUpstream(Options{Proxies: public.URL, ChecksumDB: db.serve(t), Private: "example.com/owner", Env: env}, hostOf(base))
	require.NoError(t, err)
	_, _, err = fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.0.0"})
	require.NoError(t, err)
	require.NoError(t, u.CheckSum(t.Context(), repoPath, "v1.0.0", "h1:"))
	require.Zero(t, public.Total())
	require.Zero(t, db.requests.Load())
}

// TestDirectChecksum checks what the version control system says as everything else.
func TestDirectChecksum(t *testing.T) {
	t.Parallel()
	_, env := newRepository(t)
	m := testmod.Module{Path: repoPath, Version: "v1.0.0", Files: map[string]string{"go.mod": "module " + repoPath + "\n", "m.go": "package m\n"}}
	db := newSumDB(t, "sum.example.com", []testmod.Module{m, {Path: repoPath, Version: "v1.1.0"}})
	u := start(t, Options{Proxies: "direct", Env: env, ChecksumDB: db.serve(t)})
	_, _, err := fetch(t, u, m)
	require.NoError(t, err)
	_, _, err = fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.1.0"})
	requireChecksum(t, err)
}

func TestDirectLimits(t *testing.T) {
	t.Parallel()
	r, env := newRepository(t)
	r.commit(map[string]string{"go.mod": "module " + repoPath + "\n" + strings.Repeat("// long\n", 300_000)})
	r.run("tag", "v1.2.0")
	u := start(t, Options{Proxies: "direct", Env: env, MaxZip: 100})
	_, _, err := fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.0.0"})
	requireFailed(t, err)
	require.ErrorIs(t, err, ErrTooLarge)
	_, _, err = fetch(t, u, testmod.Module{Path: repoPath, Version: "v1.2.0"})
	requireFailed(t, err)
	require.ErrorIs(t, err, ErrTooLarge)
}

// TestDirectHangs ends a go command that waits for a version control system, together with that one.
func TestDirectHangs(t *testing.T) {
	t.Parallel()
	_, env := newRepository(t)
	bin := t.TempDir()
	pid := filepath.Join(bin, "pid")
	script := "#!/bin/sh\necho $$ > " + pid + ".new && mv " + pid + ".new " + pid + "\nexec sleep 1000\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o755))
	goBin, err := exec.LookPath("go")
	require.NoError(t, err)
	env = append(env, "PATH="+bin+":"+os.Getenv("PATH"))
	opts := Options{Proxies: "direct", Env: env, GoBin: goBin, MaxDirect: 1}
	u := start(t, opts)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := u.List(ctx, repoPath)
		done <- err
	}()
	require.Eventually(t, func() bool {
		_, err := os.Stat(pid)
		return err == nil
	}, time.Minute, 10*time.Millisecond, "git was not run")

	// The next one may wait for its turn only as long as it has time.
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err = u.List(short, repoPath)
	require.True(t, requireFailed(t, err).Timeout(), "%v", err)
	require.ErrorContains(t, err, "wait for other direct fetches")

	cancel()
	err = <-done
	requireFailed(t, err)
	require.ErrorIs(t, err, context.Canceled)
	text, err := os.ReadFile(pid)
	require.NoError(t, err)
	git, err := strconv.Atoi(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(git) + "/stat")
		return errors.Is(err, os.ErrNotExist) || strings.Contains(string(status), ") Z ")
	}, 5*time.Second, 10*time.Millisecond, "git still runs")

	opts.Timeouts.Direct = 500 * time.Millisecond
	_, err = start(t, opts).List(t.Context(), repoPath)
	require.True(t, requireFailed(t, err).Timeout(), "%v", err)
}
