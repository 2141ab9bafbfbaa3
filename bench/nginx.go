//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

var nginx = proxy{
	program: "nginx",
	config:  filepath.Join("examples", "nginx.conf"),
	places: func(listen, auth, app string) []string {
		return []string{
			"listen      8000", "listen " + listen,
			"127.0.0.1:9191", auth,
			"127.0.0.1:8080", app,
			"access_log access.log", "access_log off",
		}
	},
	args: func(folder, config string) []string {
		return []string{"-p", folder, "-c", config, "-g", "daemon off;"}
	},
}

// basicAuthConfig makes NGINX itself check passwords in front of an application, and otherwise do
// the same as the example configuration. %s is the file of users.
const basicAuthConfig = `worker_processes auto;
pid       nginx.pid;
error_log error.log warn;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path client_body_temp;
    proxy_temp_path       proxy_temp;
    fastcgi_temp_path     fastcgi_temp;
    uwsgi_temp_path       uwsgi_temp;
    scgi_temp_path        scgi_temp;
    upstream application {
        server 127.0.0.1:8080;
        keepalive 32;
    }
    server {
        listen      8000;
        server_name _;
        location / {
            auth_basic           "bench";
            auth_basic_user_file %s;
            proxy_set_header X-Auth-User       $remote_user;
            proxy_set_header Authorization     "";
            proxy_set_header Host              $host;
            proxy_set_header X-Forwarded-For   $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host  $host;
            proxy_pass http://application;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
`

// htpasswd holds the password as NGINX can store it: as bcrypt with sidekey's default cost, and as
// apr1, which always has 1000 rounds of MD5.
var htpasswd = []struct{ kind, hash string }{
	{"bcrypt", "$2a$10$HPdhrL8lOuo/7AfLmsnMLez/vnc7VeyMBm1AXvmDk8sU.FEk7m/F."},
	{"apr1", "$apr1$Bench123$3t6tkTc/wEnWwIxJuPdyK/"},
}

// hashingConnections bounds the number of connections to NGINX. It is small enough that NGINX hashes
// one password for each connection within a second if a hash takes 100 ms. NGINX answers none of the
// requests that arrive together before all are hashed, and keeps hashing after a client has gone.
const hashingConnections = 4

// basicAuthRows compare NGINX asking sidekey with NGINX hashing the password of each request
// itself.
func basicAuthRows() (list []measurement) {
	for _, stored := range htpasswd {
		list = append(list, measurement{
			row:   row{Name: "nginx/auth_basic/" + stored.kind, Text: "NGINX asking sidekey against its own auth_basic with " + stored.kind, Unit: "requests/s"},
			needs: []string{"wrk", nginx.program},
			measure: func(ctx context.Context, l *lab, r *row) error {
				shipped, err := os.ReadFile(nginx.config)
				if err != nil {
					return err
				}
				users := filepath.Join(l.dir, "users."+stored.kind)
				if err := os.WriteFile(users, []byte(oneUser+":"+stored.hash+"\n"), 0o644); err != nil {
					return err
				}
				fewer := *l
				fewer.connections = min(l.connections, hashingConnections)
				return l.withSidekey(ctx, few, func(s *server) error {
					return l.withFront(ctx, nginx, string(shipped), s.addr, func(asking *server) error {
						return l.withFront(ctx, nginx, fmt.Sprintf(basicAuthConfig, users), "", func(hashing *server) error {
							headers := []string{login(oneUser, userPassword)}
							return l.compare(r,
								fewer.askedByWrk(ctx, asking.url(clientPath), headers, asking.process, s.process),
								fewer.askedByWrk(ctx, hashing.url(clientPath), headers, hashing.process))
						})
					})
				})
			},
		})
	}
	return list
}
