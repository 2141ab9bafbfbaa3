package server

import (
	"fmt"
	"io"

	"github.com/VictoriaMetrics/metrics"

	"sidekey/check"
	"sidekey/internal/version"
)

func init() { metrics.ExposeMetadata(true) }

// writeMetrics writes the state of the program in the text format of Prometheus. It names no
// user. APIs are named only if apis is true; otherwise decisions have no label api
// and are counted over all of them.
func (s *Server) writeMetrics(w io.Writer, apis bool) {
	counter := func(name string, n uint64) { metrics.WriteCounterUint64(w, name, n) }
	gauge := func(name string, x float64) { metrics.WriteGaugeFloat64(w, name, x) }

	all, shadow, remembered := s.check.Decisions()
	label := func(d check.Decided) string { return fmt.Sprintf("api=%q,", d.API) }
	if !apis {
		all, shadow = overAPIs(all), overAPIs(shadow)
		label = func(check.Decided) string { return "" }
	}
	family(w, "sidekey_decisions_total", "counter", func() {
		for _, d := range all {
			fmt.Fprintf(w, "sidekey_decisions_total{%sdialect=%q,reason=%q} %d\n", label(d), d.Dialect, d.Reason, d.N)
		}
	})
	family(w, "sidekey_shadow_decisions_total", "counter", func() {
		for _, d := range shadow {
			fmt.Fprintf(w, "sidekey_shadow_decisions_total{%sreason=%q} %d\n", label(d), d.Reason, d.N)
		}
	})
	upTo, n, sum := s.check.Durations()
	family(w, "sidekey_decision_seconds", "histogram", func() {
		for i, bound := range upTo {
			fmt.Fprintf(w, "sidekey_decision_seconds_bucket{le=\"%v\"} %d\n", bound.Seconds(), n[i])
		}
		fmt.Fprintf(w, "sidekey_decision_seconds_bucket{le=\"+Inf\"} %d\n", n[len(upTo)])
		fmt.Fprintf(w, "sidekey_decision_seconds_sum %v\nsidekey_decision_seconds_count %d\n", sum.Seconds(), n[len(upTo)])
	})
	gauge("sidekey_waiting_requests", float64(s.check.Waiting()))

	counter("sidekey_passwords_remembered_total", remembered)
	passwords := s.checker.Settings().Passwords.Counts()
	family(w, "sidekey_password_hashes_total", "counter", func() {
		fmt.Fprintf(w, "sidekey_password_hashes_total{result=\"right\"} %d\n", passwords.Right)
		fmt.Fprintf(w, "sidekey_password_hashes_total{result=\"wrong\"} %d\n", passwords.Wrong)
	})
	counter("sidekey_password_hashes_refused_total", passwords.Refused)
	gauge("sidekey_password_hashes_waiting", float64(passwords.Waiting))

	stats := s.store.Stats()
	counter("sidekey_store_commits_total", stats.Commits)
	counter("sidekey_store_commit_failures_total", stats.Failures)
	counter("sidekey_store_writes_total", stats.Writes)
	counter("sidekey_quota_reservations_total", stats.Reservations)
	metrics.WriteCounterFloat64(w, "sidekey_store_commit_seconds_total", stats.Committing.Seconds())
	gauge("sidekey_store_bytes", float64(stats.Bytes))
	gauge("sidekey_store_ready", truth(s.store.Ready() == nil))
	gauge("sidekey_damaged_users", float64(len(s.store.Damaged())))
	gauge("sidekey_users", float64(stats.Users))
	gauge("sidekey_active_users", float64(s.directory.Active()))

	lines, sent := s.decisions.Counts(), s.events.Counts()
	counter("sidekey_decision_log_lines_total", uint64(lines.Written))
	counter("sidekey_decision_log_dropped_total", uint64(lines.Dropped))
	counter("sidekey_events_delivered_total", uint64(sent.Delivered))
	counter("sidekey_events_dropped_total", uint64(sent.Dropped))
	counter("sidekey_events_failed_total", uint64(sent.Failed))

	loaded := s.inForce.Load()
	gauge("sidekey_config_rejected", truth(loaded.rejected != nil))
	gauge("sidekey_config_loaded_timestamp_seconds", float64(loaded.loadedAt.Unix()))
	family(w, "sidekey_build_info", "gauge", func() { fmt.Fprintf(w, "sidekey_build_info{version=%q} 1\n", version.String()) })
	metrics.WriteProcessMetrics(w)
}

// overAPIs adds up decisions that differ only in their API.
func overAPIs(list []check.Decided) (sums []check.Decided) {
	place := make(map[check.Decided]int)
	for _, d := range list {
		key := check.Decided{Dialect: d.Dialect, Reason: d.Reason}
		i, found := place[key]
		if !found {
			i = len(sums)
			place[key] = i
			sums = append(sums, key)
		}
		sums[i].N += d.N
	}
	return sums
}

// family writes the metrics of one name, after a line with their kind.
func family(w io.Writer, name, kind string, write func()) {
	metrics.WriteMetadataIfNeeded(w, name, kind)
	write()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// decisionTotals returns the number of decisions so far by reason.
func (s *Server) decisionTotals() map[string]uint64 {
	totals := make(map[string]uint64)
	all, _, _ := s.check.Decisions()
	for _, d := range all {
		totals[d.Reason] += d.N
	}
	return totals
}
