package packaging

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/testdb"
)

type composeFile struct {
	Services map[string]struct {
		Environment map[string]string `yaml:"environment"`
		Ports       []string          `yaml:"ports"`
		Volumes     []string          `yaml:"volumes"`
		DependsOn   map[string]any    `yaml:"depends_on"`
		Healthcheck map[string]any    `yaml:"healthcheck"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

// withDefault is a variable that whoever runs compose may set.
var withDefault = regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`)

func TestCompose(t *testing.T) {
	t.Parallel()
	var compose composeFile
	read(t, "compose.yaml", &compose)
	deployments := 0
	for name, service := range compose.Services {
		require.NotEmpty(t, service.Healthcheck, name)
		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s publishes %s", name, port)
		}
		for _, volume := range service.Volumes {
			from, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(from, ".") {
				require.FileExists(t, from)
				continue
			}
			require.Contains(t, compose.Volumes, from, name)
		}
		for other := range service.DependsOn {
			require.Contains(t, compose.Services, other, name)
		}
		if service.Environment["OLYMPUS_NAME"] == "" {
			continue
		}
		deployments++
		require.Equal(t, "http://"+name+":3000", service.Environment["OLYMPUS_URL"])
		require.Contains(t, service.Environment["DATABASE_URL"], "@"+name+"-postgres/")
		var settings []string
		for key, value := range service.Environment {
			settings = append(settings, key+"="+withDefault.ReplaceAllString(value, "$1"))
		}
		out, err := olympus(t, settings, "task", "key:show")
		require.NoError(t, err, out)
		require.Contains(t, out, service.Environment["OLYMPUS_NAME"])
	}
	require.Equal(t, 3, deployments)
}

// The script that compose runs makes each of three deployments a peer of the others, and does no harm the second time.
func TestComposePeers(t *testing.T) {
	t.Parallel()
	names := []string{"om", "oa", "og"}
	data := t.TempDir()
	databases := make(map[string]string)
	settings := []string{"GO_ENV=development", "DEPLOYMENTS=" + data}
	for _, name := range names {
		databases[name] = testdb.URL(t)
		settings = append(settings, strings.ToUpper(name)+"_DATABASE_URL="+databases[name], strings.ToUpper(name)+"_URL=http://"+name+".example.com:3000")
	}
	script, err := filepath.Abs("compose-peers.sh")
	require.NoError(t, err)
	for range 2 {
		cmd := command(t, settings)
		shell := exec.CommandContext(t.Context(), "sh", script)
		shell.Env, shell.Dir = cmd.Env, cmd.Dir
		out, err := shell.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, 6, strings.Count(string(out), " added: "), string(out))
	}
	for _, name := range names {
		list := command(t, []string{
			"OLYMPUS_NAME=" + name + ".example.com", "OLYMPUS_DATA_DIR=" + filepath.Join(data, name), "DATABASE_URL=" + databases[name],
		}, "task", "peers:list", "--json")
		list.Stderr = os.Stderr
		out, err := list.Output()
		require.NoError(t, err)
		var peers []struct{ Name, State, URL string }
		require.NoError(t, json.Unmarshal(out, &peers), string(out))
		require.Len(t, peers, 2)
		for _, peer := range peers {
			require.NotEqual(t, name+".example.com", peer.Name)
			require.Equal(t, "active", peer.State)
			require.Equal(t, "http://"+peer.Name+":3000", peer.URL)
		}
	}
}
