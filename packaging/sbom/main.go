// Command sbom prints the bill of materials of a Go binary as CycloneDX JSON: the modules that were compiled into it, as the go command
// has recorded them there, and the Go release. The same binary gives the same bytes; so there is neither a time nor a serial number.
//
//	go run ./packaging/sbom -name olympus -version v1.2.3 dist/olympus-v1.2.3-linux-amd64
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

// The parts of CycloneDX 1.5 that are used here.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"` // of this document
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PURL       string     `json:"purl,omitempty"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Properties []property `json:"properties,omitempty"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

func main() {
	name := flag.String("name", "", "name of the program")
	version := flag.String("version", "", "its version")
	flag.Parse()
	if *name == "" || *version == "" || flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: sbom -name NAME -version VERSION BINARY")
		os.Exit(2)
	}
	if err := run(os.Stdout, *name, *version, flag.Arg(0)); err != nil {
		fmt.Fprintf(os.Stderr, "sbom: %v\n", err)
		os.Exit(1)
	}
}

func run(w io.Writer, name, version, binary string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(describe(info, name, version, hex.EncodeToString(sum[:])))
}

// describe makes the bill of a binary with that SHA-256.
func describe(info *debug.BuildInfo, name, version, sum string) bom {
	program := component{
		Type: "application", Ref: name + "@" + version, Name: name, Version: version,
		Hashes: []hash{{"SHA-256", sum}}, Properties: settings(info),
	}
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	components := []component{{Type: "library", Ref: purl("std", goVersion), Name: "std", Version: goVersion, PURL: purl("std", goVersion)}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component{Type: "library", Ref: purl(m.Path, m.Version), Name: m.Path, Version: m.Version, PURL: purl(m.Path, m.Version)}
		if m.Sum != "" {
			c.Properties = []property{{"go:sum", m.Sum}}
		}
		components = append(components, c)
	}
	refs := make([]string, len(components))
	for i, c := range components {
		refs[i] = c.Ref
	}
	return bom{
		Format: "CycloneDX", SpecVersion: "1.5", Version: 1, Metadata: metadata{program},
		Components: components, Dependencies: []dependency{{program.Ref, refs}},
	}
}

// settings are what the binary was built with, as far as it decides what is in it.
func settings(info *debug.BuildInfo) []property {
	properties := []property{{"go:version", info.GoVersion}}
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED", "-tags", "-trimpath":
			properties = append(properties, property{"go:" + s.Key, s.Value})
		}
	}
	return properties
}

// purl names a module as a package URL. Of what a version may hold, only the plus sign means something else there.
func purl(module, version string) string {
	return "pkg:golang/" + module + "@" + strings.ReplaceAll(version, "+", "%2B")
}
