//go:build linux

package main

import (
	"net"
	"path/filepath"
)

var envoy = proxy{
	program: "envoy",
	config:  filepath.Join("examples", "envoy.yaml"),
	places: func(listen, auth, app string) []string {
		at := func(addr string) string {
			host, port, _ := net.SplitHostPort(addr)
			return "address: " + host + ", port_value: " + port
		}
		return []string{
			"address: 0.0.0.0, port_value: 8000", at(listen),
			"address: 127.0.0.1, port_value: 9191", at(auth),
			"address: 127.0.0.1, port_value: 8080", at(app),
		}
	},
	args: func(_, config string) []string {
		return []string{"-c", config, "--disable-hot-restart", "--concurrency", "1", "-l", "error"}
	},
}
