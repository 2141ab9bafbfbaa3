package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"

	"sidekey/auth"
	"sidekey/check"
)

// makeSettings compiles what decides out of a configuration. State of the APIs'
// limits is taken over from before; the password checker is kept where its
// configuration is the same, and with it the logins under way.
func makeSettings(c Config, before *auth.Settings) (*auth.Settings, error) {
	var previous *auth.APIs
	if before != nil {
		previous = before.APIs
	}
	apis, err := auth.NewAPIs(c.apiList(), previous)
	if err != nil {
		return nil, err
	}
	passwords, err := auth.NewPasswords(auth.Bcrypt(c.Passwords.BcryptCost), c.Passwords.Concurrent(), c.Passwords.MaxWait)
	if err != nil {
		return nil, err
	}
	return &auth.Settings{
		APIs:        apis,
		Passwords:   passwords,
		VerifiedTTL: c.Passwords.VerifiedTTL,
		QuotaWait:   c.Limits.QuotaWait,
	}, nil
}

func checkConfigOf(c Config) check.Config {
	return check.Config{
		QuotaStatus:        c.Limits.QuotaExceededStatus,
		RateInHeaders:      c.Limits.Headers == "rate",
		StripAuthorization: c.Check.StripAuthorization,
	}
}

func (p *program) compiler(c Config) *auth.Compiler {
	return &auth.Compiler{Ledger: p.store, MetaHeaders: c.Check.MetaHeaders}
}

func (p *program) rules() auth.Rules {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.checker.Settings()
	return auth.Rules{
		APIs:             s.APIs,
		AllowEmptyRights: p.config.Rights.AllowEmptyRights,
		MetaHeaders:      p.config.Check.MetaHeaders,
		MaxPassword:      s.Passwords.MaxPassword(),
	}
}

// reload puts the configuration file in force as it stands now. A bad one changes
// nothing but what readyz says.
func (p *program) reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	config, err := LoadConfig(p.path)
	var settings *auth.Settings
	if err == nil {
		settings, err = makeSettings(config, p.checker.Settings())
	}
	p.rejected = err
	if err != nil {
		p.log.Error("the configuration was not reloaded; the one before stays in force", "error", err)
		return err
	}
	if fixed := needRestart(p.config, config); len(fixed) > 0 {
		p.log.Warn("changes that act only after a restart", "keys", strings.Join(fixed, ", "))
	}
	if reflect.DeepEqual(p.config.Passwords, config.Passwords) {
		settings.Passwords = p.checker.Settings().Passwords
	}
	recompile := !reflect.DeepEqual(p.config.Check.MetaHeaders, config.Check.MetaHeaders)
	p.config, p.loadedAt = config, time.Now()
	p.checker.SetSettings(settings)
	p.check.SetConfig(checkConfigOf(config))
	if recompile {
		p.directory.SetCompiler(p.compiler(config))
	}
	p.log.Info("reloaded the configuration", "file", p.path)
	return nil
}

// needRestart names what differs between two configurations and is read only at
// start.
func needRestart(before, after Config) (keys []string) {
	for _, k := range []struct {
		name    string
		differs bool
	}{
		{"data_dir", before.DataDir != after.DataDir},
		{"log", before.Log != after.Log},
		{"check.listen", before.Check.Listen != after.Check.Listen},
		{"check.read_timeout", before.Check.ReadTimeout != after.Check.ReadTimeout},
		{"check.write_timeout", before.Check.WriteTimeout != after.Check.WriteTimeout},
		{"check.idle_timeout", before.Check.IdleTimeout != after.Check.IdleTimeout},
		{"check.max_connections", before.Check.MaxConnections != after.Check.MaxConnections},
		{"check.max_header_bytes", before.Check.MaxHeaderBytes != after.Check.MaxHeaderBytes},
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
	for {
		select {
		case _, open := <-w.notify.Events:
			if !open {
				return
			}
			timer.Reset(settleTime)
		case _, open := <-w.notify.Errors:
			if !open {
				return
			}
		case <-timer.C:
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
