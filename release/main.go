// Release builds the files of a release: a static binary for each platform, a software bill of
// materials (SBOM) and checksums.
//
//	go run ./release -version v1.2.3 -to dist
//
// Builds are reproducible: the same source and the same Go version give the same bytes, whatever
// the folder, the machine and the time. With -again, release builds a second time in another
// folder with an empty cache and compares the results.
package main

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

var platforms = []struct{ os, arch string }{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"},
}

const (
	sums = "SHA256SUMS"
	sbom = "sidekey.cdx.json"
)

func main() {
	version := flag.String("version", "", "version of the release: the Git `tag`")
	to := flag.String("to", "dist", "output `folder`; its content is deleted first")
	again := flag.Bool("again", false, "build a second time and compare")
	flag.Parse()
	if err := run(*version, *to, *again); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(version, to string, again bool) error {
	if version == "" || strings.ContainsAny(version, " '\"") {
		return fmt.Errorf("-version %q: must be a tag, such as v1.2.3", version)
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := build(".", version, to); err != nil {
		return err
	}
	if !again {
		return nil
	}
	return compare(version, to)
}

// build writes the release of the folder source to the folder to.
func build(source, version, to string) error {
	to, err := filepath.Abs(to)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	var names []string
	for _, p := range platforms {
		name := fmt.Sprintf("sidekey-%s-%s", p.os, p.arch)
		names = append(names, name)
		// With -buildvcs=false, a source tarball without Git history gives the same binary.
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w -buildid= -X sidekey/internal/version.release="+version, "-o", filepath.Join(to, name), ".")
		cmd.Dir, cmd.Stderr = source, os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.os, "GOARCH="+p.arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	// One SBOM is enough: all platforms use the same modules.
	info, err := buildinfo.ReadFile(filepath.Join(to, names[0]))
	if err != nil {
		return err
	}
	text, err := billOfMaterials(info, version)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, sbom), text, 0o644); err != nil {
		return err
	}
	return writeSums(to, append(names, sbom))
}

// writeSums writes the checksums of files in dir, in the format that "sha256sum -c" reads.
func writeSums(dir string, names []string) error {
	var lines strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(content), name)
	}
	return os.WriteFile(filepath.Join(dir, sums), []byte(lines.String()), 0o644)
}

// compare builds a copy of the source in another folder with an empty cache. It returns an error
// if the checksums differ from those in the folder first.
func compare(version, first string) error {
	dir, err := os.MkdirTemp("", "sidekey-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	source, second := filepath.Join(dir, "another", "place"), filepath.Join(dir, "dist")
	if err := copySource(source); err != nil {
		return err
	}
	os.Setenv("GOCACHE", filepath.Join(dir, "cache"))
	if err := build(source, version, second); err != nil {
		return err
	}
	one, err := os.ReadFile(filepath.Join(first, sums))
	if err != nil {
		return err
	}
	other, err := os.ReadFile(filepath.Join(second, sums))
	if err != nil {
		return err
	}
	if !bytes.Equal(one, other) {
		return fmt.Errorf("the second build differs:\n%s\n%s", one, other)
	}
	return nil
}

// copySource copies all files that Git tracks, with their content in the working tree.
func copySource(to string) error {
	list, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for _, name := range strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 }) {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
