package proxytest

import (
	"syscall"
)

// traefik runs examples/traefik.yaml.
var Traefik = Proxy{
	Name:      "traefik",
	inPackage: "bin/traefik",
	example:   "examples/traefik.yaml",
	ask:       `/auth/forward"`,
	places: func(_, application, check string) map[string]string {
		return map[string]string{
			"127.0.0.1:8080": application,
			"127.0.0.1:9191": check,
		}
	},
	Args: func(_, file, client string) []string {
		return []string{"--entrypoints.web.address=" + client, "--providers.file.filename=" + file}
	},
	ends:   syscall.SIGKILL, // by itself it ends after 2 s
	Silent: true,
}
