package load

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
)

// T-99: with hardly any memory, a flood of unknown names ends in refusals that cost nothing and
// leave nothing behind, and users who have logged in keep working.
func TestT99LittleMemory(t *testing.T) {
	const names, workers, maxMiB = 20_000, 16, 16
	t.Setenv("GOMEMLIMIT", "24MiB")
	s := sidekeytest.Start(t, sidekeytest.Listeners+"passwords.max_wait = \"0s\"\n")
	s.PutUser("ann", `{"basic_auth_data":{"password":"pw"}}`)
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	defer transport.CloseIdleConnections()
	ask := func(client, user, password string) (status int, named string) {
		status, header := login(s, transport, client, user, password)
		return status, header.Get("X-Auth-User")
	}
	if status, user := ask("192.0.2.1", "ann", "pw"); status != 200 || user != "ann" {
		t.Fatal(status, user)
	}
	before := s.Process.ResidentKiB()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < names; i += workers {
				client := fmt.Sprintf("10.%d.%d.%d", i>>16&255, i>>8&255, i&255)
				if status, user := ask(client, fmt.Sprintf("unknown-%d-%s", i, strings.Repeat("x", i%200)), "wrong"); status != 401 && status != 403 || user != "" {
					t.Errorf("an unknown user: %d, %q", status, user)
				}
				if i%100 == 0 {
					if status, user := ask("192.0.2.1", "ann", "pw"); status != 200 || user != "ann" {
						t.Errorf("ann: %d, %q", status, user)
					}
				}
			}
		})
	}
	wg.Wait()
	grown := (s.Process.ResidentKiB() - before) / 1024
	t.Logf("%d names added %d MiB", names, grown)
	if grown > maxMiB {
		t.Errorf("%d names added %d MiB, want at most %d", names, grown, maxMiB)
	}
}
