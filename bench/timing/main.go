// Timing measures what the time of a refusal reveals about a user. It sends wrong passwords of
// existing and of unknown users to the real program, and reports how well they can be told apart.
//
//	go run ./bench/timing [-samples N] [-cost N] [-kinds LIST] [-leaders N] [-askers N]
//
// Samples of all classes are taken in turns, in random order. For some samples, other requests
// ("leaders") present the same name and password a moment earlier, as in Traefik's CVE-2026-88010.
// Protection against guessing is off (bruteforce.enabled = false), because its delays would be
// measured instead. With bcrypt cost 12, a refusal takes three quarters of a second, most of which
// is waiting. Several askers therefore take the same number of samples in less time. sidekey may
// then compute as many hashes at once, so that none waits for another.
//
// Timing prints the times of each class. For each two classes it prints the ratio of the medians
// and the areas under the curves of two classifiers, which know only the time of one request; an
// area of 0.5 means guessing. One classifier assigns longer times to the first class. The other has
// learned from half of the samples which times are typical for which class. After a login, a user
// has the configured kind of hash, so remembered users have no other kind. Unknown names are
// compared with all kinds.
//
// The exit status is 1 if two classes can be told apart.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"

	"sidekey/auth/password"
	"sidekey/auth/session"
	"sidekey/store/bolt"
)

type options struct {
	samples int    // of each class
	cost    int    // configured bcrypt cost
	kinds   string // kinds of the stored hashes
	leaders int    // maximum for one sample
	askers  int
	judge   bool
}

func main() {
	var o options
	flag.IntVar(&o.samples, "samples", 5000, "samples of each class")
	flag.IntVar(&o.cost, "cost", 10, "configured bcrypt cost")
	flag.StringVar(&o.kinds, "kinds", "10,12,argon2id", "kinds of the stored hashes: bcrypt costs, argon2id")
	flag.IntVar(&o.leaders, "leaders", 4, "maximum number of earlier requests with the same name and password")
	flag.IntVar(&o.askers, "askers", 1, "number of samples to take at once, at least 1")
	flag.BoolVar(&o.judge, "judge", true, "fail if classes can be told apart; switch it off for few samples, which are not reliable enough")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "timing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "sidekey-timing-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	users, err := fill(filepath.Join(dir, "data"), strings.Split(o.kinds, ","))
	if err != nil {
		return err
	}
	addr, stop, err := serve(ctx, dir, o)
	if err != nil {
		return err
	}
	defer stop()
	for _, user := range users {
		if user.remembered {
			if status, err := ask(addr, user.name, rightPassword, 0); err != nil || status.code != http.StatusOK {
				return fmt.Errorf("login of %s: %v, %w", user.name, status, err)
			}
		}
	}
	taken, err := sample(ctx, o, addr, users)
	if same := print(os.Stdout, o, taken); !same && o.judge && err == nil {
		err = errors.New("classes can be told apart")
	}
	return err
}

const rightPassword = "correct horse battery staple"

// class is a kind of user. The samples of the classes are compared.
type class string

const (
	unknown    class = "unknown user"
	known      class = "wrong password"
	inactive   class = "inactive user, wrong password"
	remembered class = "remembered user, wrong password"
)

var classes = []class{unknown, known, inactive, remembered}

type user struct {
	name, kind string
	class      class
	remembered bool
}

// usersOfAKind is the number of users of each class with each kind of hash.
const usersOfAKind = 20

// fill makes a database with users of every class and kind.
func fill(dir string, kinds []string) (users []user, err error) {
	s, err := bolt.Open(filepath.Join(dir, "sidekey.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	for _, kind := range kinds {
		hash, err := makeHash(kind)
		if err != nil {
			return nil, fmt.Errorf("kind %q: %w", kind, err)
		}
		for _, class := range []class{known, inactive, remembered} {
			for i := range usersOfAKind {
				u := user{fmt.Sprintf("%s-%s-%d", kind, strings.Fields(string(class))[0], i), kind, class, class == remembered}
				sess := session.Session{OrgID: "default", IsInactive: class == inactive, BasicAuth: session.BasicAuth{Password: hash}}
				_, err := s.Update("default", u.name, func(*session.Record) (*session.Record, error) {
					return &session.Record{Org: "default", User: u.name, Session: sess}, nil
				})
				if err != nil {
					return nil, err
				}
				users = append(users, u)
			}
		}
	}
	return users, nil
}

func makeHash(kind string) (string, error) {
	if kind == "argon2id" {
		return password.Argon2id{}.Make([]byte(rightPassword))
	}
	var cost int
	if _, err := fmt.Sscan(kind, &cost); err != nil {
		return "", errors.New("must be a bcrypt cost or argon2id")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(rightPassword), cost)
	return string(hash), err
}

// serve builds and runs sidekey until stop is called.
func serve(ctx context.Context, dir string, o options) (addr string, stop func(), err error) {
	binary := filepath.Join(dir, "sidekey")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "sidekey")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return "", nil, err
	}
	addr = filepath.Join(dir, "check.sock")
	concurrent := 0 // the default
	if o.askers > 1 {
		concurrent = o.askers
	}
	config := fmt.Sprintf("data_dir = %q\n[check]\nlisten = %q\n[admin]\nlisten = %q\n[log]\nlevel = \"warn\"\n[passwords]\nbcrypt_cost = %d\nverified_ttl = \"24h\"\nmax_concurrent = %d\nmax_wait = \"1m\"\n[bruteforce]\nenabled = false\n",
		filepath.Join(dir, "data"), "unix:"+addr, "unix:"+filepath.Join(dir, "admin.sock"), o.cost, concurrent)
	file := filepath.Join(dir, "sidecar.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "-config", file)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	}
	for range 500 {
		if c, err := net.Dial("unix", addr); err == nil {
			c.Close()
			return addr, stop, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("sidekey does not listen")
}

// answer is an answer of sidekey.
type answer struct {
	code int
	text string // the whole answer, with its headers
	took time.Duration
}

func (a answer) String() string { return a.text }

// ask opens a connection, waits for a time after, sends a request with a password, and measures the
// time until the answer.
func ask(addr, name, password string, after time.Duration) (a answer, err error) {
	c, err := net.Dial("unix", addr)
	if err != nil {
		return a, err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(after + 2*time.Minute))
	time.Sleep(after)
	request := "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-For: 192.0.2.1\r\n" +
		"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password)) + "\r\nConnection: close\r\n\r\n"
	in := bufio.NewReader(c)
	began := time.Now()
	if _, err := io.WriteString(c, request); err != nil {
		return a, err
	}
	if _, err := in.Peek(1); err != nil {
		return a, err
	}
	a.took = time.Since(began)
	text, err := io.ReadAll(in)
	a.text = string(text)
	fmt.Sscanf(a.text, "HTTP/1.1 %d ", &a.code)
	return a, err
}

// times are the samples of a class, also by number of leaders and by kind of hash.
type times struct {
	all       []float64 // milliseconds
	byLeaders map[int][]float64
	byKind    map[string][]float64
}

// sampling is a run of samples.
type sampling struct {
	addr    string
	byClass map[class][]user

	mu    sync.Mutex // protects all below
	first string     // the first answer
	taken map[class]*times
}

// sample takes all samples. It fails if an answer differs from the first: the bytes of a refusal
// must not reveal more than its time.
func sample(ctx context.Context, o options, addr string, users []user) (map[class]*times, error) {
	s := &sampling{addr: addr, byClass: make(map[class][]user), taken: make(map[class]*times)}
	for _, c := range classes {
		s.taken[c] = &times{byLeaders: make(map[int][]float64), byKind: make(map[string][]float64)}
	}
	for _, u := range users {
		s.byClass[u.class] = append(s.byClass[u.class], u)
	}
	askers, ctx := errgroup.WithContext(ctx)
	for asker := range o.askers {
		askers.Go(func() error {
			for i := asker; i < o.samples; i += o.askers {
				if err := s.round(ctx, i, o.leaders); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s.taken, askers.Wait()
}

// round takes one sample of each class, in random order. The number of leaders and their lead are
// the same for all classes, so that they cannot cause a difference.
func (s *sampling) round(ctx context.Context, n, maxLeaders int) error {
	leaders, after := n%(maxLeaders+1), time.Duration(0)
	if leaders > 0 {
		after = time.Millisecond + time.Duration(rand.Int64N(int64(60*time.Millisecond)))
	}
	for _, next := range rand.Perm(len(classes)) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c := classes[next]
		u := user{name: fmt.Sprintf("unknown-%d-%d", n, rand.Uint32()), kind: "none"}
		if list := s.byClass[c]; len(list) > 0 {
			u = list[rand.IntN(len(list))]
		}
		wrong := fmt.Sprintf("wrong %d", rand.Uint64())
		var group sync.WaitGroup
		for range leaders {
			group.Go(func() { ask(s.addr, u.name, wrong, 0) })
		}
		a, err := ask(s.addr, u.name, wrong, after)
		group.Wait()
		if err != nil {
			return err
		}
		if err := s.add(c, u, leaders, a); err != nil {
			return err
		}
	}
	return nil
}

func (s *sampling) add(c class, u user, leaders int, a answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == "" {
		s.first = a.text
	}
	if a.text != s.first {
		return fmt.Errorf("%s: this answer\n%s\ndiffers from the first\n%s", c, a.text, s.first)
	}
	ms, taken := float64(a.took)/float64(time.Millisecond), s.taken[c]
	taken.all = append(taken.all, ms)
	taken.byLeaders[leaders] = append(taken.byLeaders[leaders], ms)
	taken.byKind[u.kind] = append(taken.byKind[u.kind], ms)
	return nil
}
