package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// shownDigits are enough of a hash for the eye. All of it is compared.
const shownDigits = 12

// g4Zips compares what clients get from each deployment with the file that upstream has given once, and lets each check itself.
func (s *stage) g4Zips(ctx context.Context) error {
	s.out.say("The sha256 of the zips: as upstream gave them to OM, and as the go command gets them from each deployment.")
	rows := [][]string{{"", "upstream"}}
	for _, d := range s.deployments {
		rows[0] = append(rows[0], d.label)
	}
	rows[0] = append(rows[0], "")
	difference := ""
	for _, m := range s.modules {
		want, err := fileSHA256(m.cached + ".zip")
		if err != nil {
			return err
		}
		row, verdict := []string{m.label(), want[:shownDigits]}, isOK
		for _, d := range s.deployments {
			got, err := s.download(ctx, d, m)
			if err != nil {
				return err
			}
			if got.sha256 != want {
				verdict = differs
				difference = fmt.Sprintf("the zip of %s has sha256 %s at %s, and should have %s", m.label(), got.sha256, d.label, want)
			}
			row = append(row, got.sha256[:shownDigits])
		}
		rows = append(rows, append(row, verdict))
	}
	s.out.table(rows)
	if difference != "" {
		return errors.New(difference)
	}
	s.out.line("")
	s.out.say("Each checks its log, what follows from it, and its zips:")
	s.out.command("olympus task log:verify")
	for _, d := range s.deployments {
		var verified struct{ Events, Versions, Blobs int }
		if err := d.task(ctx, &verified, "log:verify"); err != nil {
			return err
		}
		s.out.say("  %s: %d events, %d versions, %d zips, no problems", d.label, verified.Events, verified.Versions, verified.Blobs)
	}
	return nil
}

func fileSHA256(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	hash := sha256.Sum256(content)
	return hex.EncodeToString(hash[:]), nil
}
