// Package version names the build of sidekey: the release, or the commit that it was made from.
package version

import (
	"regexp"
	"runtime/debug"
	"strings"
	"sync"
)

// release is set by the linker (-X) when a release or an image is built.
var release = ""

// String returns the name of the build:
//
//	v0.1.0                                the release tag
//	3f2a9c04d1e7 (2026-11-28)             no tag: the commit and its date (UTC)
//	3f2a9c04d1e7 (2026-11-28, modified)   as above, with changes that are not committed
//	unknown                               built outside of a git repository, or with -buildvcs=false
var String = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return name(release, info)
})

// tag matches the version of a module that is built at a release tag. Go invents versions for
// other commits (https://go.dev/ref/mod#pseudo-versions), which end in a time and a hash.
var (
	tag    = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+`)
	pseudo = regexp.MustCompile(`[0-9]{14}-[0-9a-f]{12}$`)
)

func name(release string, info *debug.BuildInfo) string {
	if release != "" {
		return release
	}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	modified := settings["vcs.modified"] == "true"
	version, _, _ := strings.Cut(info.Main.Version, "+") // Go appends +dirty
	if tag.MatchString(version) && !pseudo.MatchString(version) {
		if modified {
			return version + " (modified)"
		}
		return version
	}
	commit, date := settings["vcs.revision"], settings["vcs.time"]
	if commit == "" {
		return "unknown"
	}
	about, _, _ := strings.Cut(date, "T")
	if modified {
		about += ", modified"
	}
	return commit[:min(12, len(commit))] + " (" + about + ")"
}
