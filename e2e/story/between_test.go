package story

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

	"sidekey/admin/api"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/proof"
)

// between is a proxy between the sidekey command of a story and the admin listener. It passes
// everything on unchanged and compares each exchange with the API descriptions. The listener's
// proof is for the listener's own address, so between cannot use it (T-107): it computes one of
// its own, with the secret of the story.
type between struct {
	*httptest.Server

	secrets func() []string // that the listener has
	mu      sync.Mutex
	passed  int
	wrong   error
}

// startBetween starts a proxy to the address that admin returns at the time of each request.
func startBetween(admin func() string, secrets func() []string) *between {
	b := &between{secrets: secrets}
	through := &http.Transport{
		DisableCompression: true,
		DisableKeepAlives:  true, // the listener may have another address the next time
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return dialScript(admin()) },
	}
	b.Server = httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "admin", r.In.Host
		},
		Transport:      sidekeytest.Comparing{Note: b.note, Through: through},
		ModifyResponse: b.prove,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0),
	})
	return b
}

// prove replaces the listener's proof by between's own.
func (b *between) prove(r *http.Response) error {
	nonce, is := strings.CutPrefix(r.Request.URL.Path, proof.Path+"/")
	if !is || r.StatusCode != http.StatusOK {
		return nil
	}
	answer := api.Proof{Address: b.Listener.Addr().String()}
	for _, secret := range b.secrets() {
		answer.Proofs = append(answer.Proofs, proof.NewKey(secret).Of(nonce, r.Request.Host, answer.Address))
	}
	text, err := json.Marshal(answer)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passed-- // a command does not ask for a proof by itself
	return err
}

// note records the result of comparing an exchange; nil = it is as described.
func (b *between) note(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.passed++
	b.wrong = errors.Join(b.wrong, err)
}

// take returns the number of exchanges since the last call, and their faults.
func (b *between) take() (passed int, wrong error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed, wrong = b.passed, b.wrong
	b.passed, b.wrong = 0, nil
	return passed, wrong
}

// asking are the commands that send requests to the admin listener.
var asking = []string{"api", "backup", "check-db", "compact", "explain", "export", "healthcheck", "import", "policy", "user"}

// proxied returns the arguments of a command with a configuration that leads to the proxy, if they
// lead to the running admin listener.
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
		return args, false // the command reports the fault
	}
	return append(led, "-config", copied), true
}

// copyConfig writes a copy of a configuration with the address of the proxy in place of the admin
// listener's. It returns the listener's address, or "" if the configuration has none.
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
