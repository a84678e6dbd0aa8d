package models

import (
	"errors"
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// Fill is a version on its way in from upstream. Recorded .info and .mod may have been answered to clients: the event that
// ends the fill carries exactly them.
type Fill struct {
	Module   string  `db:"module"`
	Version  string  `db:"version"`
	Process  string  `db:"process"`
	Info     *string `db:"info"`
	Mod      *string `db:"mod"`
	Attempts int     `db:"attempts"`
	Error    string  `db:"error"`

	StartedAt time.Time `db:"started_at"` // when the process claimed it
	DueAt     time.Time `db:"due_at"`     // when it may be tried again, if nobody is at it
}

// Recorded reports whether .info and .mod are durably known.
func (f *Fill) Recorded() bool { return f.Info != nil }

const fillColumns = `module, version, process, info, mod, attempts, error, started_at, due_at`

// processIsDead is true of a fills row that nobody is at.
const processIsDead = `(fills.process = '' OR NOT EXISTS (
	SELECT 1 FROM processes p WHERE p.id = fills.process AND p.seen_at > now() - make_interval(secs => ?)))`

// ClaimFill makes a process the only one to fill a version. It reports false when a live process is at it already; a row
// that a dead process left, or this one (which fills a version once at a time) could not let go of, is taken over with what it had
// recorded. The claim itself need not survive the database: nobody has been answered anything yet, so it does not wait for the disk.
// patience is how long a process may be silent and count as live.
func ClaimFill(tx *pop.Connection, module, version, process string, patience time.Duration) (*Fill, bool, error) {
	var f Fill
	err := one(tx, &f, fmt.Sprintf("claim the fill of %s@%s", module, version), `
		INSERT INTO fills (module, version, process) SELECT ?, ?, ? FROM set_config('synchronous_commit', 'off', true)
		ON CONFLICT (module, version) DO UPDATE SET process = excluded.process, started_at = now()
			WHERE fills.process = excluded.process OR `+processIsDead+`
		RETURNING `+fillColumns, module, version, process, patience.Seconds())
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	return &f, err == nil, err
}

// FindFill returns the fill of a version, or ErrNotFound.
func FindFill(tx *pop.Connection, module, version string) (*Fill, error) {
	var f Fill
	err := one(tx, &f, fmt.Sprintf("read the fill of %s@%s", module, version),
		`SELECT `+fillColumns+` FROM fills WHERE module = ? AND version = ?`, module, version)
	if err != nil {
		return nil, err
	}
	return &f, nil
}

// ErrFillTaken: the claim of a fill is this process's no more. The version was deleted, or another process took this one for dead.
var ErrFillTaken = errors.New("the fill was given up or taken over")

// RecordFill keeps the .info and .mod of a fill before anyone is answered with them. It returns ErrFillTaken when the claim is gone.
func RecordFill(tx *pop.Connection, module, version, process, info, mod string) error {
	n, err := exec(tx, fmt.Sprintf("record .info and .mod of %s@%s", module, version), `
		UPDATE fills SET info = ?, mod = ? WHERE module = ? AND version = ? AND process = ? AND info IS NULL`,
		info, mod, module, version, process)
	if err == nil && n == 0 {
		err = fmt.Errorf("record .info and .mod of %s@%s: %w", module, version, ErrFillTaken)
	}
	return err
}

// EndFill removes a fill that has become an event, or that is not to be tried again. The version, if there is one by now, remembers when
// it was asked for.
func EndFill(tx *pop.Connection, module, version string) error {
	_, err := exec(tx, fmt.Sprintf("end the fill of %s@%s", module, version), `
		WITH ended AS (DELETE FROM fills WHERE module = ? AND version = ? RETURNING module, version, started_at)
		UPDATE versions v SET asked_at = ended.started_at FROM ended
		WHERE v.module = ended.module AND v.version = ended.version AND v.asked_at IS NULL`, module, version)
	return err
}

// FailFill lets go of a fill after an error. With nothing recorded nobody has been promised anything and the row goes; else it
// stays for a fill job to take up after the delay. An attempt before its time, because somebody asked, does not put off the next one.
func FailFill(tx *pop.Connection, module, version, process, reason string, retryIn time.Duration) error {
	_, err := exec(tx, fmt.Sprintf("let go of the fill of %s@%s", module, version),
		`DELETE FROM fills WHERE module = ? AND version = ? AND process = ? AND info IS NULL`, module, version, process)
	if err != nil {
		return err
	}
	_, err = exec(tx, fmt.Sprintf("let go of the fill of %s@%s", module, version), `
		UPDATE fills SET process = '', error = ?,
			attempts = CASE WHEN due_at <= now() THEN attempts + 1 ELSE attempts END,
			due_at = CASE WHEN due_at <= now() THEN now() + make_interval(secs => ?) ELSE due_at END
		WHERE module = ? AND version = ? AND process = ?`, reason, retryIn.Seconds(), module, version, process)
	return err
}

// ClaimedFills returns the fills that a process has claimed.
func ClaimedFills(tx *pop.Connection, process string) ([]Fill, error) {
	var fills []Fill
	err := all(tx, &fills, "look for claimed fills", `SELECT `+fillColumns+` FROM fills WHERE process = ?`, process)
	return fills, err
}

// AbandonFill gives up a claim, unless it is not the one that f was read with any more.
func AbandonFill(tx *pop.Connection, f *Fill) error {
	_, err := exec(tx, fmt.Sprintf("abandon the fill of %s@%s", f.Module, f.Version), `
		UPDATE fills SET process = '' WHERE module = ? AND version = ? AND process = ? AND started_at = ?`,
		f.Module, f.Version, f.Process, f.StartedAt)
	return err
}

// AnyAbandonedFill reports whether AbandonedFills would return any.
func AnyAbandonedFill(tx *pop.Connection, patience time.Duration) (bool, error) {
	var row struct {
		Any bool `db:"any"`
	}
	err := one(tx, &row, "look for abandoned fills",
		`SELECT EXISTS (SELECT FROM fills WHERE `+processIsDead+` AND due_at <= now()) AS any`, patience.Seconds())
	return row.Any, err
}

// AbandonedFills returns due fills that nobody is at. Nobody can claim them before the transaction ends.
func AbandonedFills(tx *pop.Connection, patience time.Duration, limit int) ([]Fill, error) {
	var fills []Fill
	err := all(tx, &fills, "look for abandoned fills", `
		SELECT `+fillColumns+` FROM fills WHERE `+processIsDead+` AND due_at <= now() ORDER BY due_at LIMIT ?
		FOR UPDATE SKIP LOCKED`,
		patience.Seconds(), limit)
	return fills, err
}
