package federation

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testmod"
)

// repository makes a git repository with the tags v1.0.0 and v1.1.0 of a module, the branch main being one commit further, and returns
// the environment in which git finds it under the module path, and that commit.
func repository(t *testing.T, module string) (env []string, head string) {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, strings.TrimPrefix(module, "example.com/"))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	const when, who = "2026-03-04T05:06:07Z", "somebody"
	git := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + root, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=" + who, "GIT_AUTHOR_EMAIL=" + who + "@example.com", "GIT_AUTHOR_DATE=" + when,
			"GIT_COMMITTER_NAME=" + who, "GIT_COMMITTER_EMAIL=" + who + "@example.com", "GIT_COMMITTER_DATE=" + when,
		}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "git %v: %s", args, out)
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "-b", "main")
	for _, tag := range []string{"v1.0.0", "v1.1.0", ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n"), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "r.go"), []byte("package r // "+tag+"\n"), 0o600))
		git("add", ".")
		git("commit", "-q", "-m", "change")
		if tag != "" {
			git("tag", tag)
		}
	}
	return []string{
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_ALLOW_PROTOCOL=file:https",
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url.file://" + root + "/.insteadOf", "GIT_CONFIG_VALUE_0=https://example.com/",
	}, git("rev-parse", "HEAD")
}

// What no proxy has, or may be asked for, comes from its version control system.
func TestGoCommandDirect(t *testing.T) {
	t.Parallel()
	const module = "example.com/team/secret.git"
	env, head := repository(t, module)
	public := testmod.NewUpstream(t, two)
	for name, settings := range map[string][]string{
		"nothing but direct":         {"OLYMPUS_UPSTREAM=direct"},
		"direct after a proxy":       {"OLYMPUS_UPSTREAM=" + public.URL + ",direct"},
		"private, with the defaults": {"OLYMPUS_UPSTREAM=", "OLYMPUS_SUMDB=", "OLYMPUS_PRIVATE=example.com/team"},
	} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			settings = append(settings, "GOMODCACHE="+filepath.Join(cache, "mod"), "GOCACHE="+filepath.Join(cache, "build"), "GOFLAGS=-modcacherw")
			s := newSite(t, "om.example.com", append(settings, env...)...)
			p := s.start()
			g := newGo(t, p.url)
			require.Equal(t, module+" v1.0.0 v1.1.0\n", g.run("list", "-m", "-versions", module))
			require.Equal(t, module+" v1.1.0\n", g.run("list", "-m", module+"@latest"))
			pseudo := "v1.1.1-0.20260304050607-" + head[:12]
			require.Equal(t, module+" "+pseudo+"\n", g.run("list", "-m", module+"@main"))
			for _, version := range []string{"v1.0.0", pseudo} {
				var got struct{ Sum, GoModSum string }
				require.NoError(t, json.Unmarshal([]byte(g.run("mod", "download", "-json", module+"@"+version)), &got))
				content := "package r // " + strings.TrimSuffix(version, pseudo) + "\n"
				same := testmod.Module{Path: module, Version: version, Files: map[string]string{"go.mod": "module " + module + "\n", "r.go": content}}
				require.Equal(t, testmod.GoSum(t, same), module+" "+version+" "+got.Sum+"\n"+module+" "+version+"/go.mod "+got.GoModSum+"\n")
			}
			require.Regexp(t, "unknown revision|not found", g.refused("mod", "download", module+"@v1.2.0"))
			s.sound()
			require.Len(t, s.log(), 3, "the two, and the latest")
		})
	}
}
