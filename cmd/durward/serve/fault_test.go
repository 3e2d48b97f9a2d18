package serve

import "testing"

// TestFault holds what a fault may do: deny for a while, and never more. Each row runs
// against a whole server over gRPC, before an authorization server of the test's own. The
// rows of the first half use up the machine and run one by one.
func TestFault(t *testing.T) {
	if testing.Short() {
		t.Skip("takes most of a minute")
	}
	for _, row := range []struct {
		id    string
		check func(*testing.T)
	}{
		{"F24", faultMemory},
		{"F25", faultStarved},
		{"F26", faultLeaks},
		{"F27", faultStampede},
		{"F28", faultHerd},
		{"F29", faultDistinct},
		{"F23", faultReloads},
	} {
		t.Run(row.id, row.check)
	}
	for _, row := range []struct {
		id    string
		check func(*testing.T)
	}{
		{"F01", faultDown},
		{"F02", faultBlackHole},
		{"F03", faultSlow},
		{"F04", faultRateLimited},
		{"F05", faultBadAnswers},
		{"F06", faultFlapping},
		{"F07", faultSkew},
		{"F08", faultClockSteps},
		{"F09", faultRotation},
		{"F10", faultNoKeysAtStart},
		{"F11", faultPoisonedKeys},
		{"F12", faultNames},
		{"F13", faultCertificates},
		{"F14", faultRotationOfOurs},
		{"F19", faultEnvoyRestarts},
		{"F21", faultRollingStop},
		{"F22", faultKilled},
		{"F30", faultLog},
	} {
		t.Run(row.id, func(t *testing.T) {
			t.Parallel()
			row.check(t)
		})
	}
}
