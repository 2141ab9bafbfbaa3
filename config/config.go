// Package config reads sidecar.toml and says everything that is wrong with it at once,
// each problem with its key, its value and what would be right.
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

// Config is the whole configuration, as sidecar.toml spells it. That file explains
// every key; the comments here say what callers must know besides.
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
	APIs      []API            `toml:"apis"`     // as written; [Config.APIList] is what they mean
	Policies  []map[string]any `toml:"policies"` // as written; [Config.PolicyList] is what they mean
}

// LogConfig is what is logged, and how: Level and Format of the program's own messages,
// the others of the decision log.
type LogConfig struct {
	Level  string `toml:"level"`  // a key of logLevels
	Format string `toml:"format"` // "text" or "json"

	Decisions    string  `toml:"decisions"` // "none", "refused" or "all"
	File         string  `toml:"file"`      // "" = stdout
	Sample       float64 `toml:"sample"`    // share of Decisions that is written, 0 to 1
	UnknownUsers bool    `toml:"unknown_users"`
}

// EventsConfig is who is told of what happens to users.
type EventsConfig struct {
	WebhookURL      string        `toml:"webhook_url"` // may hold a secret; "" = nobody is told
	WebhookTimeout  time.Duration `toml:"webhook_timeout"`
	WebhookAttempts int           `toml:"webhook_attempts"`
	Queue           int           `toml:"queue"` // events that wait, at most
}

// CheckConfig is the listener that proxies ask.
type CheckConfig struct {
	Listen             string            `toml:"listen"`      // see [ParseAddress]
	SocketMode         string            `toml:"socket_mode"` // see [FileMode]
	Realm              string            `toml:"realm"`
	StripAuthorization bool              `toml:"strip_authorization"`
	MetaHeaders        map[string]string `toml:"meta_headers"` // from the name in meta_data to the header's

	ReadTimeout    time.Duration `toml:"read_timeout"`
	WriteTimeout   time.Duration `toml:"write_timeout"`
	IdleTimeout    time.Duration `toml:"idle_timeout"`
	MaxConnections int           `toml:"max_connections"`
	MaxHeaderBytes int           `toml:"max_header_bytes"`

	HMACClockSkew  time.Duration `toml:"hmac_clock_skew"`
	HMACRemembered int           `toml:"hmac_remembered"` // signatures
}

// AdminConfig is the listener for people and tools.
type AdminConfig struct {
	Listen      string   `toml:"listen"`      // see [ParseAddress]
	SecretFile  string   `toml:"secret_file"` // "": see [Config.SecretPath]
	OrgID       string   `toml:"org_id"`
	Hosts       []string `toml:"hosts"` // besides the loopback names, in lower case
	AllowRemote bool     `toml:"allow_remote"`
	TLSCert     string   `toml:"tls_cert"` // both or none
	TLSKey      string   `toml:"tls_key"`
	SocketMode  string   `toml:"socket_mode"` // see [FileMode]
}

// PasswordConfig is how passwords are stored and checked.
type PasswordConfig struct {
	Hash          string        `toml:"hash"`
	BcryptCost    int           `toml:"bcrypt_cost"`
	VerifiedTTL   time.Duration `toml:"verified_ttl"`   // 0: a password is never remembered
	MaxConcurrent int           `toml:"max_concurrent"` // 0: see [PasswordConfig.Concurrent]
	MaxWait       time.Duration `toml:"max_wait"`       // 0: a login never waits
}

// BruteforceConfig is how guessing passwords is slowed down.
type BruteforceConfig struct {
	Enabled         bool          `toml:"enabled"`
	UserFailures    int           `toml:"user_failures"`
	AddressFailures int           `toml:"address_failures"`
	Delay           time.Duration `toml:"delay"`
	MaxDelay        time.Duration `toml:"max_delay"`
	ForgetAfter     time.Duration `toml:"forget_after"`
	MaxTracked      int           `toml:"max_tracked"`
}

// Failures returns the limits that the configuration means. Switched off, failures are
// still counted, and cost nothing.
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

// LimitConfig is what clients learn about rates and quotas.
type LimitConfig struct {
	QuotaExceededStatus int           `toml:"quota_exceeded_status"`
	Headers             string        `toml:"headers"` // "quota" or "rate"
	QuotaWait           time.Duration `toml:"quota_wait"`
	MaxWaiting          int           `toml:"max_waiting"`
	MaxActive           int           `toml:"max_active"`
}

// LifecycleConfig is how records of expired sessions are removed.
type LifecycleConfig struct {
	Every             time.Duration `toml:"every"`
	RemovalsPerSecond int           `toml:"removals_per_second"`
}

// RightsConfig is how access rights are read.
type RightsConfig struct {
	// AllowEmptyRights is apis.allow_empty_rights in the contract. TOML gives it no
	// room there: apis is an array of tables.
	AllowEmptyRights bool `toml:"allow_empty_rights"`
	// PolicyTags is policies.tags in the contract: "override" or "merge".
	PolicyTags string `toml:"policy_tags"`
}

// API is one [[apis]] entry. An empty name, org or realm stands for what
// [Config.APIList] puts there.
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

// defaultAPI returns an [[apis]] entry without keys.
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

// DefaultAPI returns an API for everything, with all other keys at their defaults.
func DefaultAPI(id, name string) API {
	everything := defaultAPI()
	everything.ID, everything.Name = id, name
	return everything
}

// APIList returns the APIs that the configuration means: one for everything where
// none is written, and each with what it takes over from other keys filled in.
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

// SecretPath returns the file that holds the admin secret.
func (c Config) SecretPath() string {
	return cmp.Or(c.Admin.SecretFile, filepath.Join(c.DataDir, "admin.secret"))
}

// TLS reports whether the admin listener speaks https.
func (a AdminConfig) TLS() bool { return a.TLSCert != "" }

// KeyPath returns the file that holds the key which secrets of signed requests are
// sealed with.
func (c Config) KeyPath() string { return filepath.Join(c.DataDir, "hmac.key") }

// SpentPath returns the file in which a program that stops hands the signatures that it
// has accepted to the next one.
func (c Config) SpentPath() string { return filepath.Join(c.DataDir, "hmac.spent") }

// Maker returns what new passwords are hashed with.
func (p PasswordConfig) Maker() password.Hash {
	if p.Hash == "argon2id" {
		return password.Argon2id{}
	}
	return password.Bcrypt(p.BcryptCost)
}

// Concurrent returns how many password hashes may be computed at once, at least 1.
func (p PasswordConfig) Concurrent() int {
	if p.MaxConcurrent > 0 {
		return p.MaxConcurrent
	}
	return max(1, runtime.GOMAXPROCS(0)/2)
}

// logLevels are the values of log.level.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// Logger returns a logger that writes to w as configured.
func (l LogConfig) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: logLevels[l.Level]}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
