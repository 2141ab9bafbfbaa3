package docs

import (
	"encoding/json"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// Prometheus with examples/prometheus.yml scrapes sidekey, understands every alert rule and every
// query of the dashboard, and notices when sidekey is down.
func TestPrometheusExample(t *testing.T) {
	t.Parallel()
	path := testutil.NeedProgram(t, "prometheus")
	s := sidekeytest.Start(t, sidekeytest.Listeners)
	admin, addr, dir := strings.TrimPrefix(s.AdminURL, "http://"), testutil.FreeAddr(t), t.TempDir()
	config := strings.Replace(testutil.ReadFile(t, "examples/prometheus.yml"), "127.0.0.1:9192", admin, 1)
	config += "global: { scrape_interval: 1s, evaluation_interval: 1s }\n" // instead of a minute
	file := testutil.WriteFile(t, dir, "prometheus.yml", config)
	testutil.WriteFile(t, dir, "alerts.yaml", testutil.ReadFile(t, "examples/alerts.yaml"))
	process := testutil.Start(t, path, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+addr)

	// ask sends a request to the API of Prometheus and decodes the data of the answer.
	ask := func(target string, data any) (wrong string) {
		t.Helper()
		answer, err := http.Get("http://" + addr + "/api/v1/" + target)
		if err != nil {
			return err.Error()
		}
		defer answer.Body.Close()
		var is struct {
			Error string
			Data  json.RawMessage
		}
		if err := json.NewDecoder(answer.Body).Decode(&is); err != nil {
			return err.Error()
		}
		if is.Error == "" && data != nil {
			if err := json.Unmarshal(is.Data, data); err != nil {
				t.Fatalf("%s: %v", target, err)
			}
		}
		return is.Error
	}
	var scraped struct{ Result []any }
	process.AwaitPort(addr)
	process.Await("it has scraped", func() bool {
		return ask("query?query="+url.QueryEscape(`sidekey_build_info{job="sidekey"}`), &scraped) == "" && len(scraped.Result) == 1
	})

	var rules struct {
		Groups []struct {
			Rules []struct {
				Name, Health, LastError, State string
				LastEvaluation                 time.Time
			}
		}
	}
	triedSince := func(then time.Time) bool {
		t.Helper()
		if wrong := ask("rules", &rules); wrong != "" || len(rules.Groups) == 0 {
			t.Fatalf("%d groups of rules: %s", len(rules.Groups), wrong)
		}
		for _, rule := range rules.Groups[0].Rules {
			if rule.LastEvaluation.Before(then) {
				return false
			}
		}
		return true
	}
	there := time.Now()
	process.Await("every rule was tried", func() bool { return triedSince(there) })
	if got, want := len(rules.Groups[0].Rules), strings.Count(testutil.ReadFile(t, "examples/alerts.yaml"), "- alert: "); got != want {
		t.Errorf("%d rules of %d", got, want)
	}
	for _, rule := range rules.Groups[0].Rules {
		if rule.Health != "ok" || rule.State != "inactive" {
			t.Errorf("%s is %s and %s: %s", rule.Name, rule.State, rule.Health, rule.LastError)
		}
	}

	var dashboard any
	if err := json.Unmarshal([]byte(testutil.ReadFile(t, "examples/grafana.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$job", "sidekey", "$instance", ".*", "$__rate_interval", "1m")
	questions := expressions(dashboard)
	for _, expression := range questions {
		if wrong := ask("query?query="+url.QueryEscape(fill.Replace(expression)), nil); wrong != "" {
			t.Errorf("%s: %s", expression, wrong)
		}
	}
	if len(questions) < 30 {
		t.Errorf("the dashboard asks %d questions", len(questions))
	}

	s.Stop()
	process.Await("SidekeyDown", func() bool {
		triedSince(there)
		for _, rule := range rules.Groups[0].Rules {
			if rule.Name == "SidekeyDown" {
				return rule.State == "pending"
			}
		}
		return false
	})
}

// expressions returns all values of the key "expr" in a document.
func expressions(document any) (list []string) {
	switch value := document.(type) {
	case []any:
		for _, element := range value {
			list = append(list, expressions(element)...)
		}
	case map[string]any:
		for key, element := range value {
			if text, isText := element.(string); isText && key == "expr" {
				list = append(list, text)
			}
			list = append(list, expressions(element)...)
		}
	}
	return list
}
