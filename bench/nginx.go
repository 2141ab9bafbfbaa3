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

// measureNGINX compares NGINX with auth_request to sidekey against the same NGINX with
// auth_request to the bare handler, both with the shipped configuration.
func measureNGINX(ctx context.Context, o options, dir, checkAddr, bareAddr string) ([]row, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench: nginx is not installed: the rows through NGINX are left out")
		return nil, nil
	}
	shipped, err := os.ReadFile(filepath.Join("examples", "nginx.conf"))
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

	var urls [2]string
	for i, auth := range []string{checkAddr, bareAddr} {
		front := freeAddr()
		prefix := filepath.Join(dir, fmt.Sprintf("nginx%d", i))
		if err := os.Mkdir(prefix, 0o755); err != nil {
			return nil, err
		}
		text := strings.NewReplacer(
			"listen      8000", "listen "+front,
			"127.0.0.1:9191", auth,
			"127.0.0.1:8080", l.Addr().String(),
			"access_log access.log", "access_log off",
		).Replace(string(shipped))
		file := filepath.Join(prefix, "nginx.conf")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
		p, err := start(ctx, dir, path, "-p", prefix, "-c", file, "-g", "daemon off;")
		if err != nil {
			return nil, err
		}
		defer p.stop()
		urls[i] = "http://" + front + "/orders/1?x=2"
		if err := awaitRight(ctx, urls[i]); err != nil {
			return nil, err
		}
	}
	r, err := compare(ctx, o, "through NGINX auth_request", urls[0], urls[1], traffic{headers: []string{credentials}})
	return []row{r}, err
}
