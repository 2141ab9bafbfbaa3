package proxies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// readTarget is a real reader's result for a request target.
type readTarget struct {
	Reader string `json:"reader"`
	Host   string `json:"host"` // "": that of the Host header
	Path   string `json:"path"`
}

// nodeReader and pythonReader read a JSON list of targets from standard input and write the results
// of several ways to read each of them. A way that fails is left out.
const nodeReader = `
const targets = JSON.parse(require("fs").readFileSync(0, "utf8"));
const legacy = require("url");
const readers = {
  "new URL(target, base)": t => { const u = new URL(t, "http://a.org"); return [u.hostname, u.pathname]; },
  "new URL(target, base), decoded": t => { const u = new URL(t, "http://a.org"); return [u.hostname, decodeURIComponent(u.pathname)]; },
  "new URL(base + target)": t => { const u = new URL("http://a.org" + t); return [u.hostname, u.pathname]; },
  "url.parse(target)": t => { const u = legacy.parse(t); return [u.hostname || "", u.pathname]; },
  "url.parse(target, false, true)": t => { const u = legacy.parse(t, false, true); return [u.hostname || "", u.pathname || "/"]; },
};
console.log(JSON.stringify(targets.map(t => Object.entries(readers).flatMap(([reader, read]) => {
  try { const [host, path] = read(t); return [{reader: "Node.js: " + reader, host: host == "a.org" ? "" : host, path}]; } catch { return []; }
}))));
`

const pythonReader = `
import json, sys
from urllib.parse import unquote, urljoin, urlparse, urlsplit

def split(t): u = urlsplit(t); return u.hostname, u.path
def decoded(t): u = urlsplit(t); return u.hostname, unquote(u.path)
def parse(t): u = urlparse(t); return u.hostname, u.path # without the parameters of the last segment
def early(t): u = urlsplit(unquote(t)); return u.hostname, u.path
def join(t): u = urlsplit(urljoin("http://a.org/", t)); return u.hostname, u.path

def read(t):
    for f in split, decoded, parse, early, join:
        try:
            host, path = f(t)
        except ValueError:
            continue
        yield {"reader": "Python: " + f.__name__, "host": "" if host in (None, "a.org") else host, "path": path}

print(json.dumps([list(read(t)) for t in json.load(sys.stdin)]))
`

// goReaders are readers of Go's standard library.
func goReaders(t string) (all []readTarget) {
	add := func(reader string, u *url.URL, err error) {
		if err == nil {
			all = append(all, readTarget{reader, u.Hostname(), u.Path}, readTarget{reader + ", escaped", u.Hostname(), u.EscapedPath()})
		}
	}
	u, err := url.Parse(t)
	add("Go: url.Parse", u, err)
	u, err = url.ParseRequestURI(t)
	add("Go: url.ParseRequestURI", u, err)
	if base, err := url.Parse("http://a.org/"); err == nil {
		u, err = base.Parse(t)
		add("Go: URL.Parse", u, err)
	}
	return all
}

// runReader runs a reader over targets.
func runReader(t *testing.T, targets []string, program string, args ...string) (all [][]readTarget) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		testutil.CannotRun(t, program+" is not installed")
	}
	input, err := json.Marshal(targets)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(input)
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	if err := json.Unmarshal(output, &all); err != nil || len(all) != len(targets) {
		t.Fatalf("%s: %d answers for %d targets: %v", program, len(all), len(targets), err)
	}
	return all
}

// readerTargets returns request targets that lead elsewhere for some reader, and others made of the
// same pieces.
func readerTargets() []string {
	all := append([]string{
		"//public/orders/x", "///public/orders/x", "////public//orders/x", "//public/orders", "//public", "//tenant/x", "//tenant:80/public/open", "//u@tenant/public", "//TENANT./x", "//orders",
		`/\public/orders/x`, `\\public/orders/x`, `/\tenant/x`, `//\public/orders`, `/\/public/orders`, ";//public/orders/x", "/;/public/orders/x", "/;//public/orders", "/;a/public/orders", "/%3b/public/orders",
		"/%2fpublic/orders/x", "/%5cpublic/orders/x", "/.//public/orders/x", "/./%2fpublic/orders", "/x/..//public/orders", "//public/../orders", "//public/open/../x", "//x/public/open", "//public/public/open", "//public/public/open/1",
		"//public%2forders", "//public%3f/orders", "//public%23/orders", "//public%40tenant/x", "//%74enant/x", "//tenant%00/x", "//[::1]/orders", "//0/orders",
		"http://a.org/orders", "http://tenant/public/open", "http:/orders", "http:orders", "http:///orders", "https://x/orders", "HTTP://x/orders", "x:/orders", "javascript:/orders", "file:///orders", "*", "orders", "./orders", "../orders", "?/orders", "#/orders", "",
		"/public//orders", "/public/open//x", "/public/open/a%2fb", "/public/open/100%25", "/public/open/a%5cb", "/public/open/a%252fb", "/public%2fopen", "/public/open%2fx", "/public/open%5c..%5cx", "/public/open/%252e%252e/x", "/public/open;a/x", "/public/open/x;a",
		"/orders%2f..%2fpublic", "/%6frders", "/public/%6fpen", "/public/open/%2e%2e/x", "/public/open/..%2fx",
	}, pathTricks...)
	pieces := []string{"orders", "public", "open", "tenant", "x", "/", "/", "//", "..", ".", ";", ";a=b", "%2f", "%5c", "%25", "%252f", "%3b", "%3f", "%23", "%2e%2e", "%6frders", `\`, "@", ":80", "?", "http:"}
	begins := []string{"/", "//", "/public/", "//public/", "/orders/", "/public/open/", "///", `/\`, "/;/", "//x/public/open/"}
	random := rand.New(rand.NewPCG(10, 2))
	for range 1500 {
		var b strings.Builder
		b.WriteString(begins[random.IntN(len(begins))])
		for range 1 + random.IntN(5) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		all = append(all, b.String())
	}
	return all
}

// T-102: if sidekey admits a request to an API, or to the URLs of a right, the target is there for
// the readers that applications use: Node.js, Python and Go, which really run.
func TestT102RealReaders(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners+`
[[apis]]
id = "root"
listen_path = "/"

[[apis]]
id = "public"
listen_path = "/public"

[[apis]]
id = "orders"
listen_path = "/orders"

[[apis]]
id = "tenant"
listen_path = "/"
hosts = ["tenant"]
`)
	for _, api := range []string{"root", "public", "orders"} {
		s.PutUser(api, sidekeytest.Session("pw", sidekeytest.Grants(api)))
	}
	s.PutUser("open", sidekeytest.Session("pw", `"access_rights": {"public": {"api_id": "public", "versions": [], "allowed_urls": [{"url": "/public/open(/.*)?", "methods": ["GET"]}]}}`))

	var targets, users []string // targets that pass, and the user whose right admits each
	for _, uri := range readerTargets() {
		if len(uri) > 2000 || strings.ContainsFunc(uri, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
			continue
		}
		for _, user := range []string{"root", "public", "orders", "open"} {
			got, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Get("/auth/forward", "Host: sidekey", "X-Forwarded-Method: GET", "X-Forwarded-Uri: "+uri, "X-Forwarded-Host: a.org", "X-Forwarded-For: 192.0.2.1", sidekeytest.Basic(user, "pw")))
			if got.Status == 200 {
				targets, users = append(targets, uri), append(users, user)
			}
		}
	}
	count := make(map[string]int)
	for _, user := range users {
		count[user]++
	}
	for _, user := range []string{"root", "public", "orders", "open"} {
		if count[user] < 20 {
			t.Errorf("%s: only %d targets pass: nothing is shown", user, count[user])
		}
	}

	read := make([][]readTarget, len(targets))
	for i, uri := range targets {
		read[i] = goReaders(uri)
	}
	for _, more := range [][][]readTarget{runReader(t, targets, "node", "-e", nodeReader), runReader(t, targets, "python3", "-c", pythonReader)} {
		for i := range more {
			read[i] = append(read[i], more[i]...)
		}
	}
	readings := 0
	for i, uri := range targets {
		for _, r := range read[i] {
			readings++
			if wrong := leadsElsewhere(users[i], r); wrong != "" {
				t.Errorf("%q passes for user %s: for %s it is %q of host %q: %s", uri, users[i], r.Reader, r.Path, r.Host, wrong)
			}
		}
	}
	t.Logf("%d of %d targets pass for some user, and lead to the same place for all of %d readings", len(targets), len(readerTargets()), readings)
}

// needlessEscapes matches escapes of letters and digits. Readers that do not decode them see none of
// the APIs, and differ from other readers in nothing else (RFC 3986, 6.2.2.2).
var needlessEscapes = regexp.MustCompile(`%(3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa])`)

// leadsElsewhere returns the problem with a reading of a target that passes by a user's right, or "".
func leadsElsewhere(user string, r readTarget) string {
	if strings.EqualFold(strings.TrimSuffix(r.Host, "."), "tenant") {
		return "another host's"
	}
	path := needlessEscapes.ReplaceAllStringFunc(r.Path, unescape)
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	rest = strings.TrimPrefix(rest, "public/") // a url is compared with and without the listen_path
	api := "root"
	if first == "public" || first == "orders" {
		api = first
	}
	switch {
	case user == "open" && (api != "public" || rest != "open" && !strings.HasPrefix(rest, "open/")):
		return "no allowed URL"
	case user != "open" && api != user:
		return fmt.Sprintf("the path of API %q", api)
	}
	return ""
}
