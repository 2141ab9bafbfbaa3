package proxytest

import (
	"os"
)

// NGINX runs examples/nginx.conf.
var NGINX = Proxy{
	Name:    "nginx",
	example: "examples/nginx.conf",
	ask:     "http://sidekey/auth/nginx;",
	places: func(client, application, check string) map[string]string {
		return map[string]string{
			"listen      8000;": "listen " + client + ";",
			"127.0.0.1:8080":    application,
			"127.0.0.1:9191":    check,
		}
	},
	Args: func(dir, file, _ string) []string {
		global := "daemon off;"
		if os.Geteuid() == 0 {
			global += " user root;" // workers have to write below dir
		}
		return []string{"-p", dir, "-c", file, "-g", global}
	},
}
