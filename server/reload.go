package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"os"
	"reflect"
	"strings"
	"time"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/config"
)

// inForce is the configuration in force, for readers that need more of it than
// [auth.Settings]. It never changes: a reload replaces it.
type inForce struct {
	config   config.Config
	loadedAt time.Time
	rejected error // why the file as it is now is not in force; nil = it is
}

// makeSettings compiles the settings of decisions from a configuration. It takes over from the
// settings before (nil = none), which were made from configBefore: the state of the APIs' limits
// always, the rest if its configuration has not changed.
func (s *Server) makeSettings(c config.Config, before *auth.Settings, configBefore config.Config) (*auth.Settings, error) {
	settings := &auth.Settings{
		VerifiedTTL:      c.Passwords.VerifiedTTL,
		QuotaWait:        c.Limits.QuotaWait,
		AllowEmptyRights: c.Rights.AllowEmptyRights,
		Upgrade:          s.upgrades.start,
		SignatureSkew:    c.Check.HMACClockSkew,
		Signatures:       s.spent,
		MaxActive:        c.Limits.MaxActive,
		Replies:          repliesOf(c),
	}
	var previous *route.APIs
	if before == nil {
		settings.Compiler = s.makeCompiler(c, nil)
	} else {
		previous = before.APIs
		settings.Compiler = s.makeCompiler(c, before.Compiler)
	}
	var err error
	if settings.APIs, err = route.NewAPIs(c.APIList(), previous); err != nil {
		return nil, err
	}
	if before != nil && c.Bruteforce == configBefore.Bruteforce {
		settings.Failures = before.Failures
	} else {
		settings.Failures = password.NewFailures(c.Bruteforce.Failures())
	}
	if before != nil && c.Passwords == configBefore.Passwords {
		settings.Passwords = before.Passwords
		return settings, nil
	}
	if settings.Passwords, err = password.NewPasswords(c.Passwords.Maker(), c.Passwords.Concurrent(), c.Passwords.MaxWait); err != nil {
		return nil, err
	}
	settings.Passwords.PauseExactly()
	return settings, nil
}

func repliesOf(c config.Config) auth.Replies {
	return auth.Replies{
		QuotaStatus:        c.Limits.QuotaExceededStatus,
		RateInHeaders:      c.Limits.Headers == "rate",
		StripAuthorization: c.Check.StripAuthorization,
		MaxWaiting:         c.Limits.MaxWaiting,
	}
}

// makeCompiler returns the compiler of a configuration. That is before (nil = none) if accounts
// are made of the same: then they stay.
func (s *Server) makeCompiler(c config.Config, before *auth.Compiler) *auth.Compiler {
	made := &auth.Compiler{
		Ledger:      s.store,
		Policies:    s.stored,
		MergeTags:   c.Rights.PolicyTags == "merge",
		MetaHeaders: c.Check.MetaHeaders,
		OpenSecret:  s.secrets.open,
	}
	if before != nil {
		made.Policies = before.Policies
	}
	made.Policies = made.Policies.WithFile(c.PolicyList())
	if before != nil && made.Policies == before.Policies && made.MergeTags == before.MergeTags && maps.Equal(made.MetaHeaders, before.MetaHeaders) {
		return before
	}
	return made
}

// policies returns the policies in force.
func (s *Server) policies() *session.Policies { return s.checker.Settings().Compiler.Policies }

// rules returns the rules that an edit is checked against. It waits for nothing.
func (s *Server) rules() session.Rules {
	settings := s.checker.Settings()
	return session.Rules{
		APIs:             settings.APIs,
		Policies:         settings.Compiler.Policies,
		AllowEmptyRights: settings.AllowEmptyRights,
		MetaHeaders:      settings.Compiler.MetaHeaders,
		MaxPassword:      settings.Passwords.MaxPassword(),
	}
}

// reload puts the configuration file in force as it is now. An invalid file changes only what
// /readyz reports.
func (s *Server) reload() error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	return s.reloadLocked()
}

// reloadChanged is reload for the watcher of the file: it does nothing if the last reload has
// read the text that the file has now, because a signal came before the watcher.
func (s *Server) reloadChanged() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if text, err := os.ReadFile(s.path); err == nil && s.lastRead != nil && bytes.Equal(text, s.lastRead) {
		return
	}
	_ = s.reloadLocked() // has logged its error
}

func (s *Server) reloadLocked() error {
	// If the file changes after this, the watcher makes one reload too many, but none is missing.
	text, _ := os.ReadFile(s.path)
	unchanged := s.lastRead != nil && bytes.Equal(text, s.lastRead)
	s.lastRead = text
	before := s.inForce.Load()
	cfg, err := config.Load(s.path)
	var settings *auth.Settings
	var fixed []string
	if err == nil {
		fixed = needRestart(before.config, cfg)
		cfg.Admin = before.config.Admin // includes the organisation of APIs that name none
		settings, err = s.makeSettings(cfg, s.checker.Settings(), before.config)
	}
	var keys adminKeys
	if err == nil {
		keys, err = readAdminKeys(cfg, s.certificate != nil)
	}
	var turnLog func()
	if err == nil {
		turnLog, err = s.decisions.Prepare(decisionLogOf(cfg))
	}
	if err != nil {
		s.inForce.Store(&inForce{before.config, before.loadedAt, err})
		// If the decision log was moved away, a new one is begun nevertheless.
		if turnLog, err := s.decisions.Prepare(decisionLogOf(before.config)); err == nil {
			turnLog()
		}
		s.log.Error("the configuration was not reloaded; the previous one stays in force", "error", err)
		return err
	}
	if len(fixed) > 0 {
		s.log.Warn("changes that act only after a restart", "keys", strings.Join(fixed, ", "))
	}
	// The parts that observe and administer come first. Decisions change with one store.
	turnLog()
	s.events.SetConfig(eventsOf(cfg))
	if s.admin != nil {
		s.admin.SetSecrets(keys.secrets)
	}
	if s.certificate != nil {
		s.certificate.Set(keys.pair)
	}
	s.setDecoys(settings.Passwords)
	s.checker.SetSettings(settings)
	s.store.RulesChanged()
	s.inForce.Store(&inForce{config: cfg, loadedAt: time.Now()})
	if unchanged { // a signal after the watcher: the secret and the certificate may be others
		s.log.Info("reloaded the configuration, which has not changed", "file", s.path)
		return nil
	}
	s.log.Info("reloaded the configuration", "file", s.path)
	return nil
}

// adminKeys are the contents of the admin listener's files that a reload reads again.
type adminKeys struct {
	secrets []string
	pair    *tls.Certificate // nil = no TLS
}

func readAdminKeys(c config.Config, tls bool) (keys adminKeys, err error) {
	if keys.secrets, _, err = admin.LoadSecrets(c.SecretPath()); err != nil {
		return keys, fmt.Errorf("admin secret: %w", err)
	}
	if tls {
		keys.pair, err = readCertificate(c.Admin)
	}
	return keys, err
}

// readCertificate reads the certificate and the key that the configuration names.
func readCertificate(c config.AdminConfig) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("admin.tls_cert = %q, admin.tls_key = %q: %w", c.TLSCert, c.TLSKey, err)
	}
	return &pair, nil
}

// needRestart names the keys that differ between two configurations and are read only at the
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
