package server

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/check"
	"sidekey/config"
)

// makeSettings compiles what decides out of a configuration. Of the settings before
// (nil: none), which were made of configBefore, it takes over the state of APIs' limits,
// and the password checker and the failures where nothing of their configuration has
// changed.
func (p *Server) makeSettings(c config.Config, before *auth.Settings, configBefore config.Config) (*auth.Settings, error) {
	s := &auth.Settings{
		VerifiedTTL:      c.Passwords.VerifiedTTL,
		QuotaWait:        c.Limits.QuotaWait,
		AllowEmptyRights: c.Rights.AllowEmptyRights,
		Upgrade:          p.upgrades.start,
		SignatureSkew:    c.Check.HMACClockSkew,
		Signatures:       p.spent,
	}
	var previous *auth.APIs
	if before != nil {
		previous = before.APIs
	}
	var err error
	if s.APIs, err = auth.NewAPIs(c.APIList(), previous); err != nil {
		return nil, err
	}
	if before != nil && c.Bruteforce == configBefore.Bruteforce {
		s.Failures = before.Failures
	} else {
		s.Failures = auth.NewFailures(c.Bruteforce.Failures())
	}
	if before != nil && c.Passwords == configBefore.Passwords {
		s.Passwords = before.Passwords
		return s, nil
	}
	if s.Passwords, err = auth.NewPasswords(c.Passwords.Maker(), c.Passwords.Concurrent(), c.Passwords.MaxWait); err != nil {
		return nil, err
	}
	s.Passwords.PauseExactly()
	return s, nil
}

func checkConfigOf(c config.Config) check.Config {
	return check.Config{
		QuotaStatus:        c.Limits.QuotaExceededStatus,
		RateInHeaders:      c.Limits.Headers == "rate",
		StripAuthorization: c.Check.StripAuthorization,
		MaxWaiting:         c.Limits.MaxWaiting,
	}
}

func (p *Server) compiler(c config.Config) *auth.Compiler {
	return &auth.Compiler{
		Ledger:      p.store,
		Policies:    p.policies,
		MergeTags:   c.Rights.PolicyTags == "merge",
		MetaHeaders: c.Check.MetaHeaders,
		OpenSecret:  p.secrets.open,
	}
}

func (p *Server) rules() auth.Rules {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.checker.Settings()
	return auth.Rules{
		APIs:             s.APIs,
		Policies:         p.policies,
		AllowEmptyRights: s.AllowEmptyRights,
		MetaHeaders:      p.config.Check.MetaHeaders,
		MaxPassword:      s.Passwords.MaxPassword(),
	}
}

// reload puts the configuration file in force as it stands now. A bad one changes
// nothing but what readyz says.
func (p *Server) reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cfg, err := config.Load(p.path)
	var settings *auth.Settings
	var fixed []string
	if err == nil {
		fixed = needRestart(p.config, cfg)
		cfg.Admin = p.config.Admin // the organisation of APIs that name none is among them
		settings, err = p.makeSettings(cfg, p.checker.Settings(), p.config)
	}
	var keys adminKeys
	if err == nil {
		keys, err = p.readAdminKeys()
	}
	var turnLog func()
	if err == nil {
		turnLog, err = p.decisions.Prepare(decisionLogOf(cfg))
	}
	p.rejected = err
	if err != nil {
		// A decision log that was moved away is begun anew all the same.
		if turnLog, err := p.decisions.Prepare(decisionLogOf(p.config)); err == nil {
			turnLog()
		}
		p.log.Error("the configuration was not reloaded; the one before stays in force", "error", err)
		return err
	}
	if len(fixed) > 0 {
		p.log.Warn("changes that act only after a restart", "keys", strings.Join(fixed, ", "))
	}
	recompile := !reflect.DeepEqual(p.config.Check.MetaHeaders, cfg.Check.MetaHeaders) || p.config.Rights != cfg.Rights
	p.config, p.loadedAt = cfg, time.Now()
	turnLog()
	p.events.SetConfig(eventsOf(cfg))
	p.setDecoys(settings.Passwords)
	p.checker.SetSettings(settings)
	p.directory.SetBound(cfg.Limits.MaxActive, now, p.memory.IsShort)
	if p.admin != nil {
		p.admin.SetSecrets(keys.secrets)
	}
	if p.certificate != nil {
		p.certificate.Set(keys.pair)
	}
	p.check.SetConfig(checkConfigOf(cfg))
	p.policies.SetFile(cfg.PolicyList())
	p.store.RulesChanged()
	if recompile {
		p.directory.SetCompiler(p.compiler(cfg))
	}
	p.log.Info("reloaded the configuration", "file", p.path)
	return nil
}

// adminKeys are the files of the admin listener that a reload reads again.
type adminKeys struct {
	secrets []string
	pair    *tls.Certificate // nil: no TLS
}

func (p *Server) readAdminKeys() (keys adminKeys, err error) {
	if keys.secrets, _, err = admin.LoadSecrets(p.config.SecretPath()); err != nil {
		return keys, fmt.Errorf("admin secret: %w", err)
	}
	if p.certificate != nil {
		keys.pair, err = readCertificate(p.config.Admin)
	}
	return keys, err
}

// readCertificate reads the files that the configuration names.
func readCertificate(c config.AdminConfig) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("admin.tls_cert = %q, admin.tls_key = %q: %w", c.TLSCert, c.TLSKey, err)
	}
	return &pair, nil
}

// needRestart names what differs between two configurations and is read only at
// start.
func needRestart(before, after config.Config) (keys []string) {
	for _, k := range []struct {
		name    string
		differs bool
	}{
		{"data_dir", before.DataDir != after.DataDir},
		{"log.level", before.Log.Level != after.Log.Level},
		{"log.format", before.Log.Format != after.Log.Format},
		{"events.queue", before.Events.Queue != after.Events.Queue},
		{"check.socket_mode", before.Check.SocketMode != after.Check.SocketMode},
		{"check.listen", before.Check.Listen != after.Check.Listen},
		{"check.read_timeout", before.Check.ReadTimeout != after.Check.ReadTimeout},
		{"check.write_timeout", before.Check.WriteTimeout != after.Check.WriteTimeout},
		{"check.idle_timeout", before.Check.IdleTimeout != after.Check.IdleTimeout},
		{"check.max_connections", before.Check.MaxConnections != after.Check.MaxConnections},
		{"check.max_header_bytes", before.Check.MaxHeaderBytes != after.Check.MaxHeaderBytes},
		{"check.hmac_remembered", before.Check.HMACRemembered != after.Check.HMACRemembered},
		{"lifecycle", before.Lifecycle != after.Lifecycle},
		{"admin", !reflect.DeepEqual(before.Admin, after.Admin)},
	} {
		if k.differs {
			keys = append(keys, k.name)
		}
	}
	return keys
}

// watcher tells when a file has changed.
type watcher struct {
	notify  *fsnotify.Watcher
	changed chan struct{} // holds one token
}

// settleTime lets an editor finish: many write a file in several steps.
const settleTime = 200 * time.Millisecond

// watch watches the folder of a file, because editors and Kubernetes put a new file
// in the place of the old one.
func watch(path string) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := notify.Add(filepath.Dir(path)); err != nil {
		notify.Close()
		return nil, fmt.Errorf("watch %s: %w", filepath.Dir(path), err)
	}
	w := &watcher{notify: notify, changed: make(chan struct{}, 1)}
	go w.run(path)
	return w, nil
}

func (w *watcher) run(path string) {
	last, _ := os.ReadFile(path)
	timer := time.NewTimer(0)
	<-timer.C
	waiting := false
	for {
		select {
		case _, open := <-w.notify.Events:
			if !open {
				return
			}
			// Not again while it runs: in a folder where something is always going on, it
			// would never end.
			if !waiting {
				waiting = true
				timer.Reset(settleTime)
			}
		case _, open := <-w.notify.Errors:
			if !open {
				return
			}
		case <-timer.C:
			waiting = false
			// Most events in the folder are about other files, the database's among them.
			text, err := os.ReadFile(path)
			if err == nil && string(text) == string(last) {
				continue
			}
			last = text
			select {
			case w.changed <- struct{}{}:
			default:
			}
		}
	}
}

func (w *watcher) close() { w.notify.Close() }
