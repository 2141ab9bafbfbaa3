package main

import (
	"syscall"
	"testing"
)

// traefik runs examples/traefik.yaml.
var traefik = proxy{
	name:    "traefik",
	find:    func() string { return findTool("traefik", "bin/traefik") },
	example: "examples/traefik.yaml",
	ask:     `/auth/forward"`,
	places: func(_, application, check string) map[string]string {
		return map[string]string{
			"127.0.0.1:8080": application,
			"127.0.0.1:9191": check,
		}
	},
	args: func(_, file, client string) []string {
		return []string{"--entrypoints.web.address=" + client, "--providers.file.filename=" + file}
	},
	ends:   syscall.SIGKILL, // by itself it ends after 2 s
	silent: true,
}

// An entry point that believes what clients say of themselves, as is set behind a further
// proxy, does not make the middleware believe it.
func TestTraefikBelievesNobody(t *testing.T) {
	s := startSidekey(t, storyConfig)
	s.putUser("ann", session("pw", grants("public")))
	application := startUpstream(t)
	believing := traefik
	believing.args = func(dir, file, client string) []string {
		return append(traefik.args(dir, file, client), "--entrypoints.web.forwardedheaders.insecure")
	}
	addr := believing.start(t, application.Addr, s.CheckAddr)
	refused := step{as: "pw", status: 403, header: elsewhere("/public"), refusal: "Access to this API has been disallowed"}
	if wrong := refused.tell(t, traefik, addr, "ann", application); wrong != "" {
		t.Error(wrong)
	}
}
