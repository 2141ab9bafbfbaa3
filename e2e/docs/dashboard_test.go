package docs

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sidekey/auth"
	"sidekey/e2e/internal/sidekeytest"
)

var (
	// metricIn finds the metrics in an expression, and the labels that it uses.
	metricIn  = regexp.MustCompile(`\b((?:sidekey|process|go)_\w+)(?:\{([^}]*)\})?`)
	labelIn   = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*\\?"((?:[^"\\]|\\[^"])*)\\?"`)
	groupedBy = regexp.MustCompile(`\bby \(([^)]*)\)`)
	sampled   = regexp.MustCompile(`(?m)^(\w+)(?:\{(.*)\})? `)
)

// The metrics and labels of the dashboard and the alert rules must exist: if a name is wrong,
// Grafana shows an empty panel, and Prometheus never fires.
func TestDashboardAndAlerts(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners+`
[[apis]]
id = "tried"
shadow = true
rate = 1.0
per = 60.0
`)
	s.PutUser("ann", sidekeytest.Session("pw"))
	for range 2 { // the rate allows one, so the second is refused
		sidekeytest.Send(t, s.CheckAddr, sidekeytest.Get("/auth/envoy/", sidekeytest.Basic("ann", "pw"), "X-Forwarded-For: 192.0.2.1"))
	}
	_, text, _ := s.Admin("GET", "/metrics", "")

	labels := map[string][]string{} // by metric
	for _, sample := range sampled.FindAllStringSubmatch(string(text), -1) {
		names := labels[sample[1]]
		for _, label := range labelIn.FindAllStringSubmatch(sample[2], -1) {
			names = append(names, label[1])
		}
		labels[sample[1]] = append(names, "job", "instance") // Prometheus adds these
	}
	if len(labels["sidekey_shadow_decisions_total"]) == 0 {
		t.Fatalf("not every kind of metric has a sample:\n%s", text)
	}

	var reasons []string
	for r := auth.Pass; r <= auth.Unavailable; r++ {
		reasons = append(reasons, r.String())
	}
	shown := map[string]bool{}
	for _, file := range []string{"examples/grafana.json", "examples/alerts.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for number, line := range strings.Split(string(text), "\n") {
			var possible []string
			for _, asked := range metricIn.FindAllStringSubmatch(line, -1) {
				name := asked[1]
				shown[name] = true
				if labels[name] == nil {
					t.Errorf("%s:%d: there is no metric %s", file, number+1, name)
					continue
				}
				possible = append(possible, labels[name]...)
				for _, label := range labelIn.FindAllStringSubmatch(asked[2], -1) {
					if !slices.Contains(labels[name], label[1]) {
						t.Errorf("%s:%d: %s has no label %s", file, number+1, name, label[1])
					}
					if label[1] == "reason" && !slices.Contains(reasons, label[2]) {
						t.Errorf("%s:%d: there is no reason %s", file, number+1, label[2])
					}
				}
			}
			for _, by := range groupedBy.FindAllStringSubmatch(line, -1) {
				for _, label := range strings.Split(by[1], ", ") {
					if !slices.Contains(possible, label) {
						t.Errorf("%s:%d: grouped by %s, which no metric there has", file, number+1, label)
					}
				}
			}
		}
	}
	for name := range labels {
		if strings.HasPrefix(name, "sidekey_") && !shown[name] {
			t.Errorf("%s is on no panel and in no alert", name)
		}
	}
}
