package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sidekey/check"
)

// serverConfig is the shipped configuration of the check listener.
var serverConfig = check.ServerConfig{
	ReadTimeout:    5 * time.Second,
	WriteTimeout:   5 * time.Second,
	IdleTimeout:    2 * time.Minute,
	MaxConnections: 100_000,
	MaxHeaderBytes: 64 << 10,
}

// Headers that a proxy sends, for the user that every row asks about.
var (
	credentials  = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(userName(1)+":"+password))
	forwardedFor = "X-Forwarded-For: 127.0.0.1"
	nginxHeaders = []string{credentials, forwardedFor, "X-Original-Method: GET", "X-Original-URI: /orders/1?x=2"}
	forwardAsked = []string{credentials, forwardedFor, "X-Forwarded-Method: GET", "X-Forwarded-Host: localhost", "X-Forwarded-Uri: /orders/1?x=2"}
)

func measure(ctx context.Context, o options) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "sidekey-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	writes, err := measureWrites(o, dir)
	if err != nil || o.writes {
		return []row{writes}, err
	}
	rows = append(rows, writes)
	if err := fill(filepath.Join(dir, "data"), o.users); err != nil {
		return nil, err
	}
	logged := filepath.Join(dir, "logged") // has the same database, for a sidekey that logs
	if err := copyDatabase(logged, dir); err != nil {
		return nil, err
	}
	binary, err := build(ctx, dir)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	bareAddr, checkAddr, adminAddr := freeAddr(), freeAddr(), freeAddr()
	bare, err := start(ctx, dir, self, "bare", bareAddr)
	if err != nil {
		return nil, err
	}
	defer bare.stop()

	started := time.Now()
	sidekey, err := start(ctx, dir, binary, "serve", "-config", writeConfig(dir, checkAddr, adminAddr, "none"))
	if err != nil {
		return nil, err
	}
	defer sidekey.stop()
	if err := awaitRight(ctx, "http://"+checkAddr+"/auth/envoy/orders/1"); err != nil {
		return nil, err
	}
	rows = append(rows, row{Name: fmt.Sprintf("%d users: start to first right answer", o.users), Unit: "ms", Sidekey: []float64{ms(time.Since(started))}})
	if err := awaitRight(ctx, "http://"+bareAddr+"/"); err != nil {
		return nil, err
	}

	for _, dialect := range []struct {
		name, path string
		headers    []string
	}{
		{"warm check, dialect envoy", "/auth/envoy/orders/1?x=2", []string{credentials, forwardedFor}},
		{"warm check, dialect nginx", "/auth/nginx", nginxHeaders},
		{"warm check, dialect forward", "/auth/forward", forwardAsked},
	} {
		r, err := compare(ctx, o, dialect.name, "http://"+checkAddr+dialect.path, "http://"+bareAddr+dialect.path, traffic{headers: dialect.headers})
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	r, err := measureDecisionLog(ctx, o, logged, binary, checkAddr)
	if err != nil {
		return nil, err
	}
	rows = append(rows, r)
	through, err := measureNGINX(ctx, o, dir, checkAddr, bareAddr)
	if err != nil {
		return nil, err
	}
	rows = append(rows, through...)
	if through, err = measureEnvoy(ctx, o, dir, checkAddr, bareAddr); err != nil {
		return nil, err
	}
	rows = append(rows, through...)
	sessions, err := measureSessions(ctx, o, checkAddr, bareAddr)
	if err != nil {
		return nil, err
	}
	rows = append(rows, sessions...)

	active := min(o.active, o.users)
	if err := activate(ctx, "http://"+checkAddr+"/auth/envoy/orders/1", active); err != nil {
		return nil, err
	}
	spread, err := measureSpread(ctx, o, dir, checkAddr, bareAddr, active)
	if err != nil {
		return nil, err
	}
	rows = append(rows, spread...)
	rows = append(rows,
		row{Name: fmt.Sprintf("%d active: resident memory without page cache", active), Unit: "KiB", Sidekey: []float64{sidekey.memoryKiB("RssAnon")}},
		row{Name: fmt.Sprintf("%d active: resident memory", active), Unit: "KiB", Sidekey: []float64{sidekey.memoryKiB("VmRSS")}})
	return rows, nil
}

// compare puts the same load on both in turns, after a first turn that is not counted.
func compare(ctx context.Context, o options, name, url, rivalURL string, l traffic) (row, error) {
	r := row{Name: name, Unit: "requests/s"}
	for i := range o.runs + 1 {
		ours, err := wrk(ctx, o, url, l)
		if err != nil {
			return r, fmt.Errorf("%s: %w", name, err)
		}
		rival, err := wrk(ctx, o, rivalURL, l)
		if err != nil {
			return r, fmt.Errorf("%s, bare: %w", name, err)
		}
		if i > 0 {
			r.Sidekey, r.Rival = append(r.Sidekey, ours), append(r.Rival, rival)
		}
	}
	r.finish()
	return r, nil
}

// awaitRight asks until the answer is 200, as user 1.
func awaitRight(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if code, err := ask(ctx, url, userName(1)); err == nil && code == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer 200", url)
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, url, user string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.SetBasicAuth(user, password)
	request.Header.Set("X-Forwarded-For", "127.0.0.1")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	answer.Body.Close()
	return answer.StatusCode, nil
}

// activate logs n users in, two at a time: each costs a password hash.
func activate(ctx context.Context, url string, n int) error {
	var group sync.WaitGroup
	failed := make(chan error, 2)
	for first := range 2 {
		group.Go(func() {
			for i := first; i < n; i += 2 {
				if code, err := ask(ctx, url, userName(i+1)); err != nil || code != http.StatusOK {
					failed <- fmt.Errorf("user %d: status %d, %v", i+1, code, err)
					return
				}
			}
		})
	}
	group.Wait()
	close(failed)
	return <-failed
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
