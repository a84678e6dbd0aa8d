package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"olympus/internal/protocol"
	"olympus/models"
	"olympus/worker"
)

// benchProof compares a pull that proves every page with one that does not.
func benchProof(ctx context.Context, l *lab) ([]row, error) {
	om, err := l.olympus(ctx, "om.example.com", "OLYMPUS_FETCH=lazy")
	if err != nil {
		return nil, err
	}
	defer l.stop(om)
	events := max(1000, l.events/10)
	if err := seed(om.database, events); err != nil {
		return nil, err
	}
	var who struct{ Key string }
	body, err := fetch(om.url + "/peer")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(body, &who); err != nil {
		return nil, err
	}
	took := map[bool]time.Duration{}
	for range 2 { // in turn, so that both see the same noise
		for _, unproved := range []bool{false, true} {
			d, drop, err := l.inProcess(ctx, "oa.example.com", worker.Options{FetchLazy: true, Unproved: unproved})
			if err != nil {
				return nil, err
			}
			err = models.SavePeer(d.DB, "om.example.com", om.url, who.Key)
			if err == nil {
				start := time.Now()
				_, err = d.Pull(ctx, "om.example.com", 0)
				took[unproved] += time.Since(start)
			}
			drop()
			if err != nil {
				return nil, err
			}
		}
	}
	rate := func(t time.Duration) string { return fmt.Sprintf("%.0f/s", 2*float64(events)/t.Seconds()) }
	ratio := took[true].Seconds() / took[false].Seconds()
	return []row{{
		fmt.Sprintf("pull of %d events, proved", events), rate(took[false]), "unproved " + rate(took[true]), fmt.Sprintf("%.2f", ratio), "at least 0.85", ratio >= 0.85,
	}}, nil
}

// benchTree compares appending to a long log with appending to a short one.
func benchTree(ctx context.Context, l *lab) ([]row, error) {
	lengths := []int{1000, l.events}
	var logs []*worker.Deployment
	for _, n := range lengths {
		d, drop, err := l.inProcess(ctx, "om.example.com", worker.Options{FetchLazy: true})
		if err != nil {
			return nil, err
		}
		defer drop()
		if err := seed(d.DB.URL(), n); err != nil {
			return nil, err
		}
		if err := d.DB.RawQuery("VACUUM ANALYZE").Exec(); err != nil {
			return nil, err
		}
		logs = append(logs, d)
	}
	const rounds, each = 8, 100
	took := make([]time.Duration, len(logs))
	for round := range rounds { // in turn, so that both see the same noise
		for i, d := range logs {
			start := time.Now()
			for n := range each {
				if err := d.Append(true, []protocol.Event{event(lengths[i] + round*each + n)}, nil); err != nil {
					return nil, err
				}
			}
			if round > 0 { // the first warms up
				took[i] += time.Since(start)
			}
		}
	}
	ratio := took[1].Seconds() / took[0].Seconds()
	one := func(t time.Duration) string { return (t / ((rounds - 1) * each)).Round(10 * time.Microsecond).String() }
	return []row{{
		fmt.Sprintf("append after %d events", lengths[1]), one(took[1]), fmt.Sprintf("after %d: %s", lengths[0], one(took[0])), fmt.Sprintf("%.2f", ratio), "at most 1.10", ratio <= 1.1,
	}}, nil
}

// benchSumdb compares lookups and tiles of the checksum database with hits on .info.
func benchSumdb(ctx context.Context, l *lab) ([]row, error) {
	tree, files, err := l.modules(ctx)
	if err != nil {
		return nil, err
	}
	om, err := l.olympus(ctx, "sums.example.com", "OLYMPUS_UPSTREAM=file://"+tree)
	if err != nil {
		return nil, err
	}
	defer l.stop(om)
	infos := having(files, ".info")
	var lookups []string
	for _, info := range infos {
		path, version, _ := strings.Cut(strings.TrimSuffix(info, ".info"), "/@v/")
		lookups = append(lookups, "sumdb/sums.example.com/lookup/"+path+"@"+version)
	}
	for _, file := range append(append([]string(nil), infos...), lookups...) {
		if _, err := fetch(om.url + "/" + file); err != nil {
			return nil, err
		}
	}
	tiles := []string{fmt.Sprintf("sumdb/sums.example.com/tile/8/0/000.p/%d", len(infos))}
	var rows []row
	for _, kind := range []struct {
		what  string
		files []string
	}{{"lookups of the checksum database", lookups}, {"its tiles", tiles}} {
		var ours, reference float64
		for turn := range 3 { // in turn, so that both see the same noise; the first warms up
			a, err := l.load(ctx, om, kind.files)
			if err != nil {
				return nil, err
			}
			b, err := l.load(ctx, om, infos)
			if err != nil {
				return nil, err
			}
			if turn > 0 {
				ours, reference = ours+a.rate/2, reference+b.rate/2
			}
		}
		ratio := ours / reference
		rows = append(rows, row{
			kind.what, fmt.Sprintf("%.0f/s", ours), fmt.Sprintf(".info %.0f/s", reference), fmt.Sprintf("%.2f", ratio), "at least 0.50", ratio >= 0.5,
		})
	}
	return rows, nil
}
