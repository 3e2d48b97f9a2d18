package ads

import (
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Of each minor release of Envoy 1 that is still maintained, the patch that closed the
// thirteen holes published on 2026-08-26, among them ways around routes and filters;
// newest and what follows have that from the start.
var safePatch = map[uint32]uint32{37: 6, 38: 4, 39: 2, newest: 0}

const newest = 40

func safeReleases() (list []string) {
	for _, minor := range slices.Sorted(maps.Keys(safePatch)) {
		list = append(list, fmt.Sprintf("1.%d.%d", minor, safePatch[minor]))
	}
	return list
}

// versionOf returns the release that an Envoy says it is, such as 1.40.0, or nothing if
// it says none.
func versionOf(node *corev3.Node) string {
	v := node.GetUserAgentBuildVersion().GetVersion()
	if v == nil {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
}

// isOutdated reports whether a release is known to lack fixes. One that is not told is
// not.
func isOutdated(version string) bool {
	var major, minor, patch uint32
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return false
	}
	if major != 1 {
		return major < 1
	}
	if minor > newest {
		return false
	}
	safe, maintained := safePatch[minor]
	return !maintained || patch < safe
}
