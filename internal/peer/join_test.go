package peer

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// What is taken for a state is one short word, whoever answers, and an ordinary JSON library reads the same.
func FuzzParseState(f *testing.F) {
	for _, seed := range []string{`{"state":"pending"}`, `{"state":"accepted","x":[]}`, `{"State":"x"}`, `{"state":"a","state":"b"}`, `{"state":"\u001b[2J"}`, `{}`, `[]`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		state, err := parseState(body)
		if err != nil {
			require.Empty(t, state)
			return
		}
		require.Regexp(t, `^[a-z]{1,40}$`, state)
		var read struct{ State string }
		require.NoError(t, json.Unmarshal(body, &read))
		require.Equal(t, read.State, state)
	})
}
