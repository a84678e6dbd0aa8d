package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// benchPush measures the time from the answer of a fill at OM to the version in OA's list, by push.
func benchPush(ctx context.Context, l *lab) ([]row, error) {
	tree, files, err := l.modules(ctx)
	if err != nil {
		return nil, err
	}
	om, err := l.olympus(ctx, "om.example.com", "OLYMPUS_UPSTREAM=file://"+tree)
	if err != nil {
		return nil, err
	}
	defer l.stop(om)
	oa, err := l.olympus(ctx, "oa.example.com", "OLYMPUS_FETCH=lazy")
	if err != nil {
		return nil, err
	}
	defer l.stop(oa)
	if err := introduce(ctx, om, oa); err != nil {
		return nil, err
	}
	if err := introduce(ctx, oa, om); err != nil {
		return nil, err
	}
	var took []time.Duration
	small, _ := bySize(tree, files)
	for _, zip := range small[:min(60, len(small))] {
		if _, err := fetch(om.url + "/" + zip); err != nil {
			return nil, err
		}
		start := time.Now()
		escaped, file, _ := strings.Cut(zip, "/@v/")
		if err := await(ctx, oa.url+"/"+escaped+"/@v/list", strings.TrimSuffix(file, ".zip"), oa.url+"/"+strings.TrimSuffix(zip, ".zip")+".info"); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	m := median(took)
	return []row{{
		"fill at one to list at the other, by push", m.Round(100*time.Microsecond).String() + " median", "", "", "under 100ms", m < 100*time.Millisecond,
	}}, nil
}

// await waits until a version is listed; a pseudo-version never is, and its .info is waited for instead.
func await(ctx context.Context, list, version, info string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	url, contains := list, version+"\n"
	if strings.Count(version, "-") >= 2 {
		url, contains = info, ""
	}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		req.Header.Set("Disable-Module-Fetch", "true")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("%s does not show %s: %w", url, version, err)
		}
		var body strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := resp.Body.Read(buffer)
			body.Write(buffer[:n])
			if err != nil {
				break
			}
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK && strings.Contains(body.String(), strings.ReplaceAll(contains, "!", "")) {
			return nil
		}
	}
}
