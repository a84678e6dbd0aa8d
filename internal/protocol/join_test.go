package protocol_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"olympus/internal/protocol"
)

const joinText = `{"name":"oa.example.com","url":"https://oa.example.com","key":"oa.example.com+57ff4acd+AW0F"}`

func TestParseJoin(t *testing.T) {
	t.Parallel()
	want := protocol.Join{Name: "oa.example.com", URL: "https://oa.example.com", Key: "oa.example.com+57ff4acd+AW0F"}
	for _, text := range []string{
		joinText, " " + joinText + "\n", strings.Replace(joinText, "{", `{"later":[{"name":1}],`, 1), strings.Replace(joinText, "https", `\u0068ttps`, 1),
		string(protocol.AppendJoin(nil, want)),
	} {
		got, err := protocol.ParseJoin([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for text, named := range map[string]string{
		"":              "json",
		"{":             "json",
		`[]`:            "join",
		`"join"`:        "join",
		`{}`:            "name",
		joinText + "{}": "json",
		strings.Replace(joinText, "{", `{"key":"x",`, 1):                      "key",
		strings.Replace(joinText, "{", `{"URL":"x",`, 1):                      "URL",
		strings.Replace(joinText, `"https://oa.example.com"`, `["x"]`, 1):     "url",
		strings.Replace(joinText, `"https://oa.example.com"`, `""`, 1):        "url",
		strings.Replace(joinText, "https", "https\xff", 1):                    "json",
		strings.Replace(joinText, "https", `https\u0000`, 1):                  "NUL",
		strings.Replace(joinText, "oa.example.com\",", `..",`, 1):             "name",
		strings.Replace(joinText, "https", strings.Repeat("h", 1024), 1):      "url",
		strings.Replace(joinText, "{", `{"x":`+strings.Repeat("[", 20000), 1): "json",
	} {
		_, err := protocol.ParseJoin([]byte(text))
		var malformed *protocol.MalformedError
		require.ErrorAs(t, err, &malformed, text)
		require.ErrorContains(t, err, named)
	}
	_, err := protocol.ParseJoin(make([]byte, protocol.MaxJoinBytes+1))
	require.ErrorIs(t, err, protocol.ErrTooLarge)
}

// What is accepted says the same to an ordinary JSON library, and can be written again.
func FuzzParseJoin(f *testing.F) {
	f.Add([]byte(joinText))
	f.Add([]byte(`{"key":"\ud83d\ude00","url":"/","name":"a/b","x":{"name":null}}` + "\n"))
	f.Add([]byte(`{"name":"a","Name":"b","url":"c","key":"d"}`))
	f.Add([]byte(`{"name":"a","name":"b","url":"c","key":"d"}`))
	f.Add([]byte(`{"name":"a","url":"\u0000","key":"d"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		j, err := protocol.ParseJoin(body)
		if err != nil {
			require.Empty(t, j)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		var read struct{ Name, URL, Key string }
		require.NoError(t, json.Unmarshal(body, &read))
		require.Equal(t, protocol.Join(read), j)
		require.NoError(t, protocol.ValidateName(j.Name))
		again, err := protocol.ParseJoin(protocol.AppendJoin(nil, j))
		require.NoError(t, err)
		require.Equal(t, j, again)
	})
}

// The same for the announcement of a key.
func FuzzParseNewKey(f *testing.F) {
	f.Add([]byte(`{"key":"oa.example.com+57ff4acd+AW0F","proof":"olympus new signing key\na\nb\n\n— oa.example.com AAAA\n"}`))
	f.Add([]byte(`{"proof":"","key":"x"}`))
	f.Add([]byte(`{"proof":"x","KEY":"x"}`))
	f.Add([]byte(`{"proof":1,"key":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		k, err := protocol.ParseNewKey(body)
		if err != nil {
			require.Empty(t, k)
			require.NotContains(t, err.Error(), "\n")
			return
		}
		var read struct{ Key, Proof string }
		require.NoError(t, json.Unmarshal(body, &read))
		require.Equal(t, protocol.NewKey(read), k)
		again, err := protocol.ParseNewKey(protocol.AppendNewKey(nil, k))
		require.NoError(t, err)
		require.Equal(t, k, again)
	})
}
