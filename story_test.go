package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.etcd.io/bbolt"

	"sidekey/admin/openapitest"
)

var updateStories = flag.Bool("update", false, "write what testdata/script and testdata/golden compare with")

// TestStories runs testdata/script: one story for each promise, told to the real
// program in a process of its own. In the *.toml files of a story the words CHECK and
// ADMIN stand for its listeners' addresses, WEBHOOK for that of a receiver of events,
// WORK for its folder. Its commands, besides
// testscript's own:
//
//	serve [CONFIG]              start the program and wait until it is ready
//	quit                        SIGTERM; it must end well; its log is then in stderr
//	crash                       SIGKILL
//	signal NAME                 HUP or TERM, and go on
//	log REGEXP                  wait until the log of the running program matches
//	exits CODE ARG... [<FILE]   run sidekey; it must end with that code
//	admin METHOD PATH [FILE]    ask the admin listener, with the secret
//	ask [flags] DIALECT URI     ask the check listener as a proxy does
//	until REGEXP COMMAND ARG... repeat admin or ask until the answer matches
//	times N COMMAND ARG...      repeat admin or ask, and count the statuses
//	begin ask ...               ask for a login, and return while it is under way
//	answered                    print the answer to what was begun
//	again                       send what was asked last once more, as it was
//	newer FILE                  make a database one that a later version has written
//	lines N FILE                wait until a file has N lines, and print them
//	webhook STATUS              the answer of the receiver of events from now on
//	received N                  wait for N events, all there are, and print them
//	asked N                     wait for N requests to the receiver, and print how they came
//
// What its commands ask the admin listener, and are answered, passes a proxy that compares it
// with openapi.json, as admin does: see between.
//
// What a story's program has said is searched for its passwords, hashes and secret at the
// end (T-75): see leaks.
//
// An answer is printed as status, sorted headers and body. What differs from run to
// run is a word in it: see scriptWords.
func TestStories(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *updateStories,
		Setup: func(env *testscript.Env) error {
			s := &script{binary: path, dir: env.WorkDir, check: freeAddr(t), admin: freeAddr(t)}
			s.webhook = startWebhook()
			env.Values[scriptKey{}] = s
			env.Defer(s.webhook.Close)
			s.between = startBetween(func() string { return s.admin })
			env.Defer(s.between.Close)
			// For exec, where a story types on a terminal.
			env.Setenv("SIDEKEY", filepath.Join(env.WorkDir, "sidekey"))
			env.Defer(func() {
				s.kill()
				if _, err := s.between.take(); err != nil {
					env.T().Fatal(err)
				}
				if err := s.leaks.find(s.dir); err != nil {
					env.T().Fatal(err)
				}
			})
			return s.fillIn()
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve":    scriptCommand((*script).serve),
			"quit":     scriptCommand((*script).quit),
			"crash":    scriptCommand((*script).crash),
			"signal":   scriptCommand((*script).signal),
			"log":      scriptCommand((*script).awaitLog),
			"exits":    scriptCommand((*script).exits),
			"admin":    scriptCommand(func(s *script, args []string) error { return s.print(s.askAdmin(args)) }),
			"ask":      scriptCommand(func(s *script, args []string) error { return s.print(s.askCheck(args)) }),
			"until":    scriptCommand((*script).until),
			"times":    scriptCommand((*script).times),
			"begin":    scriptCommand((*script).begin),
			"answered": scriptCommand((*script).answered),
			"again":    scriptCommand(func(s *script, _ []string) error { return s.print(s.exchange(s.check, s.asked)) }),
			"newer":    scriptCommand((*script).newer),
			"lines":    scriptCommand((*script).lines),
			"webhook":  scriptCommand((*script).webhookAnswers),
			"received": scriptCommand((*script).received),
			"asked":    scriptCommand((*script).webhookAsked),
		},
	})
}

// script is one story under way.
type script struct {
	binary, dir  string
	check, admin string // addresses: HOST:PORT, or the path of a unix socket

	running *exec.Cmd
	logged  lockedBuffer
	ended   chan error

	begun chan scriptAnswer
	asked string // the last request to the check listener

	generated string // the last hmac_string that an answer has shown

	webhook *webhook // nil outside of TestStories
	between *between // the same

	leaks leaks

	out, err io.Writer // of the command under way
	secret   string    // SIDEKEY_ADMIN_SECRET, which the story sets with env
}

type scriptKey struct{}

func scriptCommand(run func(*script, []string) error) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		s := ts.Value(scriptKey{}).(*script)
		s.out, s.err, s.secret = ts.Stdout(), ts.Stderr(), ts.Getenv("SIDEKEY_ADMIN_SECRET")
		err := run(s, args)
		switch {
		case neg:
			ts.Fatalf("! is not for this command")
		case err != nil:
			ts.Fatalf("%v\nlog:\n%s", err, s.logged.String())
		}
	}
}

// fillIn puts the addresses into the configurations.
func (s *script) fillIn() error {
	files, err := filepath.Glob(filepath.Join(s.dir, "*.toml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		filled := strings.NewReplacer("CHECK", s.check, "ADMIN", s.admin, "WORK", s.dir, "WEBHOOK", s.webhook.Listener.Addr().String()).Replace(string(text))
		if err := os.WriteFile(file, []byte(filled), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (s *script) serve(args []string) error {
	config := "sidecar.toml"
	if len(args) > 0 {
		config = args[0]
	}
	text, err := os.ReadFile(filepath.Join(s.dir, config))
	if err != nil {
		return err
	}
	if sockets := regexp.MustCompile(`unix:([^"]+)`).FindAllSubmatch(text, -1); len(sockets) == 2 {
		s.check, s.admin = string(sockets[0][1]), string(sockets[1][1])
	}
	s.logged = lockedBuffer{}
	s.running = exec.Command(s.binary, "serve", "-config", config)
	s.running.Dir = s.dir
	s.running.Stdout, s.running.Stderr = &s.logged, &s.logged
	if err := s.running.Start(); err != nil {
		return err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(s.running, s.ended)
	if copied, err := s.copyConfig(config); err == nil {
		wrapper := fmt.Sprintf("#!/bin/sh\nexec '%s' \"$@\" -config '%s'\n", s.binary, copied)
		if err := os.WriteFile(filepath.Join(s.dir, "sidekey"), []byte(wrapper), 0o700); err != nil {
			return err
		}
	}
	return s.patiently("ready", func() bool {
		ready, err := s.http("GET", "/readyz", nil)
		return err == nil && ready.status == http.StatusOK
	})
}

func (s *script) quit([]string) error {
	if err := s.signal([]string{"TERM"}); err != nil {
		return err
	}
	select {
	case err := <-s.ended:
		s.running = nil
		io.WriteString(&s.leaks.said, s.logged.String())
		io.WriteString(s.err, s.logged.String())
		if err != nil {
			return fmt.Errorf("after SIGTERM: %w", err)
		}
		return nil
	case <-time.After(patience):
		return fmt.Errorf("not ended %v after SIGTERM", patience)
	}
}

func (s *script) crash([]string) error {
	s.kill()
	return nil
}

func (s *script) kill() {
	if s.running == nil {
		return
	}
	s.running.Process.Kill()
	<-s.ended
	s.running = nil
	io.WriteString(&s.leaks.said, s.logged.String())
}

func (s *script) signal(args []string) error {
	signals := map[string]os.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}
	return s.running.Process.Signal(signals[args[0]])
}

func (s *script) awaitLog(args []string) error {
	want, err := regexp.Compile(args[0])
	if err != nil {
		return err
	}
	return s.patiently("a log that matches "+args[0], func() bool { return want.MatchString(s.logged.String()) })
}

// patiently looks until there is what is wanted.
func (s *script) patiently(what string, there func() bool) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if there() {
			return nil
		}
		select {
		case err := <-s.ended:
			s.running = nil
			return fmt.Errorf("the program ended (%v) before: %s", err, what)
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("not within %v: %s", patience, what)
}

func (s *script) exits(args []string) error {
	want, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	args = args[1:]
	var input []byte
	if file, found := strings.CutPrefix(args[len(args)-1], "<"); found {
		args = args[:len(args)-1]
		if input, err = os.ReadFile(filepath.Join(s.dir, file)); err != nil {
			return err
		}
	}
	led, proxied := s.proxied(args)
	cmd := exec.Command(s.binary, led...)
	cmd.Dir, cmd.WaitDelay = s.dir, patience
	cmd.Stdin = bytes.NewReader(input)
	cmd.Env = append(os.Environ(), "SIDEKEY_ADMIN_SECRET="+s.secret)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	began := time.Now()
	timer := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer timer.Stop()
	cmd.Run()
	io.WriteString(s.out, s.words(out.String()))
	io.WriteString(s.err, s.words(stderr.String()))
	if args[0] != "export" && args[0] != "hash-password" { // which are asked for hashes
		io.WriteString(&s.leaks.said, out.String()+stderr.String())
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("sidekey %s: exit code %d, want %d", strings.Join(args, " "), got, want)
	}
	switch passed, err := s.between.take(); {
	case err != nil:
		return fmt.Errorf("sidekey %s: %w", strings.Join(args, " "), err)
	case proxied && want == 0 && passed == 0:
		return fmt.Errorf("sidekey %s: nothing passed the proxy between", strings.Join(args, " "))
	}
	if took := time.Since(began); took > 2*time.Second {
		return fmt.Errorf("sidekey %s took %v", strings.Join(args, " "), took)
	}
	return nil
}

// scriptAnswer is an HTTP answer or why there is none.
type scriptAnswer struct {
	status int
	raw    []byte
	text   string // as it is printed
}

func (s *script) print(a scriptAnswer, err error) error {
	if err != nil {
		return err
	}
	if !strings.HasSuffix(a.text, "\n") {
		a.text += "\n" // as every text of a txtar file ends
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
	return scriptAnswer{}, fmt.Errorf("admin or ask is wanted, not %q", args[0])
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

// begin sends what its arguments say until one of them is under way: a password that is
// being hashed, in the only slot that there is, so that another login is refused.
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
		probe, err := s.askCheck([]string{"-u", "nobody:nothing", "envoy", "/"})
		return err == nil && probe.status == http.StatusTooManyRequests && len(s.begun) == 0
	})
}

func (s *script) answered([]string) error { return s.print(<-s.begun, nil) }

// askAdmin is admin [flags] METHOD PATH [FILE].
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

// authorization is the header with the secret.
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
	return a, errors.Join(err, compare(x))
}

func (s *script) askCheck(args []string) (scriptAnswer, error) {
	request, err := s.checkRequest(args)
	if err != nil {
		return scriptAnswer{}, err
	}
	s.asked = request
	return s.exchange(s.check, request)
}

// checkRequest is what a proxy of that dialect sends for ask [flags] DIALECT URI.
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
		header = append(header, dated("Date", *later), dated("X-Aux-Date", *later))
		header = append(header, signing{
			keyID: id, secret: secret, algorithm: *algorithm, names: *signs,
			target: strings.ToLower(*method) + " " + uri, host: *host, header: header,
		}.authorization())
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
		c.SetDeadline(time.Now().Add(patience))
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

// read reads an answer into the form in which it is compared: header names as they
// were sent, in order of the alphabet.
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
		// No line of a txtar file ends in a space.
		header = append(header, strings.TrimRight(line, " ")+"\n")
	}
	slices.Sort(header)
	return scriptAnswer{status, raw, fmt.Sprintf("%d\n%s\n%s", status, s.words(strings.Join(header, "")), text)}, nil
}

// generatedSecret is an hmac_string that sidekey has made.
var generatedSecret = regexp.MustCompile(`"hmac_string": ?"([A-Z2-7]{26})"`)

// scriptWords replaces what differs from run to run.
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

// newer rewrites the format version of a database that nobody has open, with a
// checksum as store's envelope has it.
func (s *script) newer(args []string) error {
	db, err := bbolt.Open(filepath.Join(s.dir, args[0]), 0o600, &bbolt.Options{Timeout: patience})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		bucket, key, payload := []byte("meta"), []byte("format"), []byte("999")
		var covered []byte
		covered = append(covered, 1)
		for _, part := range [][]byte{bucket, key, payload} {
			covered = binary32(covered, len(part))
		}
		covered = append(append(append(covered, bucket...), key...), payload...)
		value := binary32([]byte{1}, int(crc32.Checksum(covered, crc32.MakeTable(crc32.Castagnoli))))
		return tx.Bucket(bucket).Put(key, append(value, payload...))
	})
}

func binary32(dst []byte, n int) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// TestGoldenSeeds posts the bodies of the three documents that this program was made
// from to a configuration that has their orgs, APIs and policies. Every member of a
// document's sample answer is in the answer, with the sample's value where the sample
// answers that request; and the whole answer is compared with a text.
func TestGoldenSeeds(t *testing.T) {
	f := func(seed, user, config string, sampleIsAnswer bool, but ...string) {
		t.Run(seed, func(t *testing.T) {
			read := func(name string) (text string, object map[string]any) {
				text = mustReadFile(t, filepath.Join("testdata", "golden", seed+"-"+name))
				if err := json.Unmarshal([]byte(text), &object); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return text, object
			}
			request, asked := read("request.json")
			_, sample := read("sample.json")

			sidekey := startSidekey(t, listeners+config)
			s := &script{dir: filepath.Dir(sidekey.DataDir), check: sidekey.CheckAddr, admin: strings.TrimPrefix(sidekey.AdminURL, "http://")}
			status, answer, header := sidekey.admin("POST", "/api/apis/keys/basic/"+user, request)
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, answer)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(answer), &got); err != nil {
				t.Fatal(err)
			}
			but = append(but, "data.basic_auth_data.password", "data.quota_renews", "data.date_created", "data.last_updated")
			if sampleIsAnswer {
				compareSample(t, "", sample, got, true, but)
			} else {
				compareSample(t, "", sample, got, false, but)
				compareSample(t, "data", asked, got["data"], true, but)
			}
			if password := got["data"].(map[string]any)["basic_auth_data"].(map[string]any)["password"]; password != "" {
				t.Errorf("password in the answer: %v", password)
			}

			var text bytes.Buffer
			fmt.Fprintf(&text, "%d\n", status)
			for _, warning := range header["X-Sidekey-Warning"] {
				fmt.Fprintf(&text, "X-Sidekey-Warning: %s\n", warning)
			}
			text.WriteByte('\n')
			if err := json.Indent(&text, []byte(s.words(answer)), "", "  "); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "golden", seed+"-answer.txt")
			if *updateStories {
				if err := os.WriteFile(golden, text.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := mustReadFile(t, golden); text.String() != want {
				t.Errorf("got\n%s\nwant\n%s", text.String(), want)
			}

			// The user can log in; only the third document's is past its time.
			a, err := s.askCheck([]string{"-u", user + ":test123", "envoy", "/"})
			if wantStatus := map[bool]int{true: 200, false: 401}[seed != "002"]; err != nil || a.status != wantStatus {
				t.Errorf("asked: %v %s, want %d", err, a.text, wantStatus)
			}
		})
	}
	// The sample's key id has another org in front than its org_id.
	f("000", "test-user", `
admin.org_id = "54b53d3aeba6db5c35000002"
[[apis]]
id = "bc2f8cfb7ab241504d9f3574fe407499"
`, true, "key_id")
	// The sample's key id was censored, as the name in the path. The policy is the
	// thread's, with what it takes to leave the session's own limits and rights as they are.
	f("001", "test@test.com", `
admin.org_id = "570534390b79010001000001"
[[apis]]
id = "151222f37e7447f56df39b0f94b8dc14"
[[apis]]
id = "feda9795301d4f4e5f6992ae3a638dcd"
listen_path = "/portal/"
[[policies]]
id = "57058d630b79010001000009"
name = "Default API Policy"
rate = 1000
per = 1
quota_max = -1
quota_renewal_rate = 31104000
[policies.access_rights.151222f37e7447f56df39b0f94b8dc14]
api_id = "151222f37e7447f56df39b0f94b8dc14"
api_name = "Login API"
versions = ["Default"]
[policies.access_rights.feda9795301d4f4e5f6992ae3a638dcd]
api_id = "feda9795301d4f4e5f6992ae3a638dcd"
api_name = "Portal"
versions = ["Default"]
`, true, "key_id")
	// The sample answers some other request: its members have to be there, and the
	// request's values. Its data.key_id is no field of a session; smoothing is null until set.
	f("002", "portal-user", `
admin.org_id = "5e9d9544a1dcd60001d0ed20"
[[apis]]
id = "portal"
[[policies]]
id = "62a0ec9092faf50001395817"
rate = 1000
per = 60
quota_max = -1
quota_renewal_rate = -1
access_rights.portal = { api_id = "portal" }
`, false, "data.key_id", "data.smoothing")
}

// compareSample wants every member of sample in got, but those that are named.
func compareSample(t *testing.T, at string, sample, got any, values bool, but []string) {
	t.Helper()
	if slices.Contains(but, at) {
		return
	}
	object, isObject := sample.(map[string]any)
	if !isObject {
		if values && !reflect.DeepEqual(sample, got) {
			t.Errorf("%s: got %v, the sample has %v", at, got, sample)
		}
		return
	}
	members, _ := got.(map[string]any)
	for name, value := range object {
		path := strings.TrimPrefix(at+"."+name, ".")
		member, there := members[name]
		if !there && !slices.Contains(but, path) {
			t.Errorf("%s: is in the sample and not in the answer", path)
			continue
		}
		compareSample(t, path, value, member, values, but)
	}
}

func mustReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A folder in which something is always going on, as where the database or a log file
// is beside the configuration, does not keep a change of the configuration from acting.
func TestReloadInBusyFolder(t *testing.T) {
	s := startSidekey(t, listeners)
	dir := filepath.Dir(s.DataDir)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				os.WriteFile(filepath.Join(dir, "busy.log"), []byte("busy"), 0o600)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	file := filepath.Join(dir, "sidecar.toml")
	changed := mustReadFile(t, file) + "\ncheck.realm = \"changed\"\n"
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := &script{check: s.CheckAddr, admin: s.AdminURL, dir: dir}
	for deadline := time.Now().Add(5 * time.Second); ; {
		a, err := ask.askCheck([]string{"envoy", "/"})
		if err == nil && strings.Contains(a.text, `realm="changed"`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the change does not act while another file in the folder is written: %v %s", err, a.text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
