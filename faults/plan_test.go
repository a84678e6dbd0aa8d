package main

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The schedule follows from the seed and nothing else.
func TestPlanOfSeed(t *testing.T) {
	t.Parallel()
	plan := makePlan(7, 10*time.Minute, 5*time.Second, labels)
	require.Equal(t, plan, makePlan(7, 10*time.Minute, 5*time.Second, labels))
	require.NotEqual(t, plan, makePlan(8, 10*time.Minute, 5*time.Second, labels))
}

func TestPlanIsSound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		const duration = 10 * time.Minute
		plan := makePlan(seed, duration, 4*time.Second, labels)
		require.Greater(t, len(plan), 100)
		seen := make(map[kind]bool)
		until := make(map[string]time.Duration)
		for i, f := range plan {
			seen[f.kind] = true
			require.Positive(t, f.lasts)
			require.LessOrEqual(t, f.at+f.lasts, duration)
			require.True(t, i == 0 || plan[i-1].at < f.at)
			switch {
			case slices.Contains(ofNetwork, f.kind):
				require.Contains(t, labels, f.from)
				require.Contains(t, labels, f.to)
				require.NotEqual(t, f.from, f.to)
				require.Empty(t, f.deployment)
			default:
				require.Contains(t, labels, f.deployment)
				require.Empty(t, f.from)
				require.False(t, f.bothWays)
			}
			if slices.Contains(ofProcesses, f.kind) {
				require.GreaterOrEqual(t, f.at, until[f.deployment], "two faults of the processes of one deployment at a time")
				until[f.deployment] = f.at + f.lasts
			}
		}
		for _, k := range slices.Concat(ofNetwork, ofUpstream, ofProcesses) {
			require.True(t, seen[k], "no %s in %d faults", k, len(plan))
		}
	}
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	c := newCalendar()
	since, ok := c.undisturbedSince("om", "oa")
	require.True(t, ok)
	require.True(t, since.IsZero())
	c.begin("om")
	c.begin("om")
	c.end("om")
	_, ok = c.undisturbedSince("om", "oa")
	require.False(t, ok, "one of two that overlap goes on")
	before := time.Now()
	c.end("om")
	since, ok = c.undisturbedSince("om", "oa")
	require.True(t, ok)
	require.False(t, since.Before(before))
	since, ok = c.undisturbedSince("oa")
	require.True(t, ok)
	require.True(t, since.IsZero(), "the other one")
}
