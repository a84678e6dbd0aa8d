package actions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"olympus/models"
)

const (
	// sparkStep and plotStep are what one step of the small plots in the table of peers and of those on a peer's page stands for; each
	// shows the worst sample of its step.
	sparkStep = 30 * time.Minute
	plotStep  = 5 * time.Minute
	plotted   = 24 * time.Hour
)

// plot is a curve of the last day, drawn in steps. Where there are no samples, the deployment did not tick: that is drawn as a gap.
type plot struct {
	ID, Heading, Title string
	Width, Height      int
	Path               string
	Gaps               []gap
	Most, Note         string
}

// gap is a stretch without samples.
type gap struct{ X, W string }

// samplesOf are the samples of one peer, of those of all by peer.
func samplesOf(samples []models.LagSample, peer string) []models.LagSample {
	first, _ := slices.BinarySearchFunc(samples, peer, func(s models.LagSample, name string) int { return strings.Compare(s.Peer, name) })
	last := first
	for last < len(samples) && samples[last].Peer == peer {
		last++
	}
	return samples[first:last]
}

// newSpark is the small plot of the lag in events, nil while there is nothing to compare.
func newSpark(samples []models.LagSample) *plot {
	if len(samples) < 2 {
		return nil
	}
	values, most, _ := valuesOf(samples, int(plotted/sparkStep), func(s models.LagSample) int64 { return s.Lag })
	p := newPlot(values, most, 96, 20)
	p.Title = "Lag in the last 24 hours: at most " + some(most, "event")
	return p
}

// newPlots are those of a peer's page: the lag in events, and in time.
func newPlots(samples []models.LagSample) []*plot {
	if len(samples) == 0 {
		return nil
	}
	steps := int(plotted / plotStep)
	events, mostEvents, missing := valuesOf(samples, steps, func(s models.LagSample) int64 { return s.Lag })
	seconds, mostSeconds, _ := valuesOf(samples, steps, func(s models.LagSample) int64 { return s.Seconds })
	note := "There is a sample of every minute."
	if missing > 0 {
		note = "There are no samples of " + roughly(time.Duration(missing)*plotStep) + ": this deployment did not run, or did not know the peer yet."
	}
	lag, behind := newPlot(events, mostEvents, 576, 72), newPlot(seconds, mostSeconds, 576, 72)
	lag.ID, lag.Heading, lag.Most = "lag-events", "Lag in events", some(mostEvents, "event")
	behind.ID, behind.Heading, behind.Most = "lag-time", "Behind for", "0 s"
	if mostSeconds > 0 {
		behind.Most = roughly(time.Duration(mostSeconds) * time.Second)
	}
	for _, p := range []*plot{lag, behind} {
		p.Note = note
		p.Title = p.Heading + " over the last 24 hours: at most " + p.Most + ". " + note
	}
	return []*plot{lag, behind}
}

// valuesOf are the values of all steps, -1 for those without a sample; the largest; and how many have none.
func valuesOf(samples []models.LagSample, steps int, value func(models.LagSample) int64) (values []int64, most int64, missing int) {
	values = slices.Repeat([]int64{-1}, steps)
	for _, s := range samples {
		step := min(max(s.Step, 0), steps-1)
		values[step] = max(values[step], value(s))
		most = max(most, value(s))
	}
	for i, v := range values {
		if v >= 0 {
			continue
		}
		if i == steps-1 {
			// The step that has only just begun has none yet.
			values[i] = values[i-1]
		}
		if values[i] < 0 {
			missing++
		}
	}
	return values, most, missing
}

// newPlot draws values from left to right, the largest at the top.
func newPlot(values []int64, most int64, width, height int) *plot {
	p := &plot{Width: width, Height: height}
	step := float64(width) / float64(len(values))
	across := func(i int) string { return trimmed(float64(i) * step) }
	up := func(v int64) string {
		return trimmed(float64(height) - 1.5 - float64(v)/float64(max(most, 1))*float64(height-3))
	}
	var path strings.Builder
	for i := 0; i < len(values); {
		end := i + 1
		for end < len(values) && values[end] == values[i] {
			end++
		}
		switch {
		case values[i] < 0:
			p.Gaps = append(p.Gaps, gap{across(i), trimmed(float64(end-i) * step)})
		case i == 0 || values[i-1] < 0:
			fmt.Fprintf(&path, "M%s %sH%s", across(i), up(values[i]), across(end))
		default:
			fmt.Fprintf(&path, "V%sH%s", up(values[i]), across(end))
		}
		i = end
	}
	p.Path = path.String()
	return p
}

// trimmed is a coordinate with as many digits as can be seen.
func trimmed(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }
