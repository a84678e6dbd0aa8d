package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"
)

type manifest struct {
	Kind string `yaml:"kind"`
	Spec struct {
		Template struct {
			Spec struct {
				TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
				EnableServiceLinks            *bool `yaml:"enableServiceLinks"`
				Containers                    []struct {
					Env []struct{ Name, Value string } `yaml:"env"`
				} `yaml:"containers"`
			} `yaml:"spec"`
		} `yaml:"template"`
	} `yaml:"spec"`
}

func TestHelmChart(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("helm"); err != nil {
		t.Skip("there is no helm: Debian has no package of it, and to build it takes longer than all other tests")
	}
	chart := filepath.Join("helm", "olympus")
	for _, test := range []struct {
		values string
		kinds  map[string]int
	}{
		{"volume-values.yaml", map[string]int{"Deployment": 2, "Service": 2, "PersistentVolumeClaim": 1, "PodDisruptionBudget": 1}},
		{"bucket-values.yaml", map[string]int{"Deployment": 2, "Service": 2, "PodDisruptionBudget": 2, "Ingress": 1, "ServiceMonitor": 1}},
	} {
		values := filepath.Join(chart, "ci", test.values)
		tool(t.Context(), t, "helm", "lint", "--strict", chart, "--values", values)
		out := tool(t.Context(), t, "helm", "template", "om", chart, "--kube-version", "1.30.0", "--values", values)
		kinds := make(map[string]int)
		for document := range bytes.SplitSeq(out, []byte("\n---\n")) {
			var m manifest
			require.NoError(t, yaml.Unmarshal(document, &m), string(document))
			if m.Kind != "" {
				kinds[m.Kind]++
			}
			if m.Kind == "Deployment" {
				checkPod(t, m)
			}
		}
		require.Equal(t, test.kinds, kinds, test.values)
	}
	out, err := exec.CommandContext(t.Context(), "helm", "template", "om", chart, "--kube-version", "1.30.0").CombinedOutput()
	require.Error(t, err, "no name, no key, no database")
	require.Contains(t, string(out), "is required")
}

// checkPod starts olympus with the settings of a pod. What comes out of Secrets is made up.
func checkPod(t *testing.T, m manifest) {
	t.Helper()
	pod := m.Spec.Template.Spec
	require.Greater(t, pod.TerminationGracePeriodSeconds, 3+15+8)
	require.NotNil(t, pod.EnableServiceLinks)
	require.False(t, *pod.EnableServiceLinks, "a Service named olympus would set OLYMPUS_SERVICE_HOST")
	secret := map[string]string{"OLYMPUS_ADMIN_TOKEN": "0123456789abcdef", "DATABASE_URL": "postgres://db/olympus"}
	var settings []string
	for _, variable := range pod.Containers[0].Env {
		value := variable.Value
		switch variable.Name {
		case "OLYMPUS_DATA_DIR":
			value = t.TempDir()
		case "OLYMPUS_SIGNING_KEY_FILE":
			value = filepath.Join(t.TempDir(), "signing.key")
			require.NoError(t, os.WriteFile(value, []byte(newKey(t, "om.example.com")), 0o600))
		}
		if value == "" {
			value = secret[variable.Name]
		}
		settings = append(settings, variable.Name+"="+value)
	}
	out, err := olympus(t, settings, "task", "key:show")
	require.NoError(t, err, out)
	require.Contains(t, out, "om.example.com+")
}
