package story

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// webhook receives the events of a story.
type webhook struct {
	*httptest.Server

	mu     sync.Mutex
	status int
	heads  []string // of all requests
	bodies []string // answered 2xx and not shown yet
}

func startWebhook() *webhook {
	w := &webhook{status: http.StatusOK}
	w.Server = httptest.NewServer(http.HandlerFunc(w.receive))
	return w
}

func (w *webhook) receive(answer http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heads = append(w.heads, fmt.Sprintf("%s %s %s %s", r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.Header.Get("Authorization")))
	if w.status/100 == 2 {
		w.bodies = append(w.bodies, string(body))
	}
	if w.status/100 == 3 {
		answer.Header().Set("Location", "/elsewhere")
	}
	answer.WriteHeader(w.status)
}

// webhookAnswers runs webhook STATUS: answer with that status from now on.
func (s *script) webhookAnswers(args []string) (err error) {
	s.webhook.mu.Lock()
	defer s.webhook.mu.Unlock()
	s.webhook.status, err = strconv.Atoi(args[0])
	return err
}

// received runs received N: wait for N events and print them.
func (s *script) received(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var bodies []string
	err = s.patiently(args[0]+" events", func() bool {
		s.webhook.mu.Lock()
		defer s.webhook.mu.Unlock()
		bodies = append(bodies, s.webhook.bodies...)
		s.webhook.bodies = nil
		return len(bodies) >= n
	})
	fmt.Fprintln(s.out, s.words(strings.Join(bodies, "\n")))
	if err == nil && len(bodies) > n {
		return fmt.Errorf("%d events, want %d", len(bodies), n)
	}
	return err
}

// webhookAsked runs asked N: wait until the webhook got N requests since the last call, and print
// them.
func (s *script) webhookAsked(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var heads []string
	err = s.patiently(args[0]+" requests to the webhook", func() bool {
		s.webhook.mu.Lock()
		defer s.webhook.mu.Unlock()
		heads = append(heads, s.webhook.heads...)
		s.webhook.heads = nil
		return len(heads) >= n
	})
	fmt.Fprintln(s.out, strings.Join(heads, "\n"))
	return err
}

// lines runs lines N FILE: wait until the file has N lines and print them.
func (s *script) lines(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var text string
	err = s.patiently(fmt.Sprintf("%d lines in %s", n, args[1]), func() bool {
		b, _ := os.ReadFile(filepath.Join(s.dir, args[1]))
		text = string(b)
		return strings.Count(text, "\n") >= n
	})
	io.WriteString(s.out, s.words(text))
	if err == nil && strings.Count(text, "\n") > n {
		return fmt.Errorf("%d lines, want %d", strings.Count(text, "\n"), n)
	}
	return err
}
