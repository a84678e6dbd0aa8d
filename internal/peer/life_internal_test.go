package peer

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func explained(life string) []byte {
	return fmt.Appendf(nil, `{"module":"example.com/m","version":"v1.0.0","deployments":[%s]}`, life)
}

func TestParseExplanationRefuses(t *testing.T) {
	t.Parallel()
	for life, says := range map[string]string{
		``: "says nothing",
		`{"deployment":"oa.example.com","state":"live"}`:                                       `of "oa.example.com"`,
		`{"deployment":"om.example.com","state":"well"}`:                                       `state "well"`,
		`{"deployment":"om.example.com","state":"live","position":-1}`:                         "position -1",
		`{"deployment":"om.example.com","state":"live","state":"live"}`:                        "duplicate",
		`{"deployment":"om.example.com","state":"live","steps":[{"at":"yesterday"}]}`:          "parse the answer",
		`{"deployment":"om.example.com","state":"` + strings.Repeat("x", 100) + `"}`:           `state "` + strings.Repeat("x", 50) + `"`,
		`{"deployment":"om.example.com","state":"live"}],"module":"example.com/n","other":[{}`: "duplicate",
	} {
		_, err := parseExplanation(explained(life), "om.example.com", "example.com/m", "v1.0.0")
		require.ErrorContains(t, err, says, life)
	}
	_, err := parseExplanation(explained(`{"deployment":"om.example.com","state":"live"}`), "om.example.com", "example.com/n", "v1.0.0")
	require.ErrorContains(t, err, `about "example.com/m"`)
}

// What is taken of an explanation is of bounded length, in lines of its own, and of the deployment that was asked.
func FuzzParseExplanation(f *testing.F) {
	f.Add(explained(`{"deployment":"om.example.com","state":"live","held":true,"position":7,"reason":"a\nb","error":"x",` +
		`"steps":[{"at":"2026-11-23T00:00:00Z","what":"add","says":"logged\r\nat position 7"}]}`))
	f.Add(explained(`{"deployment":"om.example.com","state":"unknown","reason":"` + strings.Repeat("é", 300) + `"}`))
	f.Add(explained(`{"deployment":"om.example.com","state":"deleted"},{"deployment":"oa.example.com","state":"live"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		life, err := parseExplanation(append([]byte(nil), body...), "om.example.com", "example.com/m", "v1.0.0")
		if err != nil {
			require.Nil(t, life)
			return
		}
		require.Equal(t, "om.example.com", life.Deployment)
		require.Empty(t, life.Error)
		require.LessOrEqual(t, len(life.Steps), maxSteps)
		texts := []string{life.Reason}
		for _, s := range life.Steps {
			texts = append(texts, s.What, s.Says)
		}
		for _, text := range texts {
			require.LessOrEqual(t, len(text), maxMessageBytes+len(" …"))
			require.NotContains(t, text, "\n")
		}
		_, err = json.Marshal(life)
		require.NoError(t, err)
	})
}
