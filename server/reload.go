package server

import (
	"crypto/tls"
	"fmt"
	"reflect"
	"strings"
	"time"

	"sidekey/admin"
	"sidekey/auth"
	"sidekey/auth/password"
	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/check"
	"sidekey/config"
)

// makeSettings compiles the settings of decisions from a configuration. It takes over from the
// settings before (nil = none), which were made from configBefore: the state of the APIs' limits
// always, the password checker and the failures if their configuration has not changed.
func (s *Server) makeSettings(c config.Config, before *auth.Settings, configBefore config.Config) (*auth.Settings, error) {
	settings := &auth.Settings{
		VerifiedTTL:      c.Passwords.VerifiedTTL,
		QuotaWait:        c.Limits.QuotaWait,
		AllowEmptyRights: c.Rights.AllowEmptyRights,
		Upgrade:          s.upgrades.start,
		SignatureSkew:    c.Check.HMACClockSkew,
		Signatures:       s.spent,
	}
	var previous *route.APIs
	if before != nil {
		previous = before.APIs
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

func checkConfigOf(c config.Config) check.Config {
	return check.Config{
		QuotaStatus:        c.Limits.QuotaExceededStatus,
		RateInHeaders:      c.Limits.Headers == "rate",
		StripAuthorization: c.Check.StripAuthorization,
		MaxWaiting:         c.Limits.MaxWaiting,
	}
}

func (s *Server) compiler(c config.Config) *auth.Compiler {
	return &auth.Compiler{
		Ledger:      s.store,
		Policies:    s.policies,
		MergeTags:   c.Rights.PolicyTags == "merge",
		MetaHeaders: c.Check.MetaHeaders,
		OpenSecret:  s.secrets.open,
	}
}

func (s *Server) rules() session.Rules {
	s.mu.Lock()
	defer s.mu.Unlock()
	settings := s.checker.Settings()
	return session.Rules{
		APIs:             settings.APIs,
		Policies:         s.policies,
		AllowEmptyRights: settings.AllowEmptyRights,
		MetaHeaders:      s.config.Check.MetaHeaders,
		MaxPassword:      settings.Passwords.MaxPassword(),
	}
}

// reload puts the configuration file in force as it is now. An invalid file changes only what
// /readyz reports.
func (s *Server) reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg, err := config.Load(s.path)
	var settings *auth.Settings
	var fixed []string
	if err == nil {
		fixed = needRestart(s.config, cfg)
		cfg.Admin = s.config.Admin // includes the organisation of APIs that name none
		settings, err = s.makeSettings(cfg, s.checker.Settings(), s.config)
	}
	var keys adminKeys
	if err == nil {
		keys, err = s.readAdminKeys()
	}
	var turnLog func()
	if err == nil {
		turnLog, err = s.decisions.Prepare(decisionLogOf(cfg))
	}
	s.rejected = err
	if err != nil {
		// If the decision log was moved away, a new one is begun nevertheless.
		if turnLog, err := s.decisions.Prepare(decisionLogOf(s.config)); err == nil {
			turnLog()
		}
		s.log.Error("the configuration was not reloaded; the previous one stays in force", "error", err)
		return err
	}
	if len(fixed) > 0 {
		s.log.Warn("changes that act only after a restart", "keys", strings.Join(fixed, ", "))
	}
	recompile := !reflect.DeepEqual(s.config.Check.MetaHeaders, cfg.Check.MetaHeaders) || s.config.Rights != cfg.Rights
	s.config, s.loadedAt = cfg, time.Now()
	turnLog()
	s.events.SetConfig(eventsOf(cfg))
	s.setDecoys(settings.Passwords)
	s.checker.SetSettings(settings)
	s.directory.SetBound(cfg.Limits.MaxActive, now, s.memory.IsShort)
	if s.admin != nil {
		s.admin.SetSecrets(keys.secrets)
	}
	if s.certificate != nil {
		s.certificate.Set(keys.pair)
	}
	s.check.SetConfig(checkConfigOf(cfg))
	s.policies.SetFile(cfg.PolicyList())
	s.store.RulesChanged()
	if recompile {
		s.directory.SetCompiler(s.compiler(cfg))
	}
	s.log.Info("reloaded the configuration", "file", s.path)
	return nil
}

// adminKeys are the contents of the admin listener's files that a reload reads again.
type adminKeys struct {
	secrets []string
	pair    *tls.Certificate // nil = no TLS
}

func (s *Server) readAdminKeys() (keys adminKeys, err error) {
	if keys.secrets, _, err = admin.LoadSecrets(s.config.SecretPath()); err != nil {
		return keys, fmt.Errorf("admin secret: %w", err)
	}
	if s.certificate != nil {
		keys.pair, err = readCertificate(s.config.Admin)
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
