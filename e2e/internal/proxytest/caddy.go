package proxytest

import (
	"net"
)

// caddy runs examples/Caddyfile.
var caddy = Proxy{
	Name:    "caddy",
	example: "examples/Caddyfile",
	ask:     "rewrite /auth/forward?",
	places: func(client, application, check string) map[string]string {
		host, port, _ := net.SplitHostPort(client)
		return map[string]string{
			"\n:8000 {":      "\n:" + port + " {\n\tbind " + host,
			"127.0.0.1:8080": application,
			"127.0.0.1:9191": check,
		}
	},
	Args: func(_, file, _ string) []string {
		return []string{"run", "--config", file, "--adapter", "caddyfile"}
	},
}
