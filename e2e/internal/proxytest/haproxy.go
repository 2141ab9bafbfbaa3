package proxytest

import (
	"syscall"
)

// haproxy runs examples/haproxy.cfg, which loads examples/haproxy.lua.
var haproxy = Proxy{
	Name:    "haproxy",
	example: "examples/haproxy.cfg",
	beside:  []string{"examples/haproxy.lua"},
	ask:     "lua.sidekey abns@sidekey /auth/forward\n",
	places: func(client, application, check string) map[string]string {
		return map[string]string{
			"bind :8000":     "bind " + client,
			"127.0.0.1:8080": application,
			"127.0.0.1:9191": check,
			"abns@sidekey":   "abns@sidekey-" + client,
		}
	},
	Args: func(dir, file, _ string) []string { return []string{"-db", "-C", dir, "-f", file} },
	ends: syscall.SIGKILL, // 2.6 now and then crashes when it ends by itself
}
