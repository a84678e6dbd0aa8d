package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"olympus/internal/download"
	"olympus/internal/protocol"
)

// maxList is the size of the largest version list taken, in bytes.
const maxList = 8 << 20

// proxy is a place that speaks the module download protocol.
type proxy struct {
	remote *remote
	maxZip int64
}

func (p *proxy) String() string { return p.remote.base.String() }

func (p *proxy) metadata(ctx context.Context, path, version string) (*Metadata, error) {
	info, err := p.read(ctx, download.Request{Module: path, Version: version, Ext: download.Info}, protocol.MaxInfoBytes)
	if err != nil {
		return nil, err
	}
	mod, err := p.read(ctx, download.Request{Module: path, Version: version, Ext: download.Mod}, protocol.MaxModBytes)
	if err != nil {
		return nil, err
	}
	if err := CheckFiles(path, version, info, mod); err != nil {
		return nil, &FailedError{URL: p.remote.base.String(), Err: err}
	}
	return &Metadata{Info: info, Mod: mod, from: p}, nil
}

func (p *proxy) zip(ctx context.Context, _ *Metadata, path, version string, w io.Writer) error {
	req := download.Request{Module: path, Version: version, Ext: download.Zip}
	return p.explain(req, p.remote.get(ctx, req.Path(), p.maxZip, w))
}

func (p *proxy) query(ctx context.Context, path, query string) (info []byte, version string, err error) {
	if query == "latest" {
		info, err = p.latest(ctx, path)
	} else {
		info, err = p.read(ctx, download.Request{Module: path, Version: query, Ext: download.Info}, protocol.MaxInfoBytes)
	}
	if err != nil {
		return nil, "", err
	}
	if version, err = versionOf(info); err == nil {
		err = checkVersion(path, version)
	}
	if err == nil && version != query && checkVersion(path, query) == nil {
		err = fmt.Errorf("asked about %s, answered about %s", query, version)
	}
	if err != nil {
		return nil, "", &FailedError{URL: p.remote.base.String(), Err: fmt.Errorf("%s@%s: %w", path, query, err)}
	}
	return info, version, nil
}

// latest asks for @latest, which a proxy need not have: the list, with pseudo-versions if it has them, stands in.
func (p *proxy) latest(ctx context.Context, path string) ([]byte, error) {
	info, err := p.read(ctx, download.Request{Module: path, Ext: download.Latest}, protocol.MaxInfoBytes)
	if _, unknown := errors.AsType[*NotFoundError](err); !unknown {
		return info, err
	}
	versions, listErr := p.versions(ctx, path)
	if listErr != nil {
		return nil, listErr
	}
	version := download.LatestVersion(versions, nil)
	if version == "" {
		return nil, err
	}
	return p.read(ctx, download.Request{Module: path, Version: version, Ext: download.Info}, protocol.MaxInfoBytes)
}

func (p *proxy) list(ctx context.Context, path string) ([]string, error) {
	versions, err := p.versions(ctx, path)
	return slices.DeleteFunc(versions, module.IsPseudoVersion), err
}

// versions are the usable versions in the list, which may hold more about each one after its name.
func (p *proxy) versions(ctx context.Context, path string) ([]string, error) {
	list, err := p.read(ctx, download.Request{Module: path, Ext: download.List}, maxList)
	if err != nil {
		return nil, err
	}
	versions := []string{}
	isList := len(strings.TrimSpace(string(list))) == 0
	for line := range strings.Lines(string(list)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || !semver.IsValid(fields[0]) {
			continue
		}
		isList = true
		if checkVersion(path, fields[0]) == nil {
			versions = append(versions, fields[0])
		}
	}
	if !isList {
		return nil, &FailedError{URL: p.remote.base.String(), Err: fmt.Errorf("%s: not a list of versions", path)}
	}
	download.Sort(versions)
	return slices.Compact(versions), nil
}

// read fetches a small file.
func (p *proxy) read(ctx context.Context, req download.Request, limit int64) ([]byte, error) {
	b, err := p.remote.read(ctx, req.Path(), limit)
	return b, p.explain(req, err)
}

// explain makes a missing file a missing version.
func (p *proxy) explain(req download.Request, err error) error {
	if isMissing(err) {
		return &NotFoundError{Path: req.Module, Version: req.Version, Reason: err.Error()}
	}
	return err
}

// CheckFiles returns why a .info or .mod is not what a version can have.
func CheckFiles(path, version string, info, mod []byte) error {
	got, err := versionOf(info)
	switch {
	case err != nil:
		return fmt.Errorf(".info of %s@%s: %w", path, version, err)
	case got != version:
		return fmt.Errorf(".info of %s@%s: it is about version %.300q", path, version, got)
	case !utf8.Valid(mod) || slices.Contains(mod, 0):
		return fmt.Errorf(".mod of %s@%s: not a text", path, version)
	case modfile.ModulePath(mod) == "":
		return fmt.Errorf(".mod of %s@%s: no module directive", path, version)
	}
	return nil
}

// versionOf is the Version in a .info.
func versionOf(info []byte) (string, error) {
	var members map[string]jsontext.Value // refuses names that come twice
	if err := json.Unmarshal(info, &members); err != nil {
		return "", fmt.Errorf("not a JSON object: %w", err)
	}
	for name := range members {
		// Readers disagree whether such a name counts.
		if (strings.EqualFold(name, "Version") && name != "Version") || (strings.EqualFold(name, "Time") && name != "Time") {
			return "", fmt.Errorf("misspelled name %q", name)
		}
	}
	var version string
	if err := json.Unmarshal(members["Version"], &version); err != nil {
		return "", errors.New("no version")
	}
	return version, nil
}

// checkVersion returns why version is not a canonical version of a module.
func checkVersion(path, version string) error {
	if len(version) > protocol.MaxVersionBytes {
		return errors.New("the version is too long")
	}
	if err := module.Check(path, version); err != nil {
		return err
	}
	if module.CanonicalVersion(version) != version {
		return fmt.Errorf("version %q is not canonical", version)
	}
	return nil
}
