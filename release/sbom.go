package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
)

// These types have the members of CycloneDX 1.5 (ECMA-424) that the SBOM uses.

type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref     string   `json:"bom-ref"`
	Type    string   `json:"type"` // "application" or "library"
	Name    string   `json:"name"`
	Version string   `json:"version"`
	PURL    string   `json:"purl"`
	Hashes  []digest `json:"hashes,omitempty"`
}

type digest struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// billOfMaterials lists the modules that the linker put into a binary. To be reproducible, the list
// keeps the linker's order and has no time and no serial number.
func billOfMaterials(info *debug.BuildInfo, version string) ([]byte, error) {
	program := component{Type: "application", Name: info.Main.Path, Version: version}
	program.PURL = "pkg:golang/" + info.Main.Path + "@" + version
	program.Ref = program.PURL

	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	std := component{Type: "library", Name: "std", Version: goVersion, PURL: "pkg:golang/std@" + goVersion}
	std.Ref = std.PURL
	libraries := []component{std}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		c := component{Type: "library", Name: module.Path, Version: module.Version, PURL: "pkg:golang/" + module.Path + "@" + module.Version}
		c.Ref = c.PURL
		if sum, ok := strings.CutPrefix(module.Sum, "h1:"); ok { // the SHA-256 of go.sum, over the list of the module's files
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, fmt.Errorf("%s: checksum %q: %w", module.Path, module.Sum, err)
			}
			c.Hashes = []digest{{"SHA-256", hex.EncodeToString(raw)}}
		}
		libraries = append(libraries, c)
	}
	uses := dependency{Ref: program.Ref}
	for _, c := range libraries {
		uses.DependsOn = append(uses.DependsOn, c.Ref)
	}
	text, err := json.MarshalIndent(bom{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Metadata:   metadata{program},
		Components: libraries, Dependencies: []dependency{uses},
	}, "", "  ")
	return append(text, '\n'), err
}
