package story

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/openapitest"
	"sidekey/internal/testutil"
)

// scriptAnswer is an HTTP answer, or the reason why there is none.
type scriptAnswer struct {
	status int
	raw    []byte
	text   string // as printed
}

func (s *script) print(a scriptAnswer, err error) error {
	if err != nil {
		return err
	}
	if !strings.HasSuffix(a.text, "\n") {
		a.text += "\n" // as all texts in a txtar file end
	}
	_, err = io.WriteString(s.out, a.text)
	return err
}

func (s *script) repeat(args []string) (scriptAnswer, error) {
	switch args[0] {
	case "admin":
		return s.askAdmin(args[1:])
	case "ask":
		return s.askCheck(args[1:])
	}
	return scriptAnswer{}, fmt.Errorf("must be admin or ask, not %q", args[0])
}

func (s *script) until(args []string) error {
	want, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	var last scriptAnswer
	err = s.patiently("an answer that matches "+args[0], func() bool {
		last, err = s.repeat(args[1:])
		return err == nil && want.MatchString(last.text)
	})
	if err != nil {
		return fmt.Errorf("%w; the last was\n%s", err, last.text)
	}
	return s.print(last, nil)
}

func (s *script) times(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	counts := make(map[int]int)
	for range n {
		a, err := s.repeat(args[1:])
		if err != nil {
			return err
		}
		counts[a.status]++
	}
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(s.out, "%d: %d\n", status, counts[status])
	}
	return nil
}

// begin sends logins until one of them is in progress: its password occupies the only slot for
// hashing, so another login is refused.
func (s *script) begin(args []string) error {
	request, err := s.checkRequest(args[1:])
	if err != nil {
		return err
	}
	return s.patiently("a login under way", func() bool {
		c, err := dialScript(s.check)
		if err != nil {
			return false
		}
		io.WriteString(c, request)
		s.begun = make(chan scriptAnswer, 1)
		go func(begun chan<- scriptAnswer) {
			defer c.Close()
			a, err := s.read(c, request)
			if err != nil {
				a.text = err.Error() + "\n"
			}
			begun <- a
		}(s.begun)
		probe, err := s.askCheck([]string{"-u", "unknown:nothing", "envoy", "/"})
		return err == nil && probe.status == http.StatusTooManyRequests && len(s.begun) == 0
	})
}

func (s *script) answered([]string) error { return s.print(<-s.begun, nil) }

// askAdmin runs admin [flags] METHOD PATH [FILE].
func (s *script) askAdmin(args []string) (scriptAnswer, error) {
	flags := flag.NewFlagSet("admin", flag.ContinueOnError)
	indent := flags.Bool("i", false, "indent the body")
	stranger := flags.Bool("without-secret", false, "do not show the secret")
	var header string
	flags.Func("H", "'NAME: VALUE'", func(line string) error { header += line + "\r\n"; return nil })
	if err := flags.Parse(args); err != nil {
		return scriptAnswer{}, err
	}
	args = flags.Args()
	var body []byte
	if len(args) == 3 {
		var err error
		if body, err = os.ReadFile(filepath.Join(s.dir, args[2])); err != nil {
			return scriptAnswer{}, err
		}
		s.leaks.presentBody(body)
	}
	if !*stranger {
		header += s.authorization()
	}
	a, err := s.httpAs(header, args[0], args[1], body)
	if err == nil && *indent {
		head, text, _ := strings.Cut(a.text, "\n\n")
		var indented bytes.Buffer
		if err := json.Indent(&indented, []byte(text), "", "  "); err != nil {
			return a, err
		}
		a.text = head + "\n\n" + indented.String()
	}
	return a, err
}

// authorization returns the header with the secret.
func (s *script) authorization() string {
	secret, _ := os.ReadFile(filepath.Join(s.dir, "data", "admin.secret"))
	return fmt.Sprintf("Authorization: %s\r\n", bytes.TrimSpace(secret))
}

func (s *script) http(method, path string, body []byte) (scriptAnswer, error) {
	return s.httpAs(s.authorization(), method, path, body)
}

func (s *script) httpAs(header, method, path string, body []byte) (scriptAnswer, error) {
	request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s",
		method, path, header, len(body), body)
	a, err := s.exchange(s.admin, request)
	if err != nil {
		return a, err
	}
	x, err := openapitest.Read(request, a.raw)
	return a, errors.Join(err, sidekeytest.Compare(x))
}

func (s *script) askCheck(args []string) (scriptAnswer, error) {
	request, err := s.checkRequest(args)
	if err != nil {
		return scriptAnswer{}, err
	}
	s.asked = request
	return s.exchange(s.check, request)
}

// checkRequest returns the request of a proxy of that dialect for ask [flags] DIALECT URI.
func (s *script) checkRequest(args []string) (string, error) {
	flags := flag.NewFlagSet("ask", flag.ContinueOnError)
	user := flags.String("u", "", "USER:PASSWORD")
	encoded := flags.String("basic", "", "USER:PASSWORD in base64")
	key := flags.String("sign", "", "KEYID:SECRET; GENERATED is the last hmac_string that was shown")
	algorithm := flags.String("algorithm", "hmac-sha256", "of the signature")
	signs := flags.String("signs", "(request-target) host date", "names of what is signed")
	later := flags.Duration("later", 0, "how far the date is from now")
	method := flags.String("m", "GET", "the client's method")
	host := flags.String("h", "example.com", "the client's Host")
	from := flags.String("from", "192.0.2.1", "the client's address")
	without := flags.String("without", "", "the name of a header that the proxy forgets")
	var header []string
	flags.Func("H", "'NAME: VALUE'", func(line string) error { header = append(header, line); return nil })
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	if flags.NArg() != 2 {
		return "", fmt.Errorf("ask [flags] DIALECT URI, not %q", args)
	}
	dialect, uri := flags.Arg(0), flags.Arg(1)
	if name, password, found := strings.Cut(*user, ":"); found {
		s.leaks.present(name, password)
	}
	switch {
	case *user != "":
		header = append(header, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(*user)))
	case *encoded != "":
		header = append(header, "Authorization: Basic "+*encoded)
	case *key != "":
		id, secret, _ := strings.Cut(*key, ":")
		if secret == "GENERATED" {
			secret = s.generated
		}
		header = append(header, sidekeytest.Dated("Date", *later), sidekeytest.Dated("X-Aux-Date", *later))
		header = append(header, sidekeytest.Signing{
			KeyID: id, Secret: secret, Algorithm: *algorithm, Names: *signs,
			Target: strings.ToLower(*method) + " " + uri, Host: *host, Header: header,
		}.Authorization())
	}
	header = append(header, "X-Forwarded-For: "+*from, "Connection: close")
	line := "GET /auth/" + dialect
	switch family := strings.FieldsFunc(dialect, func(r rune) bool { return r == '@' || r == '/' })[0]; family {
	case "envoy":
		line = *method + " /auth/" + dialect + uri
		header = append(header, "Host: "+*host)
	case "nginx":
		header = append(header, "Host: "+*host, "X-Original-Method: "+*method, "X-Original-URI: "+uri)
	case "forward":
		header = append(header, "Host: sidekey", "X-Forwarded-Method: "+*method, "X-Forwarded-Uri: "+uri, "X-Forwarded-Host: "+*host)
	default:
		return "", fmt.Errorf("dialect %q", dialect)
	}
	if *without != "" {
		header = slices.DeleteFunc(header, func(line string) bool { return strings.HasPrefix(line, *without+": ") })
	}
	return line + " HTTP/1.1\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n", nil
}

func dialScript(address string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	c, err := net.Dial(network, address)
	if err == nil {
		c.SetDeadline(time.Now().Add(testutil.Patience))
	}
	return c, err
}

func (s *script) exchange(address, request string) (scriptAnswer, error) {
	c, err := dialScript(address)
	if err != nil {
		return scriptAnswer{}, err
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return scriptAnswer{}, err
	}
	return s.read(c, request)
}

// read converts an answer to the form in which stories compare it: header names as sent, sorted.
func (s *script) read(c net.Conn, request string) (scriptAnswer, error) {
	raw, err := io.ReadAll(c)
	if err != nil {
		return scriptAnswer{}, err
	}
	s.leaks.said.Write(raw)
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	var status int
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d ", &status); err != nil {
		return scriptAnswer{}, fmt.Errorf("status line %q", lines[0])
	}
	if found := generatedSecret.FindStringSubmatch(body); found != nil {
		s.generated = found[1]
	}
	text := s.words(body)
	var header []string
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch name {
		case "Connection":
			continue
		case "Content-Length":
			if value != strconv.Itoa(len(body)) && !strings.HasPrefix(request, "HEAD ") {
				return scriptAnswer{}, fmt.Errorf("Content-Length %s and a body of %d bytes", value, len(body))
			}
			if text != body {
				line = "Content-Length: LENGTH"
			}
		}
		// Lines in a txtar file do not end with a space.
		header = append(header, strings.TrimRight(line, " ")+"\n")
	}
	slices.Sort(header)
	return scriptAnswer{status, raw, fmt.Sprintf("%d\n%s\n%s", status, s.words(strings.Join(header, "")), text)}, nil
}

// generatedSecret matches an hmac_string that sidekey generated.
var generatedSecret = regexp.MustCompile(`"hmac_string": ?"([A-Z2-7]{26})"`)

// scriptWords replaces what differs between runs by words.
var scriptWords = []struct {
	pattern *regexp.Regexp
	word    string
}{
	{regexp.MustCompile(`(?m)^Date: .*`), "Date: DATE"},
	{regexp.MustCompile(`(?m)^X-RateLimit-Reset: [1-9][0-9]*`), "X-RateLimit-Reset: RESET"},
	{regexp.MustCompile(`(?m)^Retry-After: [1-9][0-9]*`), "Retry-After: SECONDS"},
	{regexp.MustCompile(`;t=[1-9][0-9]*`), ";t=SECONDS"},
	{regexp.MustCompile(`"ms":[0-9]+\.[0-9]{3}`), `"ms":MS`},
	{regexp.MustCompile(`"(date_created|config_loaded|time|timestamp)":"2[0-9]{3}-[^"]+"`), `"$1":"DATE"`},
	{regexp.MustCompile(`"last_updated":"[0-9]+"`), `"last_updated":"DATE"`},
	{regexp.MustCompile(`"quota_renews":[1-9][0-9]*`), `"quota_renews":"RENEWS"`},
	{generatedSecret, `"hmac_string":"GENERATED"`},
	{regexp.MustCompile(`\(pid [0-9]+, says`), "(pid PID, says"},
	{regexp.MustCompile(`(?m)^(created|quota renews)( +)2[0-9]{3}-.*`), "$1${2}DATE"},
}

func (s *script) words(text string) string {
	for _, w := range scriptWords {
		text = w.pattern.ReplaceAllString(text, w.word)
	}
	if s.between != nil {
		text = strings.ReplaceAll(text, s.between.Listener.Addr().String(), "ADMIN")
	}
	return strings.NewReplacer(s.check, "CHECK", s.admin, "ADMIN", s.dir, "WORK").Replace(text)
}
