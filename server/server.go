// Package server is a running sidekey: Open, Start, Wait, Stop. It connects the packages that
// decide, store, listen and observe, reloads the configuration, and runs the background jobs.
//
// Parts start in the order in which they need each other, and stop in reverse: each adds its end
// to one list (stops) when it has begun. So an error in the middle of a start ends exactly what
// has begun.
package server

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
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/session"
	"sidekey/check"
	checkhttp "sidekey/check/http"
	"sidekey/config"
	"sidekey/decisionlog"
	"sidekey/events"
	"sidekey/internal/listen"
	"sidekey/internal/memlimit"
	"sidekey/internal/vault"
	"sidekey/internal/version"
	"sidekey/limiter"
	"sidekey/store"
	"sidekey/store/bolt"
)

// Server is a running sidekey. [Start] makes one; it must be stopped.
type Server struct {
	path string // of the configuration file; "" = built-in defaults
	log  *slog.Logger

	reloading sync.Mutex // held by writers of the configuration; readers never wait for it
	lastRead  []byte     // the file as the last reload has read it; nil = there was none
	inForce   atomic.Pointer[inForce]

	bolt      *bolt.Store // store, for what is done with its file
	store     store.Store
	key       *vault.Key // seals the secrets of signed requests
	secrets   *secrets
	spent     *httpsig.Spent
	stored    *session.Policies // those of the store; see policies for those in force
	directory *auth.Directory
	checker   *auth.Checker
	check     *check.Handler
	admin     *admin.Handler // nil until it exists

	adminSecrets   []string
	certificate    *listen.Certificate // of the admin listener; nil = no TLS
	inherited      listen.Inherited    // sockets that no listener has taken yet
	checkL, adminL net.Listener
	failed         chan error      // receives the error of a listener that ended by itself
	changed        <-chan struct{} // receives when the configuration file changes; nil = not watched

	decisions *decisionlog.Log
	events    *events.Queue
	monitor   *events.Monitor

	memory   memlimit.Watch
	upgrades *upgrades
	counted  atomic.Pointer[password.Census]

	stops stops
}

// open opens the database and builds everything that decides, without a listener. The caller
// must stop the returned Server, also if there is an error.
func open(path string, cfg config.Config, log *slog.Logger) (s *Server, err error) {
	s = &Server{path: path, log: log, failed: make(chan error, 2)}
	s.inForce.Store(&inForce{config: cfg, loadedAt: time.Now()})
	// The database comes first because opening it creates data_dir durably.
	if s.bolt, err = openVerified(databasePath(cfg), log); err != nil {
		return s, err
	}
	s.store = s.bolt
	// It is closed before the observers stop: a webhook that does not answer uses all the time
	// that is left, and unused quota must be given back before.
	observing := s.startObservers(cfg)
	s.stops.addPatient("database", s.closeStore)
	if observing != nil {
		return s, observing
	}
	key, created, err := vault.Load(cfg.KeyPath())
	if err != nil {
		return s, fmt.Errorf("key for the secrets of signed requests: %w", err)
	}
	if created {
		log.Info("generated the key that seals the secrets of signed requests: include it in backups", "file", cfg.KeyPath())
	}
	s.key, s.secrets = key, newSecrets(key, log)
	if err := s.startSpent(cfg, created); err != nil {
		return s, err
	}
	s.upgrades = newUpgrades(s)
	s.stops.add("replacing outdated hashes", func(context.Context) error { s.upgrades.stop(); return nil })
	if err := s.loadPolicies(); err != nil {
		return s, err
	}
	settings, err := s.makeSettings(cfg, nil, config.Config{})
	if err != nil {
		return s, err
	}
	s.directory = auth.NewDirectory(s.store, settings.Compiler)
	s.directory.Bound(now, s.memory.IsShort)
	s.store.Notify(store.Notify{User: s.publishUser, Policy: s.publishPolicy})
	s.checker = auth.NewChecker(s.directory, settings, now)
	s.check = check.NewHandler(s.checker, log)
	s.check.SetObservers(s.decisions, s.monitor)
	return s, nil
}

func now() limiter.Now { return limiter.At(time.Now()) }

// adminHandler serves the admin API to callers with one of the secrets.
func (s *Server) adminHandler(secrets []string) *admin.Handler {
	cfg := s.inForce.Load().config
	return admin.NewHandler(admin.Config{
		Users:        s.store,
		PolicyStore:  s.store,
		Policies:     s.policies,
		Directory:    s.directory,
		Settings:     s.checker.Settings,
		Rules:        s.rules,
		AdminSecrets: secrets,
		WrongSecret:  200 * time.Millisecond,
		TLS:          cfg.Admin.TLS(),
		Secrets:      s.key,
		Hosts:        cfg.Admin.Hosts,
		Org:          cfg.Admin.OrgID,
		Reload:       s.reload,
		Health:       s.health,
		Database:     s.database(),
		Metrics:      s.writeMetrics,
		Decisions:    s.decisionTotals,
		Explain:      func(q auth.Question) (auth.Explanation, error) { return checkhttp.Explain(s.check, q) },
		KeyEvents:    s.monitor,
		Version:      version.String(),
		Log:          s.log,
	})
}

// Start starts a sidekey with the configuration cfg, which was read from the file at path
// (path "": it is built in and never reloaded). If it returns an error, nothing is left running.
func Start(path string, cfg config.Config, log *slog.Logger) (_ *Server, err error) {
	memlimit.Limit(log)
	memlimit.BoundGarbage()
	for _, warning := range cfg.Warnings() {
		log.Warn(warning)
	}
	inherited, err := listen.TakeInherited()
	if err != nil {
		return nil, err
	}
	s, err := open(path, cfg, log)
	defer func() {
		if err != nil {
			s.Stop()
			inherited.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	s.inherited = inherited
	// The background jobs stop after the listeners: one that waits for a disk that hangs must not
	// take the time that the requests in flight have.
	reaper := session.Reaper{Users: s.store, Policies: s.policies, Every: cfg.Lifecycle.Every, PerSecond: cfg.Lifecycle.RemovalsPerSecond, Log: log}
	s.runInBackground("removing expired records", reaper.Run)
	s.runInBackground("counting password hashes", s.runCensus)
	if err := s.startListeners(cfg); err != nil {
		return nil, err
	}
	if path != "" {
		s.watchFile()
	}
	return s, nil
}

// runInBackground runs f until the Server stops: then f's context ends, and f must return.
func (s *Server) runInBackground(name string, f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { f(ctx) })
	s.stops.add(name, func(context.Context) error {
		cancel()
		group.Wait()
		return nil
	})
}

// startListeners opens both listeners and serves them. Both are open before either is served, so
// that an address that cannot be used is an error of the start.
func (s *Server) startListeners(cfg config.Config) (err error) {
	var created bool
	if s.adminSecrets, created, err = admin.LoadSecrets(cfg.SecretPath()); err != nil {
		return fmt.Errorf("admin secret: %w", err)
	}
	if created {
		s.log.Info("generated the admin secret", "file", cfg.SecretPath())
	}
	if cfg.Admin.TLS() {
		pair, err := readCertificate(cfg.Admin)
		if err != nil {
			return err
		}
		s.certificate = new(listen.Certificate)
		s.certificate.Set(pair)
	}
	s.admin = s.adminHandler(s.adminSecrets)
	if s.checkL, err = s.listen("check", cfg.Check.Listen, cfg.Check.SocketMode, 0); err != nil {
		return err
	}
	if s.adminL, err = s.listen("admin", cfg.Admin.Listen, cfg.Admin.SocketMode, admin.MaxConnections); err != nil {
		return err
	}
	if s.certificate != nil {
		s.adminL = tls.NewListener(s.adminL, &tls.Config{GetCertificate: s.certificate.Get, MinVersion: tls.VersionTLS12})
	}
	if err := s.inherited.CheckTaken(); err != nil {
		return err
	}
	// The admin listener stops last: it tells how the other one drains.
	s.serve("admin", s.adminL, admin.NewServer(s.admin))
	s.serve("check", s.checkL, checkhttp.NewServer(s.check, checkhttp.ServerConfig{
		ReadTimeout:    cfg.Check.ReadTimeout,
		WriteTimeout:   cfg.Check.WriteTimeout,
		IdleTimeout:    cfg.Check.IdleTimeout,
		MaxConnections: listen.MaxConnections(cfg.Check.MaxConnections, s.log),
		MaxHeaderBytes: cfg.Check.MaxHeaderBytes,
	}, s.log))
	s.stops.add("requests that wait", func(context.Context) error {
		s.check.StopWaiting()
		s.admin.StopDownloads()
		return nil
	})
	return nil
}

// listen opens the listener of a configured address, or takes an inherited one.
func (s *Server) listen(name, where, socketMode string, maxOpen int64) (net.Listener, error) {
	l, err := s.openListener(where, socketMode)
	if err != nil {
		return nil, fmt.Errorf("%s.listen = %q: %w", name, where, err)
	}
	s.stops.add(name+" address", func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) { // the server has closed it
			return err
		}
		return nil
	})
	return listen.Bound(l, name, maxOpen, s.log), nil
}

func (s *Server) openListener(where, socketMode string) (net.Listener, error) {
	address, err := config.ParseAddress(where)
	if err != nil {
		return nil, err
	}
	if l := s.inherited.Take(address.Network, address.Where); l != nil {
		return l, nil
	}
	var mode fs.FileMode
	if address.Network == "unix" {
		if mode, err = config.FileMode(socketMode); err != nil {
			return nil, err
		}
	}
	return listen.Open(address.Network, address.Where, mode)
}

// serve serves a listener until the Server stops: then it accepts no more connections and answers
// the requests in flight.
func (s *Server) serve(name string, l net.Listener, f *fasthttp.Server) {
	go func() {
		s.log.Info("listening", "listener", name, "address", l.Addr().String())
		if err := f.Serve(l); err != nil {
			s.failed <- fmt.Errorf("%s listener: %w", name, err)
		}
	}()
	s.stops.add(name+" listener", f.ShutdownWithContext)
}

// CheckAddr returns the address of the check listener.
func (s *Server) CheckAddr() string { return s.checkL.Addr().String() }

// AdminAddr returns the address of the admin listener.
func (s *Server) AdminAddr() string { return s.adminL.Addr().String() }

// AdminSecret returns a secret that the admin listener accepts.
func (s *Server) AdminSecret() string { return s.adminSecrets[0] }

// Wait reloads the configuration whenever hangup receives or the file changes. It returns nil
// when stop ends, or the error of a listener that failed.
func (s *Server) Wait(stop context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-stop.Done():
			s.log.Info("stopping")
			return nil
		case err := <-s.failed:
			s.log.Error("stopping", "error", err)
			return err
		case <-hangup:
			_ = s.reload() // has logged its error
		case <-s.changed:
			s.reloadChanged()
		}
	}
}

// Stop stops everything in reverse order: the listeners accept no more connections and answer
// what is in flight, unused quota is given back, the database is closed. It takes at most
// shutdown_timeout, and maxLate more if the disk is slow or hangs; its error names the parts that
// did not end.
func (s *Server) Stop() error {
	return s.stops.run(time.Now().Add(s.inForce.Load().config.ShutdownTimeout))
}

// closeStore gives unused quota back and closes the database. If the disk hangs until ctx ends,
// closeStore gives up: the next start finds the database as after a crash.
func (s *Server) closeStore(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() {
		var gaveBack error
		if s.directory != nil {
			gaveBack = s.store.GiveBack(s.directory.Settle())
		}
		closed <- errors.Join(gaveBack, s.store.Close())
	}()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return errors.New("the disk does not respond: did not close it within shutdown_timeout, and did not give unused quota back")
	}
}

func (s *Server) health() admin.Health {
	loaded := s.inForce.Load()
	return admin.Health{Store: s.store.Ready(), Damaged: s.store.Damaged(), Sealed: s.secrets.unreadable(), Loaded: loaded.loadedAt, Reload: loaded.rejected}
}
