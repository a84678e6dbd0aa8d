package actions

import (
	"github.com/gobuffalo/pop/v6"
	"golang.org/x/mod/modfile"

	"olympus/models"
)

// maxRequired is how many of the modules that a version requires are listed.
const maxRequired = 200

// goModView is what the go.mod of a version says, for people.
type goModView struct {
	Facts    []fact
	Required []requiredView
	More     string // of those that are not listed
}

// requiredView is a version that another requires.
type requiredView struct {
	Name, Href string // Href only if the log knows it
	Indirect   bool
}

// newGoModView reads a go.mod as leniently as the go command reads that of a dependency.
func (p *pages) newGoModView(db *pop.Connection, text string) (*goModView, error) {
	view := &goModView{}
	mod, err := modfile.ParseLax("go.mod", []byte(text), nil)
	if err != nil {
		view.Facts = []fact{{"go.mod", "cannot be read: " + oneLine(err.Error()), false}}
		return view, nil
	}
	if mod.Module != nil && mod.Module.Deprecated != "" {
		view.Facts = append(view.Facts, fact{"Deprecated by its author", oneLine(mod.Module.Deprecated), false})
	}
	if mod.Go != nil {
		view.Facts = append(view.Facts, fact{"Go", mod.Go.Version, false})
	}
	for _, r := range mod.Retract {
		versions := r.Low
		if r.High != r.Low {
			versions += " to " + r.High
		}
		if r.Rationale != "" {
			versions += ": " + oneLine(r.Rationale)
		}
		view.Facts = append(view.Facts, fact{"Retracts", versions, false})
	}
	if len(mod.Require) == 0 {
		view.Facts = append(view.Facts, fact{"Requires", "no other module", false})
		return view, nil
	}
	view.Facts = append(view.Facts, fact{"Requires", some(int64(len(mod.Require)), "other module"), false})
	listed := mod.Require[:min(len(mod.Require), maxRequired)]
	if left := len(mod.Require) - len(listed); left > 0 {
		view.More = "and " + counted(int64(left)) + " more"
	}
	asked := make([]models.ModuleAtVersion, len(listed))
	for i, r := range listed {
		asked[i] = models.ModuleAtVersion{Module: r.Mod.Path, Version: r.Mod.Version}
	}
	known, err := models.KnownVersions(db, asked)
	if err != nil {
		return nil, err
	}
	for i, r := range listed {
		v := requiredView{Name: r.Mod.Path + "@" + r.Mod.Version, Indirect: r.Indirect}
		if known[asked[i]] {
			v.Href = p.versionLink(r.Mod.Path, r.Mod.Version)
		}
		view.Required = append(view.Required, v)
	}
	return view, nil
}
