package devproxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// world is a proxy between a client and a service, with a check listener that answers as a test
// decides.
type world struct {
	front    *httptest.Server
	question http.Header   // headers of the last check
	path     string        // path of the last check
	seen     *http.Request // last request to the service; nil = none
}

func start(t *testing.T, answer, service http.HandlerFunc) *world {
	t.Helper()
	w := &world{}
	check := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.question, w.path = r.Header, r.URL.Path
		answer(rw, r)
	}))
	t.Cleanup(check.Close)
	behind := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.seen = r
		service(rw, r)
	}))
	t.Cleanup(behind.Close)
	upstream, err := url.Parse(behind.URL + "/base")
	if err != nil {
		t.Fatal(err)
	}
	w.front = httptest.NewServer(New(upstream, strings.TrimPrefix(check.URL, "http://")))
	t.Cleanup(w.front.Close)
	return w
}

func (w *world) ask(t *testing.T, method, target, body string, header http.Header) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, w.front.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	r.Host = "api.example.com"
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Ratelimit-Limit", "of the service")
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "%s %s ", r.Method, r.RequestURI)
	io.Copy(w, r.Body)
}

// aliases are names that an application may confuse with those of the answer.
var aliases = []string{"X_Auth_User", "X.Auth.User", "x_auth-User", "X_Developer_Id", "X-Developer.Id"}

func TestPass(t *testing.T) {
	w := start(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["X-Auth-User"], h["X-Auth-Alias"] = []string{"alice"}, []string{""}
		h.Set("X-Developer-Id", "7")
		h.Set("X-RateLimit-Limit", "10")
		h.Set("RateLimit", `"default";r=9`)
		h.Set("Cache-Control", "no-store")
	}, echo)
	res, body := w.ask(t, "POST", "/a%20b/c?d=e", "hello", http.Header{
		"Authorization": {"Basic eDp5"}, "X-Auth-Alias": {"forged"}, "X-Auth-Anything": {"forged"},
		aliases[0]: {"forged"}, aliases[1]: {"forged"}, aliases[2]: {"forged"}, aliases[3]: {"forged"}, aliases[4]: {"forged"},
		"X-Developer-Id": {"forged"}, "X-Forwarded-For": {"192.0.2.66"}, "Cookie": {"c=d"},
		"Connection": {"X-Auth-User, x-developer-id, X-Auth-Alias, Authorization"},
	})
	if res.StatusCode != http.StatusCreated || body != "POST /base/a%20b/c?d=e hello" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if !slices.Equal(res.Header["X-Ratelimit-Limit"], []string{"10"}) || res.Header.Get("RateLimit") != `"default";r=9` || res.Header.Get("X-Auth-User") != "" {
		t.Errorf("the client gets %v", res.Header)
	}
	q := w.question
	if w.path != "/auth/forward" || q.Get("X-Forwarded-Method") != "POST" || q.Get("X-Forwarded-Uri") != "/a%20b/c?d=e" || q.Get("X-Forwarded-Host") != "api.example.com" ||
		!slices.Equal(q["X-Forwarded-For"], []string{"127.0.0.1"}) || q.Get("Authorization") != "Basic eDp5" {
		t.Errorf("asked at %s with %v", w.path, q)
	}
	s := w.seen.Header
	if s.Get("Authorization") != "" || s.Get("X-Auth-User") != "alice" || !slices.Equal(s["X-Auth-Alias"], []string{""}) || s.Get("X-Auth-Anything") != "" ||
		!slices.Equal(s["X-Developer-Id"], []string{"7"}) || s.Get("Cookie") != "c=d" || s.Get("X-Ratelimit-Limit") != "" {
		t.Errorf("the service gets %v", s)
	}
	for _, name := range aliases {
		if value := s.Get(name); value != "" {
			t.Errorf("the service gets %s: %q", name, value)
		}
	}
}

func TestRefused(t *testing.T) {
	w := start(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.Header().Set("Retry-After", "7")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		io.WriteString(w, `{"error": "Rate Limit Exceeded"}`)
	}, echo)
	res, body := w.ask(t, "GET", "/", "", nil)
	if res.StatusCode != 429 || body != `{"error": "Rate Limit Exceeded"}` || res.Header.Get("Retry-After") != "7" || res.Header.Get("WWW-Authenticate") == "" || w.seen != nil {
		t.Errorf("%d %v %s", res.StatusCode, res.Header, body)
	}
}

// Any answer other than 200 refuses the request, also a redirect or another 2xx.
func TestOnlyOKPasses(t *testing.T) {
	for _, status := range []int{201, 204, 302, 403, 500, 503} {
		w := start(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		}, echo)
		if res, _ := w.ask(t, "GET", "/", "", nil); res.StatusCode != status || w.seen != nil {
			t.Errorf("%d: the client gets %d, the service got %v", status, res.StatusCode, w.seen)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	nobody, err := url.Parse("http://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{front: httptest.NewServer(New(nobody, "127.0.0.1:1"))}
	defer w.front.Close()
	if res, body := w.ask(t, "GET", "/", "", nil); res.StatusCode != 503 || body != `{"error": "the check listener does not answer"}` {
		t.Errorf("no check listener: %d %s", res.StatusCode, body)
	}
	check := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer check.Close()
	w.front.Config.Handler = New(nobody, strings.TrimPrefix(check.URL, "http://"))
	if res, _ := w.ask(t, "GET", "/", "", nil); res.StatusCode != 502 {
		t.Errorf("no service: %d", res.StatusCode)
	}
}

// The parts of a streamed response arrive one by one.
func TestStreams(t *testing.T) {
	next := make(chan struct{})
	w := start(t, func(http.ResponseWriter, *http.Request) {}, func(w http.ResponseWriter, r *http.Request) {
		for range 3 {
			fmt.Fprintln(w, "event")
			w.(http.Flusher).Flush()
			<-next
		}
	})
	res, err := http.Get(w.front.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for range 3 {
		if !lines.Scan() || lines.Text() != "event" {
			t.Fatalf("%q, %v", lines.Text(), lines.Err())
		}
		next <- struct{}{}
	}
}
