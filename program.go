package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/check"
	"sidekey/config"
	"sidekey/decisionlog"
	"sidekey/events"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/vault"
)

// program is a running sidekey: what startProgram made, in the order in which it was made.
type program struct {
	path string // of the configuration; "" = built-in
	log  *slog.Logger

	mu       sync.Mutex    // protects what a reload replaces
	config   config.Config // in force
	loadedAt time.Time
	rejected error // why the file as it stands is not in force; nil: it is

	store     *store.Store
	key       *vault.Key // of the secrets of signed requests
	secrets   *secrets
	spent     *auth.SpentSignatures
	spentPath string // where spent is handed over
	policies  *auth.Policies
	directory *auth.Directory
	checker   *auth.Checker
	check     *check.Handler
	admin     *admin.Handler // nil before it is made

	certificate *certificate // of the admin listener; nil: no TLS

	held    inherited // sockets that no listener has taken yet
	servers []*server
	failed  chan error // a server that ended by itself
	watcher *watcher   // nil where there is no file to watch

	decisions *decisionlog.Log
	events    *events.Queue
	monitor   *events.Monitor

	memory     memory
	upgrades   *upgrades
	stopReaper func() // waits for its end; nil before it runs
	stopCensus func() // the same
	counted    atomic.Pointer[auth.Census]
}

// server is one listener being served.
type server struct {
	name     string
	listener net.Listener
	fasthttp *fasthttp.Server
	done     chan struct{}
}

// openProgram opens the database and makes all that decides, without a listener. What it
// returns is to be stopped, also with an error.
func openProgram(path string, cfg config.Config, log *slog.Logger) (p *program, err error) {
	p = &program{path: path, log: log, config: cfg, loadedAt: time.Now(), failed: make(chan error, 2)}
	// First, because it makes data_dir, and makes its name durable.
	if p.store, err = openVerified(databasePath(cfg), log); err != nil {
		return p, err
	}
	if err := p.startObservers(cfg); err != nil {
		return p, err
	}
	key, created, err := vault.Load(cfg.KeyPath())
	if err != nil {
		return p, fmt.Errorf("key of the secrets of signed requests: %w", err)
	}
	if created {
		log.Info("generated the key that secrets of signed requests are sealed with: it belongs to the backups", "file", cfg.KeyPath())
	}
	p.key, p.secrets = key, newSecrets(key, log)
	p.spentPath = cfg.SpentPath()
	if p.spent, err = loadSpent(p.spentPath, cfg.Check.HMACRemembered, created, log); err != nil {
		return p, fmt.Errorf("memory of used signatures: %w", err)
	}
	p.upgrades = newUpgrades(p)
	settings, err := p.makeSettings(cfg, nil, config.Config{})
	if err != nil {
		return p, err
	}
	if err := p.loadPolicies(); err != nil {
		return p, err
	}
	p.directory = auth.NewDirectory(p.store, p.compiler(cfg))
	p.directory.SetBound(cfg.Limits.MaxActive, now, p.memory.isShort)
	p.store.Notify(store.Notify{User: p.publishUser, Policy: p.publishPolicy})
	p.checker = auth.NewChecker(p.directory, settings, now)
	p.check = check.NewHandler(p.checker, checkConfigOf(cfg), log)
	p.check.SetObservers(p.decisions, p.monitor)
	return p, nil
}

func now() limiter.Now { return limiter.At(time.Now()) }

// adminHandler answers the admin API to who knows one of the secrets.
func (p *program) adminHandler(secrets []string) *admin.Handler {
	cfg := p.config
	return admin.NewHandler(admin.Config{
		Users:        p.store,
		PolicyStore:  p.store,
		Policies:     p.policies,
		Directory:    p.directory,
		Settings:     p.checker.Settings,
		Rules:        p.rules,
		AdminSecrets: secrets,
		WrongSecret:  200 * time.Millisecond,
		TLS:          cfg.Admin.TLS(),
		Secrets:      p.key,
		Hosts:        cfg.Admin.Hosts,
		Org:          cfg.Admin.OrgID,
		Reload:       p.reload,
		Health:       p.health,
		Database:     p.database(),
		Metrics:      p.writeMetrics,
		Decisions:    p.decisionTotals,
		Explain:      func(q auth.Question) (any, error) { return p.check.Explain(q) },
		KeyEvents:    p.monitor,
		Version:      buildVersion(),
		Log:          p.log,
	})
}

// startProgram brings everything up, or leaves nothing running.
func startProgram(path string, cfg config.Config, log *slog.Logger) (_ *program, err error) {
	for _, warning := range cfg.Warnings() {
		log.Warn(warning)
	}
	limitMemory(log)
	boundGarbage()
	held, err := takeInherited()
	if err != nil {
		return nil, err
	}
	p, err := openProgram(path, cfg, log)
	defer func() {
		if err != nil {
			p.stop()
			held.close()
		}
	}()
	if err != nil {
		return nil, err
	}
	p.held = held
	secrets, created, err := admin.LoadSecrets(cfg.SecretPath())
	if err != nil {
		return nil, fmt.Errorf("admin secret: %w", err)
	}
	if created {
		log.Info("generated the admin secret", "file", cfg.SecretPath())
	}
	if p.certificate, err = loadCertificate(cfg.Admin); err != nil {
		return nil, err
	}
	p.admin = p.adminHandler(secrets)
	if err := p.listen("check", cfg.Check.Listen, cfg.Check.SocketMode, 0, nil, check.NewServer(p.check, check.ServerConfig{
		ReadTimeout:    cfg.Check.ReadTimeout,
		WriteTimeout:   cfg.Check.WriteTimeout,
		IdleTimeout:    cfg.Check.IdleTimeout,
		MaxConnections: roomFor(cfg.Check.MaxConnections, log),
		MaxHeaderBytes: cfg.Check.MaxHeaderBytes,
	})); err != nil {
		return nil, err
	}
	if err := p.listen("admin", cfg.Admin.Listen, cfg.Admin.SocketMode, admin.MaxConnections, p.certificate, admin.NewServer(p.admin)); err != nil {
		return nil, err
	}
	if err := held.rest(); err != nil {
		return nil, err
	}
	for _, s := range p.servers {
		go p.serve(s)
	}
	p.stopReaper = p.startReaper(cfg.Lifecycle)
	p.stopCensus = inBackground(p.runCensus)
	if path != "" {
		if p.watcher, err = watch(path); err != nil {
			log.Warn("changes of the configuration file are not noticed; SIGHUP still reloads it", "error", err)
		}
	}
	return p, nil
}

// startReaper removes expired records in the background until the function that it
// returns is called.
func (p *program) startReaper(c config.LifecycleConfig) (stop func()) {
	reaper := auth.Reaper{Users: p.store, Policies: p.policies, Every: c.Every, PerSecond: c.RemovalsPerSecond, Log: p.log}
	return inBackground(reaper.Run)
}

// inBackground runs f until the function that it returns is called, which waits for its
// end.
func inBackground(f func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { f(ctx) })
	return func() {
		cancel()
		group.Wait()
	}
}

// loadPolicies puts the policies that the store keeps and those of the file in force.
func (p *program) loadPolicies() error {
	stored, damaged, err := p.store.Policies()
	if err != nil {
		return err
	}
	if damaged != nil {
		p.log.Error("policies are damaged: users that have them are refused until they are written anew", "error", damaged)
	}
	p.policies = auth.NewPolicies(stored)
	p.policies.SetFile(p.config.PolicyList())
	return nil
}

// publishUser puts a user in force as the store has it now.
func (p *program) publishUser(org, user string) {
	p.secrets.forget(auth.Name{Org: org, User: user})
	p.directory.Publish(org, user)
}

// publishPolicy puts a policy in force as the store has it now. One that cannot be
// read is as good as none: its users are refused. While the store is down the one that is
// known stays: the store tells again when it is back.
func (p *program) publishPolicy(id string) {
	policy, err := p.store.Policy(id)
	if errors.Is(err, auth.ErrStoreDown) {
		return
	}
	if err != nil {
		p.log.Error("a policy cannot be read: users that have it are refused", "policy", id, "error", err)
		policy = nil
	}
	p.policies.SetStored(id, policy)
}

// listen opens a listener, so that a wrong address is known before anything is served.
func (p *program) listen(name, where, socketMode string, most int64, cert *certificate, f *fasthttp.Server) error {
	l := p.held.take(where)
	if l == nil {
		var err error
		if l, err = openListener(where, socketMode); err != nil {
			return fmt.Errorf("%s.listen = %q: %w", name, where, err)
		}
	}
	l = &listener{Listener: l, name: name, most: most, log: p.log}
	if cert != nil {
		l = tls.NewListener(l, &tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12})
	}
	p.servers = append(p.servers, &server{name: name, listener: l, fasthttp: f, done: make(chan struct{})})
	return nil
}

func openListener(where, socketMode string) (net.Listener, error) {
	a, err := config.ParseAddress(where)
	if err != nil {
		return nil, err
	}
	if a.Network != "unix" {
		return net.Listen(a.Network, a.Where)
	}
	mode, err := config.FileMode(socketMode)
	if err != nil {
		return nil, err
	}
	if err := removeStaleSocket(a.Where); err != nil {
		return nil, err
	}
	before := syscall.Umask(0o177) // nobody else, until the mode is set
	l, err := net.Listen(a.Network, a.Where)
	syscall.Umask(before)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(a.Where, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStaleSocket removes the socket of a process that is gone. One that somebody
// answers on is left alone.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("something that is no socket is there")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another process listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

func (p *program) serve(s *server) {
	defer close(s.done)
	p.log.Info("listening", "listener", s.name, "address", s.listener.Addr().String())
	if err := s.fasthttp.Serve(s.listener); err != nil {
		p.failed <- fmt.Errorf("%s listener: %w", s.name, err)
	}
}

// wait returns when the program is to stop, with an error where nobody asked for it.
// Until then it reloads the configuration when told to, or when the file changes.
func (p *program) wait(stop context.Context, hangup <-chan os.Signal) error {
	var changed <-chan struct{}
	if p.watcher != nil {
		changed = p.watcher.changed
	}
	for {
		select {
		case <-stop.Done():
			p.log.Info("stopping")
			return nil
		case err := <-p.failed:
			p.log.Error("stopping", "error", err)
			return err
		case <-hangup:
			p.reload()
		case <-changed:
			p.reload()
		}
	}
}

// stop ends what startProgram began, in reverse: no new connections, what is in flight is
// answered, unused quota is given back, the database closed.
func (p *program) stop() error {
	if p.watcher != nil {
		p.watcher.close()
	}
	p.mu.Lock()
	timeout := p.config.ShutdownTimeout
	p.mu.Unlock()
	deadline, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if p.admin != nil {
		p.admin.StopDownloads()
	}
	var problems []error
	if p.check != nil {
		p.check.StopWaiting()
	}
	for _, s := range p.servers {
		if err := s.stop(deadline); err != nil {
			problems = append(problems, fmt.Errorf("%s listener: %w", s.name, err))
		}
	}
	if p.stopReaper != nil {
		p.stopReaper()
	}
	if p.stopCensus != nil {
		p.stopCensus()
	}
	if p.upgrades != nil {
		p.upgrades.stop()
	}
	if p.spent != nil {
		if err := saveSpent(p.spentPath, p.spent); err != nil {
			problems = append(problems, fmt.Errorf("memory of used signatures: %w", err))
		}
	}
	if p.store != nil {
		problems = append(problems, p.closeStore(deadline))
	}
	problems = append(problems, p.stopObservers(deadline))
	return errors.Join(problems...)
}

// lastCommit is what the database gets to be closed in even where the listeners took all of
// shutdown_timeout.
const lastCommit = 2 * time.Second

// closeStore gives unused quota back and closes the database, unless the disk hangs until
// the deadline: then it is as after a crash.
func (p *program) closeStore(deadline context.Context) error {
	end, _ := deadline.Deadline()
	closed := make(chan error, 1)
	go func() {
		var settled error
		if p.directory != nil {
			settled = p.store.Settle(p.directory.Settle())
		}
		closed <- errors.Join(settled, p.store.Close())
	}()
	select {
	case err := <-closed:
		return err
	case <-time.After(max(time.Until(end), lastCommit)):
		return errors.New("the disk does not answer: the database was not closed within shutdown_timeout, and unused quota not given back")
	}
}

func (s *server) stop(deadline context.Context) error {
	err := s.fasthttp.ShutdownWithContext(deadline)
	s.listener.Close() // where it was never served
	return err
}

func (p *program) health() admin.Health {
	p.mu.Lock()
	defer p.mu.Unlock()
	return admin.Health{Store: p.store.Ready(), Damaged: p.store.Damaged(), Sealed: p.secrets.unreadable(), Loaded: p.loadedAt, Reload: p.rejected}
}
