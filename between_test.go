package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"sidekey/internal/proof"
)

// between stands between the sidekey command of a story and the admin listener. It passes
// everything on as it is, and compares each exchange as the tests' own are. A proof of the
// listener is for the listener's own address, so that between could not use it (T-107): it
// makes one of its own, with the secret of the story.
type between struct {
	*httptest.Server

	secrets func() []string // that the listener has
	mu      sync.Mutex
	passed  int
	wrong   error
}

// startBetween passes on to where admin says, at the time.
func startBetween(admin func() string, secrets func() []string) *between {
	b := &between{secrets: secrets}
	through := &http.Transport{
		DisableCompression: true,
		DisableKeepAlives:  true, // the listener may be another one the next time
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return dialScript(admin()) },
	}
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "admin", r.In.Host
		},
		Transport:      comparing{b.note, through},
		ModifyResponse: b.prove,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0),
	})
	return b
}

// prove puts between's own proof in the place of the listener's.
func (b *between) prove(r *http.Response) error {
	nonce, is := strings.CutPrefix(r.Request.URL.Path, proof.Path+"/")
	if !is || r.StatusCode != http.StatusOK {
		return nil
	}
	answer := proof.Answer{Address: b.Listener.Addr().String()}
	for _, secret := range b.secrets() {
		answer.Proofs = append(answer.Proofs, proof.NewKey(secret).Of(nonce, r.Request.Host, answer.Address))
	}
	text, err := json.Marshal(answer)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passed-- // is not what the command asks for
	return err
}

// note is told what is wrong with an exchange; nil: nothing.
func (b *between) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passed++
	b.wrong = errors.Join(b.wrong, err)
}

// take returns how many exchanges there were since, and what was wrong with them.
func (b *between) take() (passed int, wrong error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed, wrong = b.passed, b.wrong
	b.passed, b.wrong = 0, nil
	return passed, wrong
}

// asking are the commands that ask the admin listener.
var asking = []string{"api", "backup", "check-db", "compact", "explain", "export", "healthcheck", "import", "policy", "user"}

// proxied returns a command's arguments with a configuration that leads to the proxy between,
// where they lead to the admin listener that runs.
func (s *script) proxied(args []string) (led []string, is bool) {
	other := slices.ContainsFunc(args, func(arg string) bool {
		return arg == "-offline" || arg == "-admin" || arg == "-h"
	})
	if s.running == nil || other || !slices.Contains(asking, args[0]) {
		return args, false
	}
	config, led := "sidecar.toml", slices.Clone(args)
	for i, arg := range args {
		if name, is := strings.CutPrefix(arg, "--config="); is {
			config, led = name, slices.Delete(led, i, i+1)
		} else if arg == "-config" && i+1 < len(args) {
			config, led = args[i+1], slices.Delete(led, i, i+2)
		}
	}
	copied, err := s.copyConfig(config)
	if err != nil || copied == "" {
		return args, false // the command says what is wrong
	}
	return append(led, "-config", copied), true
}

// copyConfig writes a copy of a configuration in which the proxy's address stands for that of
// the admin listener, which it returns: "" where there is none in it.
func (s *script) copyConfig(config string) (copied string, err error) {
	text, err := os.ReadFile(filepath.Join(s.dir, config))
	if err != nil || !strings.Contains(string(text), s.admin) {
		return "", err
	}
	led := strings.NewReplacer("unix:"+s.admin, s.between.Listener.Addr().String(), s.admin, s.between.Listener.Addr().String()).Replace(string(text))
	if err := os.MkdirAll(filepath.Join(s.dir, ".between"), 0o700); err != nil {
		return "", err
	}
	copied = filepath.Join(".between", filepath.Base(config))
	return copied, os.WriteFile(filepath.Join(s.dir, copied), []byte(led), 0o600)
}
