package actions

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// One client, and all together, get only so many places; a place that was left is free again.
func TestLiveStreamsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLive(nil)
	var leave []func()
	enter := func(client string) error {
		done, err := l.enter(client)
		if err == nil {
			leave = append(leave, done)
		}
		return err
	}
	for range liveStreamsPerClient {
		require.NoError(t, enter("192.0.2.1"))
	}
	require.Equal(t, http.StatusServiceUnavailable, statusOf(enter("192.0.2.1")))
	require.NoError(t, enter("192.0.2.2"))
	for i := len(leave); i < liveStreams; i++ {
		require.NoError(t, enter(string(rune('a'+i%26))))
	}
	require.Equal(t, http.StatusServiceUnavailable, statusOf(enter("192.0.2.3")), "all places are taken")
	leave[0]()
	require.NoError(t, enter("192.0.2.1"))
	for _, done := range leave[1:] {
		done()
	}
	require.Equal(t, map[string]int{"": 0}, l.streams, "nothing is remembered of those who left")
}

func TestTopics(t *testing.T) {
	t.Parallel()
	require.Equal(t, "log jobs", topics(map[string]bool{topicJobs: true, topicLog: true}))
	require.Equal(t, "192.0.2.1", clientOf(&http.Request{RemoteAddr: "192.0.2.1:80"}))
	require.Equal(t, "2001:db8::1", clientOf(&http.Request{RemoteAddr: "[2001:db8::1]:80"}))
}
