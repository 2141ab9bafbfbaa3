package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// findEnvoy returns the program, which .ci/tools puts into .tools, or "".
func findEnvoy() string {
	if path, err := exec.LookPath("envoy"); err == nil {
		return path
	}
	found, _ := filepath.Glob(".tools/envoy/lib/python3*/site-packages/envoy/_bin/envoy")
	if len(found) == 0 {
		return ""
	}
	path, _ := filepath.Abs(found[0])
	return path
}

// measureEnvoy compares Envoy with ext_authz to sidekey against the same Envoy with
// ext_authz to the bare handler, both with the shipped configuration.
func measureEnvoy(ctx context.Context, o options, dir, checkAddr, bareAddr string) ([]row, error) {
	path := findEnvoy()
	if path == "" {
		fmt.Fprintln(os.Stderr, "bench: envoy is not installed (.ci/tools): the row through Envoy is left out")
		return nil, nil
	}
	shipped, err := os.ReadFile(filepath.Join("examples", "envoy.yaml"))
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	application := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	go application.Serve(l)
	defer application.Close()

	at := func(addr string) string {
		host, port, _ := net.SplitHostPort(addr)
		return "address: " + host + ", port_value: " + port
	}
	var urls [2]string
	for i, auth := range []string{checkAddr, bareAddr} {
		front := freeAddr()
		text := strings.NewReplacer(
			"address: 0.0.0.0, port_value: 8000", at(front),
			"address: 127.0.0.1, port_value: 9191", at(auth),
			"address: 127.0.0.1, port_value: 8080", at(l.Addr().String()),
		).Replace(string(shipped))
		file := filepath.Join(dir, fmt.Sprintf("envoy%d.yaml", i))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		p, err := start(ctx, dir, path, "-c", file, "--disable-hot-restart", "--concurrency", "1", "-l", "error")
		if err != nil {
			return nil, err
		}
		defer p.stop()
		urls[i] = "http://" + front + "/orders/1?x=2"
		if err := awaitRight(ctx, urls[i]); err != nil {
			return nil, err
		}
	}
	r, err := compare(ctx, o, "through Envoy ext_authz", urls[0], urls[1], traffic{headers: []string{credentials}})
	return []row{r}, err
}
