package envoy

import "testing"

func TestKeptStatistics(t *testing.T) {
	t.Parallel()
	kept := func(name string) bool {
		for _, p := range keptStatistics().GetStatsMatcher().GetInclusionList().GetPatterns() {
			if prefix := p.GetPrefix(); prefix != "" && len(name) >= len(prefix) && name[:len(prefix)] == prefix {
				return true
			}
			if re := p.GetSafeRegex().GetRegex(); re != "" && wholeMatch(t, re).MatchString(name) {
				return true
			}
		}
		return false
	}
	for name, want := range map[string]bool{
		"cluster_manager.active_clusters": true, "server.live": true, "http.edge.downstream_rq_5xx": true,
		"control_plane.connected_state": true, "listener_manager.lds.update_rejected": true,
		"http.edge.ext_authz.denied": true, "cluster.authz.upstream_rq_retry_limit_exceeded": true,
		"cluster.xds.upstream_cx_total": true, "cluster.sds.upstream_cx_total": true,
		"cluster.https_a.internal_443.upstream_rq_503":                      false,
		"cluster.https_a.internal_443.upstream_rq_5xx":                      true,
		"cluster.https_a.internal_443.upstream_rq_time":                     true,
		"cluster.https_a.internal_443.ssl.fail_verify_san":                  true,
		"cluster.https_a.internal_443?sans=b&protocol=h2.upstream_rq_total": true,
		"cluster.https_a.internal_443.lb_healthy_panic":                     false,
		"cluster.https_a.internal_443.upstream_rq_total_x":                  false,
		"cluster.https_a.internal_443.upstream_cx_rx_bytes_total":           false,
		"cluster.https_a.internal_443.circuit_breakers.high.rq_open":        false,
	} {
		if got := kept(name); got != want {
			t.Errorf("%s: kept is %v", name, got)
		}
	}
}
