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

// basicAuthConfig is NGINX's own way to guard an application, with what else the shipped
// configuration does for it. %s is the file of users.
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

// htpasswd is how a password may be stored for NGINX: with the bcrypt cost that sidekey has
// by default, and with the 1000 rounds of MD5 that apr1 always has.
var htpasswd = []struct{ kind, hash string }{
	{"bcrypt", "$2a$10$HPdhrL8lOuo/7AfLmsnMLez/vnc7VeyMBm1AXvmDk8sU.FEk7m/F."},
	{"apr1", "$apr1$Bench123$3t6tkTc/wEnWwIxJuPdyK/"},
}

// hashingConnections are as many as NGINX hashes the passwords of within a second, where a
// hash takes 100 ms: it answers none of the requests that came together before all are
// hashed, and goes on hashing when nobody waits any more.
const hashingConnections = 4

// basicAuthRows compare NGINX that asks sidekey with NGINX that hashes the password of each
// request itself.
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
