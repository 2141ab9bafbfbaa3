package proxytest

import (
	"net"
)

// Envoy runs examples/envoy.yaml.
var Envoy = Proxy{
	Name:      "envoy",
	inPackage: "lib/python3*/site-packages/envoy/_bin/envoy",
	example:   "examples/envoy.yaml",
	ask:       "path_prefix: /auth/envoy\n",
	places: func(client, application, check string) map[string]string {
		at := func(addr string) string {
			host, port, _ := net.SplitHostPort(addr)
			return "address: " + host + ", port_value: " + port
		}
		return map[string]string{
			"address: 0.0.0.0, port_value: 8000":   at(client),
			"address: 127.0.0.1, port_value: 8080": at(application),
			"address: 127.0.0.1, port_value: 9191": at(check),
		}
	},
	Args: func(_, file, _ string) []string {
		return []string{"-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "warn"}
	},
}
