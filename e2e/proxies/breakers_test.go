package proxies

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sidekey/config"
	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// T-109: if a proxy allows fewer questions at once than sidekey lets wait, one throttled user can
// block all other users.

// The bounds in the examples are above limits.max_waiting, and not above what sidekey serves.
func TestT109ExamplesHaveRoom(t *testing.T) {
	defaults := config.Default()
	waiting := defaults.Limits.MaxWaiting
	var file struct {
		Static struct {
			Clusters []struct {
				Name     string
				Breakers struct{ Thresholds []map[string]int } `yaml:"circuit_breakers"`
			}
		} `yaml:"static_resources"`
	}
	testutil.ReadYAML(t, "examples/envoy.yaml", &file)
	found := false
	for _, cluster := range file.Static.Clusters {
		if cluster.Name != "sidekey" || len(cluster.Breakers.Thresholds) != 1 {
			continue
		}
		found = true
		for _, name := range []string{"max_connections", "max_pending_requests", "max_requests"} {
			if bound := cluster.Breakers.Thresholds[0][name]; bound <= waiting || bound > defaults.Check.MaxConnections {
				t.Errorf("examples/envoy.yaml: %s is %d, want more than %d and at most %d", name, bound, waiting, defaults.Check.MaxConnections)
			}
		}
	}
	if !found {
		t.Error("examples/envoy.yaml: the cluster sidekey has no circuit_breakers")
	}

	// Each waiting request takes two connections of an NGINX worker.
	matched := regexp.MustCompile(`(?m)^ +worker_connections (\d+);`).FindStringSubmatch(testutil.ReadFile(t, "examples/nginx.conf"))
	if matched == nil {
		t.Fatal("examples/nginx.conf has no worker_connections")
	}
	if bound, _ := strconv.Atoi(matched[1]); bound <= 2*waiting {
		t.Errorf("examples/nginx.conf: worker_connections is %d, want more than %d", bound, 2*waiting)
	}
}

// While one user has as many waiting requests as allowed, requests of other users pass.
func TestT109OneThrottledUser(t *testing.T) {
	const maxWaiting = 4000
	const maxOfUser = maxWaiting / 2 // waiting requests of one user; Envoy's default bounds are 1024
	patient := proxytest.Envoy
	patient.Through = []string{"sh", "-c", `ulimit -n "$(ulimit -Hn)" && exec "$0" "$@"`}
	s := sidekeytest.Start(t, sidekeytest.Listeners+fmt.Sprintf("limits.max_waiting = %d\n", maxWaiting))
	s.PutUser("held", sidekeytest.Session("pw", `"rate": 1, "per": 3600, "throttle_interval": 600, "throttle_retry_limit": 1`))
	s.PutUser("ann", sidekeytest.Session("pw"))
	application := sidekeytest.StartUpstream(t)
	addr := patient.Start(t, application.Addr, s.CheckAddr, map[string]string{"timeout: 2s": "timeout: 700s", "connect_timeout: 0.25s": "connect_timeout: 10s"})
	if got, _ := sidekeytest.Send(t, addr, sidekeytest.Get("/", sidekeytest.Basic("held", "pw"))); got.Status != http.StatusOK {
		t.Fatalf("the first request: %v", got)
	}
	gauge := regexp.MustCompile(`(?m)^sidekey_waiting_requests (\d+)$`)
	for i := range maxOfUser {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n"+sidekeytest.Basic("held", "pw")+"\r\n\r\n")
		if (i+1)%250 != 0 {
			continue
		}
		s.Process.Await(fmt.Sprintf("%d requests wait", i+1), func() bool { // so that the queue of a listener drops none
			_, text, _ := s.Admin("GET", "/metrics", "")
			matched := gauge.FindStringSubmatch(text)
			return matched != nil && matched[1] == strconv.Itoa(i+1)
		})
	}
	for range 10 { // further requests are refused because of the rate
		if got, _ := sidekeytest.Send(t, addr, sidekeytest.Get("/", sidekeytest.Basic("held", "pw"))); got.Status != http.StatusTooManyRequests || !strings.Contains(got.Body, "Rate Limit Exceeded") {
			t.Errorf("one more of the throttled user: %v", got)
		}
	}
	for range 50 {
		began := time.Now()
		if got, _ := sidekeytest.Send(t, addr, sidekeytest.Get("/", sidekeytest.Basic("ann", "pw"))); got.Status != http.StatusOK {
			t.Fatalf("another user after %v: %v", time.Since(began), got)
		}
	}
}
