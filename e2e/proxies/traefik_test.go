package proxies

import (
	"testing"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
)

// An entry point that trusts headers of clients, as configured behind another proxy, does not make
// the middleware trust them.
func TestTraefikBelievesNobody(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.StoryConfig)
	s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("public")))
	application := sidekeytest.StartUpstream(t)
	believing := proxytest.Traefik
	believing.Args = func(dir, file, client string) []string {
		return append(proxytest.Traefik.Args(dir, file, client), "--entrypoints.web.forwardedheaders.insecure")
	}
	addr := believing.Start(t, application.Addr, s.CheckAddr)
	refused := step{as: "pw", status: 403, header: elsewhere("/public"), refusal: "Access to this API has been disallowed"}
	if wrong := refused.tell(t, proxytest.Traefik, addr, "ann", application); wrong != "" {
		t.Error(wrong)
	}
}
