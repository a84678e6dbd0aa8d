package models

import (
	"fmt"
	"time"

	"github.com/gobuffalo/pop/v6"
)

// Version is a module version as this deployment knows it: its state, which follows from its events, where its zip is, and
// the add that is served for it. The fields from Origin on are those of that add, zero while there is none.
type Version struct {
	Module  string `db:"module"`
	Version string `db:"version"`

	AddPosition int64 `db:"add_position"` // 0 while only a deprecate or delete is known
	Deprecated  bool  `db:"deprecated"`
	Deleted     bool  `db:"deleted"`
	Conflict    bool  `db:"conflict"`
	Pinned      bool  `db:"pinned"`
	Held        bool  `db:"held"`
	Served      bool  `db:"served"` // to a client, at least once

	FetchAttempts int        `db:"fetch_attempts"`
	FetchDueAt    *time.Time `db:"fetch_due_at"`
	FetchError    string     `db:"fetch_error"`
	FetchErrorAt  *time.Time `db:"fetch_error_at"`
	// FetchLeasedUntil is set while somebody downloads the zip.
	FetchLeasedUntil *time.Time `db:"fetch_leased_until"`

	Origin    string    `db:"origin"`
	Time      time.Time `db:"time"`
	ZipHash   string    `db:"zip_hash"`
	ZipSHA256 string    `db:"zip_sha256"`
	ZipSize   int64     `db:"zip_size"` // bytes
	ModHash   string    `db:"mod_hash"`
	Info      string    `db:"info"`
	Mod       string    `db:"mod"`
}

// Known reports whether there is an add to serve.
func (v *Version) Known() bool { return v.AddPosition != 0 && !v.Deleted }

// State is the state as one word: live, deprecated or deleted.
func (v *Version) State() string {
	switch {
	case v.Deleted:
		return "deleted"
	case v.Deprecated:
		return "deprecated"
	}
	return "live"
}

const versionColumns = `v.module, v.version, coalesce(v.add_position, 0) AS add_position,
	v.deprecated, v.deleted, v.conflict, v.pinned, v.held, v.served_at IS NOT NULL AS served,
	v.fetch_attempts, v.fetch_due_at, v.fetch_error, v.fetch_error_at, v.fetch_leased_until,
	coalesce(e.origin, '') AS origin, coalesce(e.time, 'epoch') AS time, coalesce(e.zip_hash, '') AS zip_hash,
	coalesce(e.zip_sha256, '') AS zip_sha256, coalesce(e.zip_size, 0) AS zip_size, coalesce(e.mod_hash, '') AS mod_hash`

const versionFiles = `, coalesce(e.info, '') AS info, coalesce(e.mod, '') AS mod`

const fromVersions = ` FROM versions v LEFT JOIN events e ON e.position = v.add_position `

// FindVersion returns one version with its .info and .mod, or ErrNotFound when no event speaks of it.
func FindVersion(tx *pop.Connection, module, version string) (*Version, error) {
	var v Version
	err := one(tx, &v, fmt.Sprintf("read %s@%s", module, version), `SELECT `+versionColumns+versionFiles+fromVersions+`
		WHERE v.module = ? AND v.version = ?`, module, version)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

// Pin makes the add at a position the one that this version serves for good. It reports false, and changes nothing, when the
// version serves another add by now or is deleted: the caller reads it again.
func Pin(tx *pop.Connection, module, version string, addPosition int64) (bool, error) {
	n, err := exec(tx, fmt.Sprintf("pin %s@%s", module, version), `
		UPDATE versions SET pinned = true WHERE module = ? AND version = ? AND add_position = ? AND NOT deleted`,
		module, version, addPosition)
	return n == 1, err
}

// ModuleVersion is one line of what the log knows of a module.
type ModuleVersion struct {
	Version    string `db:"version"`
	Deprecated bool   `db:"deprecated"`
	Deleted    bool   `db:"deleted"`
	Added      bool   `db:"added"`
}

// ModuleVersions returns every version of a module that an event speaks of, in no order.
func ModuleVersions(tx *pop.Connection, module string) ([]ModuleVersion, error) {
	var rows []ModuleVersion
	err := all(tx, &rows, "list the versions of "+module, `
		SELECT version, deprecated, deleted, add_position IS NOT NULL AS added FROM versions WHERE module = ?`, module)
	return rows, err
}

// KnownVersions returns which of some versions the log has an add of.
func KnownVersions(tx *pop.Connection, versions []ModuleAtVersion) (map[ModuleAtVersion]bool, error) {
	modules, names := make([]string, len(versions)), make([]string, len(versions))
	for i, v := range versions {
		modules[i], names[i] = v.Module, v.Version
	}
	var rows []ModuleAtVersion
	err := all(tx, &rows, "look for versions that are known", `
		SELECT v.module, v.version FROM unnest(?::text[], ?::text[]) AS asked (module, version)
			JOIN versions v ON v.module = asked.module AND v.version = asked.version WHERE v.add_position IS NOT NULL`, modules, names)
	known := make(map[ModuleAtVersion]bool, len(rows))
	for _, r := range rows {
		known[r] = true
	}
	return known, err
}

// ModuleAtVersion names a version.
type ModuleAtVersion struct {
	Module  string `db:"module"`
	Version string `db:"version"`
}

// States in which versions are counted and listed. A version can be in several of them: what failed is remote, too.
const (
	VersionHeld       = "held"
	VersionRemote     = "remote"
	VersionFailed     = "failed" // remote, and the last fetch did not succeed
	VersionDeprecated = "deprecated"
	VersionDeleted    = "deleted"
	VersionConflict   = "conflict"
)

// The same conditions count and list, so that a list is as long as its count says.
const (
	isHeld       = `held AND NOT deleted`
	isRemote     = `NOT held AND NOT deleted AND add_position IS NOT NULL`
	isFailed     = `NOT held AND NOT deleted AND fetch_error <> ''`
	isDeprecated = `deprecated AND NOT deleted`
	isDeleted    = `deleted`
	isConflict   = `conflict`
)

// versionsIn is the condition of a state, that of any for "".
func versionsIn(state string) (string, error) {
	switch state {
	case "":
		return `true`, nil
	case VersionHeld:
		return isHeld, nil
	case VersionRemote:
		return isRemote, nil
	case VersionFailed:
		return isFailed, nil
	case VersionDeprecated:
		return isDeprecated, nil
	case VersionDeleted:
		return isDeleted, nil
	case VersionConflict:
		return isConflict, nil
	}
	return "", fmt.Errorf("list versions: there is no state %q", state)
}

// VersionPage says which versions to list: at most Limit of those after Module and Version, or of those before them.
type VersionPage struct {
	State           string // "" for any
	Prefix          string // of the module paths
	Module, Version string
	Before          bool
	Limit           int
}

// LatestVersions returns a page of versions for people to read, without .info and .mod, in order of module and version. Those in a state
// that few are in are looked for in all versions, but never is more than a page of them sorted or joined with its events.
func LatestVersions(tx *pop.Connection, page VersionPage) ([]Version, error) {
	state, err := versionsIn(page.State)
	if err != nil {
		return nil, err
	}
	from, nearest := `(module, version) > (?, ?)`, `module, version`
	args := []any{page.Prefix, page.Module, page.Version, page.Limit}
	if page.Before {
		// Nothing that begins with the prefix comes before it: there the way back ends.
		from, nearest = `(module, version) < (?, ?) AND module >= ?`, `module DESC, version DESC`
		args = []any{page.Prefix, page.Module, page.Version, page.Prefix, page.Limit}
	}
	var rows []Version
	err = all(tx, &rows, "list versions", `SELECT `+versionColumns+` FROM (
			SELECT * FROM versions WHERE starts_with(module, ?) AND `+from+` AND `+state+` ORDER BY `+nearest+` LIMIT ?
		) v LEFT JOIN events e ON e.position = v.add_position ORDER BY v.module, v.version`, args...)
	return rows, err
}

// searchedAtOnce bounds how many versions one statement of SearchVersions looks at.
const searchedAtOnce = 100_000

// SearchVersions returns versions after Module and Version of a page whose module paths contain a text, in any case, in order. No index
// knows what is in the middle of a path: it looks at the versions with the prefix of the page, in any state, 100,000 after the other, and
// begins with no others once patience is over. It returns the last one that it looked at if there may be more to find; else nil.
func SearchVersions(tx *pop.Connection, page VersionPage, contains string, patience time.Duration) (found []Version, last *Version, err error) {
	began := time.Now()
	for {
		some, last, err := searchNext(tx, page, contains)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, some...)
		if last == nil || len(some) == page.Limit || time.Since(began) >= patience {
			return found, last, nil
		}
		page.Module, page.Version = last.Module, last.Version
		page.Limit -= len(some)
	}
}

// searchNext is SearchVersions for the next 100,000 versions.
func searchNext(tx *pop.Connection, page VersionPage, contains string) (found []Version, last *Version, err error) {
	state, err := versionsIn(page.State)
	if err != nil {
		return nil, nil, err
	}
	const looked = `SELECT module, version FROM versions WHERE starts_with(module, ?) AND (module, version) > (?, ?) ORDER BY module, version `
	what := "look for " + contains + " in module paths"
	err = all(tx, &found, what, `SELECT `+versionColumns+` FROM (
			SELECT v.* FROM (`+looked+` LIMIT ?) looked JOIN versions v USING (module, version)
			WHERE position(lower(?) IN lower(looked.module)) > 0 AND `+state+` ORDER BY looked.module, looked.version LIMIT ?
		) v LEFT JOIN events e ON e.position = v.add_position ORDER BY v.module, v.version`,
		page.Prefix, page.Module, page.Version, searchedAtOnce, contains, page.Limit)
	if err != nil {
		return nil, nil, err
	}
	if len(found) == page.Limit {
		return found, &found[len(found)-1], nil
	}
	var rows []Version
	err = all(tx, &rows, what, looked+`OFFSET ? LIMIT 1`, page.Prefix, page.Module, page.Version, searchedAtOnce-1)
	if len(rows) > 0 {
		last = &rows[0]
	}
	return found, last, err
}

// MostFailed returns the versions whose zips were tried in vain most often, without .info and .mod.
func MostFailed(tx *pop.Connection, limit int) ([]Version, error) {
	var rows []Version
	err := all(tx, &rows, "list the versions that failed most often", `SELECT `+versionColumns+` FROM (
			SELECT * FROM versions WHERE `+isFailed+` ORDER BY fetch_attempts DESC, module, version LIMIT ?
		) v LEFT JOIN events e ON e.position = v.add_position ORDER BY v.fetch_attempts DESC, v.module, v.version`, limit)
	return rows, err
}

// VersionCounts are the numbers of versions by where they are.
type VersionCounts struct {
	Held       int64 `db:"held" json:"held"`
	Remote     int64 `db:"remote" json:"remote"`
	Failed     int64 `db:"failed" json:"failed"`
	Deprecated int64 `db:"deprecated" json:"deprecated"`
	Deleted    int64 `db:"deleted" json:"deleted"`
	Conflicts  int64 `db:"conflicts" json:"-"`
	All        int64 `db:"all_versions" json:"-"`
}

// CountVersions counts all versions. Failed ones are remote ones whose last fetch did not succeed.
func CountVersions(tx *pop.Connection) (*VersionCounts, error) {
	var c VersionCounts
	err := one(tx, &c, "count versions", `
		SELECT count(*) FILTER (WHERE `+isHeld+`) AS held,
			count(*) FILTER (WHERE `+isRemote+`) AS remote,
			count(*) FILTER (WHERE `+isFailed+`) AS failed,
			count(*) FILTER (WHERE `+isDeprecated+`) AS deprecated,
			count(*) FILTER (WHERE `+isDeleted+`) AS deleted,
			count(*) FILTER (WHERE `+isConflict+`) AS conflicts,
			count(*) AS all_versions
		FROM versions`)
	return &c, err
}
