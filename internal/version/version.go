package version

import "runtime/debug"

// version is set by the linker for a release.
var release = ""

// buildVersion is the release's version, or what the module's build knows of itself.
func String() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
