// Package config loads sidecar.toml.
//
// [Load] reports all problems of a file at once, each with its key, its value and what would be right.
// Start, reload and check-config use the same rules, those of [Config.Validate]. The commented
// sidecar.toml of the repository is the manual: it has every key with its default, and
// docs/configuration.md is generated from it.
//
// We decode the tables of the TOML library ourselves, by reflection. The library's own decoder stops at
// the first wrong type, ignores the case of keys, and reads numbers as durations. That costs decode.go.
package config

import (
	"cmp"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"runtime"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/route"
)

// Config is a whole configuration, with the names of sidecar.toml. That file explains every key; the
// comments here only add what callers must know.
type Config struct {
	DataDir         string        `toml:"data_dir"`
	ShutdownTimeout time.Duration `toml:"shutdown_timeout"`

	Log       LogConfig      `toml:"log"`
	Events    EventsConfig   `toml:"events"`
	Check     CheckConfig    `toml:"check"`
	Admin     AdminConfig    `toml:"admin"`
	Passwords PasswordConfig `toml:"passwords"`
	Limits    LimitConfig    `toml:"limits"`

	Bruteforce BruteforceConfig `toml:"bruteforce"`

	Rights    RightsConfig     `toml:"rights"`
	Lifecycle LifecycleConfig  `toml:"lifecycle"`
	APIs      []API            `toml:"apis"`     // as written; callers use [Config.APIList]
	Policies  []map[string]any `toml:"policies"` // as written; callers use [Config.PolicyList]
}

// LogConfig is the configuration of the logs: Level and Format are for the program's own messages, all
// other members for the decision log.
type LogConfig struct {
	Level  string `toml:"level"`  // a key of logLevels
	Format string `toml:"format"` // "text" or "json"

	Decisions    string  `toml:"decisions"` // "none", "refused" or "all"
	File         string  `toml:"file"`      // "" = stdout
	Sample       float64 `toml:"sample"`    // share of the selected decisions that is written, 0 to 1
	UnknownUsers bool    `toml:"unknown_users"`
}

// EventsConfig is the configuration of the webhook, which is called for events about users.
type EventsConfig struct {
	WebhookURL      string        `toml:"webhook_url"` // may contain a secret; "" = no webhook
	WebhookTimeout  time.Duration `toml:"webhook_timeout"`
	WebhookAttempts int           `toml:"webhook_attempts"`
	Queue           int           `toml:"queue"` // maximum number of waiting events
}

// CheckConfig is the configuration of the listener that proxies ask.
type CheckConfig struct {
	Listen             string            `toml:"listen"`      // see [ParseAddress]
	SocketMode         string            `toml:"socket_mode"` // see [FileMode]
	Realm              string            `toml:"realm"`
	StripAuthorization bool              `toml:"strip_authorization"`
	MetaHeaders        map[string]string `toml:"meta_headers"` // header names by the name in meta_data

	ReadTimeout    time.Duration `toml:"read_timeout"`
	WriteTimeout   time.Duration `toml:"write_timeout"`
	IdleTimeout    time.Duration `toml:"idle_timeout"`
	MaxConnections int           `toml:"max_connections"`
	MaxHeaderBytes int           `toml:"max_header_bytes"`

	HMACClockSkew  time.Duration `toml:"hmac_clock_skew"`
	HMACRemembered int           `toml:"hmac_remembered"` // signatures
}

// AdminConfig is the configuration of the listener for operators and their tools.
type AdminConfig struct {
	Listen      string   `toml:"listen"`      // see [ParseAddress]
	SecretFile  string   `toml:"secret_file"` // "": see [Config.SecretPath]
	OrgID       string   `toml:"org_id"`
	Hosts       []string `toml:"hosts"` // besides the loopback names, in lower case
	AllowRemote bool     `toml:"allow_remote"`
	TLSCert     string   `toml:"tls_cert"` // both or neither
	TLSKey      string   `toml:"tls_key"`
	SocketMode  string   `toml:"socket_mode"` // see [FileMode]
}

// PasswordConfig is the configuration of password hashes.
type PasswordConfig struct {
	Hash          string        `toml:"hash"`
	BcryptCost    int           `toml:"bcrypt_cost"`
	VerifiedTTL   time.Duration `toml:"verified_ttl"`   // 0: verified passwords are not remembered
	MaxConcurrent int           `toml:"max_concurrent"` // 0: see [PasswordConfig.Concurrent]
	MaxWait       time.Duration `toml:"max_wait"`       // 0: a login never waits
}

// BruteforceConfig is the configuration of the delays after failed logins.
type BruteforceConfig struct {
	Enabled         bool          `toml:"enabled"`
	UserFailures    int           `toml:"user_failures"`
	AddressFailures int           `toml:"address_failures"`
	Delay           time.Duration `toml:"delay"`
	MaxDelay        time.Duration `toml:"max_delay"`
	ForgetAfter     time.Duration `toml:"forget_after"`
	MaxTracked      int           `toml:"max_tracked"`
}

// Failures returns the configured limits. If the protection is switched off, failures are still
// counted, but cause no delay.
func (b BruteforceConfig) Failures() password.FailureLimits {
	l := password.FailureLimits{
		User:     b.UserFailures,
		Address:  b.AddressFailures,
		Delay:    b.Delay,
		MaxDelay: b.MaxDelay,
		Forget:   b.ForgetAfter,
		Tracked:  b.MaxTracked,
	}
	if !b.Enabled {
		l.User, l.Address = math.MaxInt, math.MaxInt
	}
	return l
}

// LimitConfig is the configuration of rates and quotas in general.
type LimitConfig struct {
	QuotaExceededStatus int           `toml:"quota_exceeded_status"`
	Headers             string        `toml:"headers"` // "quota" or "rate"
	QuotaWait           time.Duration `toml:"quota_wait"`
	MaxWaiting          int           `toml:"max_waiting"`
	MaxActive           int           `toml:"max_active"`
}

// LifecycleConfig is the configuration of the removal of expired sessions.
type LifecycleConfig struct {
	Every             time.Duration `toml:"every"`
	RemovalsPerSecond int           `toml:"removals_per_second"`
}

// RightsConfig is the configuration of access rights and policies.
type RightsConfig struct {
	// AllowEmptyRights lets a session without access_rights use all APIs of its org.
	AllowEmptyRights bool `toml:"allow_empty_rights"`
	// PolicyTags is "override" (the tags of policies replace those of the session) or "merge".
	PolicyTags string `toml:"policy_tags"`
}

// API is one [[apis]] entry. [Config.APIList] replaces an empty name, org or realm.
type API struct {
	ID         string   `toml:"id"`
	Name       string   `toml:"name"`
	OrgID      string   `toml:"org_id"`
	Hosts      []string `toml:"hosts"`
	ListenPath string   `toml:"listen_path"`

	Versions       []string `toml:"versions"`
	VersionHeader  string   `toml:"version_header"`
	DefaultVersion string   `toml:"default_version"`

	Realm  string `toml:"realm"`
	Active bool   `toml:"active"`

	Rate             float64 `toml:"rate"`
	Per              float64 `toml:"per"` // seconds
	DisableRateLimit bool    `toml:"disable_rate_limit"`
	DisableQuota     bool    `toml:"disable_quota"`
	Shadow           bool    `toml:"shadow"`

	HMAC bool `toml:"hmac"`
}

// Default returns the configuration of an empty file.
func Default() Config {
	return Config{
		DataDir:         "data",
		ShutdownTimeout: 5 * time.Second,
		Log:             LogConfig{Level: "info", Format: "text", Decisions: "none", Sample: 1},
		Events:          EventsConfig{WebhookTimeout: 5 * time.Second, WebhookAttempts: 5, Queue: 1000},
		Check: CheckConfig{
			Listen:             "127.0.0.1:9191",
			SocketMode:         "0660",
			Realm:              "sidekey",
			StripAuthorization: true,
			MetaHeaders:        map[string]string{},
			ReadTimeout:        5 * time.Second,
			WriteTimeout:       5 * time.Second,
			IdleTimeout:        2 * time.Minute,
			MaxConnections:     100_000,
			MaxHeaderBytes:     64 << 10,
			HMACClockSkew:      5 * time.Minute,
			HMACRemembered:     1_000_000,
		},
		Admin: AdminConfig{
			Listen:     "127.0.0.1:9192",
			OrgID:      "default",
			Hosts:      []string{},
			SocketMode: "0600",
		},
		Passwords: PasswordConfig{
			Hash:        "bcrypt",
			BcryptCost:  10,
			VerifiedTTL: 5 * time.Minute,
			MaxWait:     500 * time.Millisecond,
		},
		Bruteforce: BruteforceConfig{
			Enabled:         true,
			UserFailures:    5,
			AddressFailures: 50,
			Delay:           time.Second,
			MaxDelay:        time.Minute,
			ForgetAfter:     15 * time.Minute,
			MaxTracked:      100_000,
		},
		Limits: LimitConfig{
			QuotaExceededStatus: 403,
			Headers:             "quota",
			QuotaWait:           100 * time.Millisecond,
			MaxWaiting:          10_000,
			MaxActive:           1_000_000,
		},
		Lifecycle: LifecycleConfig{Every: time.Minute, RemovalsPerSecond: 100},
		Rights:    RightsConfig{AllowEmptyRights: true, PolicyTags: "override"},
	}
}

// defaultAPI returns the [[apis]] entry that has no keys.
func defaultAPI() API {
	return API{
		Hosts:          []string{},
		ListenPath:     "/",
		Versions:       []string{},
		VersionHeader:  "x-api-version",
		DefaultVersion: "Default",
		Active:         true,
	}
}

// DefaultAPI returns an API for all hosts and paths. All other keys have their defaults.
func DefaultAPI(id, name string) API {
	everything := defaultAPI()
	everything.ID, everything.Name = id, name
	return everything
}

// APIList returns the configured APIs, with their empty members filled in from other keys. If no API is
// configured, it returns one for all hosts and paths.
func (c Config) APIList() []route.API {
	written := c.APIs
	if len(written) == 0 {
		written = []API{DefaultAPI("default", "Default API")}
	}
	list := make([]route.API, len(written))
	for i, a := range written {
		list[i] = route.API{
			ID:               a.ID,
			Name:             cmp.Or(a.Name, a.ID),
			Org:              cmp.Or(a.OrgID, c.Admin.OrgID),
			Hosts:            a.Hosts,
			ListenPath:       a.ListenPath,
			Versions:         a.Versions,
			VersionHeader:    a.VersionHeader,
			DefaultVersion:   a.DefaultVersion,
			Realm:            cmp.Or(a.Realm, c.Check.Realm),
			Active:           a.Active,
			Rate:             a.Rate,
			Per:              a.Per,
			DisableRateLimit: a.DisableRateLimit,
			DisableQuota:     a.DisableQuota,
			Shadow:           a.Shadow,
			HMAC:             a.HMAC,
		}
	}
	return list
}

// SecretPath returns the path of the file with the admin secret.
func (c Config) SecretPath() string {
	return cmp.Or(c.Admin.SecretFile, filepath.Join(c.DataDir, "admin.secret"))
}

// TLS reports whether the admin listener speaks https.
func (a AdminConfig) TLS() bool { return a.TLSCert != "" }

// KeyPath returns the path of the file with the key that seals the secrets of signed requests.
func (c Config) KeyPath() string { return filepath.Join(c.DataDir, "hmac.key") }

// SpentPath returns the path of the file with the signatures that were accepted before the last stop.
func (c Config) SpentPath() string { return filepath.Join(c.DataDir, "hmac.spent") }

// Maker returns the hash for new passwords.
func (p PasswordConfig) Maker() password.Hash {
	if p.Hash == "argon2id" {
		return password.Argon2id{}
	}
	return password.Bcrypt(p.BcryptCost)
}

// Concurrent returns how many passwords may be hashed at once, at least 1. By default it is half of
// the processors.
func (p PasswordConfig) Concurrent() int {
	if p.MaxConcurrent > 0 {
		return p.MaxConcurrent
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// logLevels holds the values of log.level.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// Logger returns a logger with the configured level and format that writes to w.
func (l LogConfig) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[l.Level]}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
