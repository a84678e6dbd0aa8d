package actions

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShellWord(t *testing.T) {
	t.Parallel()
	for _, plain := range []string{"example.com/m@v1.0.0", "example.com/m_x@v0.0.0-20261122120000-abcdef123456", "m@v2.0.0+incompatible", "https://om.example.com:8080/go"} {
		require.Equal(t, plain, shellWord(plain), "needs no quotes")
	}
	for _, text := range []string{
		"~", "example.com/~user/m@v1.0.0", "a!b", "it's", `'`, `''`, `"$(id)"`, "`id`", "a b", "a\nb", "a\tb", "", "a;id", "a&b", "a|b", "a>b", "*", "?", "[a]",
		"{a,b}", "#a", "$HOME", `a\`, "=a", "%a", "http://[::1]:3000", "é", "\xff",
	} {
		got, err := exec.Command("sh", "-c", "printf %s "+shellWord(text)).Output()
		require.NoError(t, err, "%q", text)
		require.Equal(t, text, string(got))
		require.Equal(t, byte('\''), shellWord(text)[0], "%q", text)
	}
}
