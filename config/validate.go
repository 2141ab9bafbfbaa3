package config

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"sidekey/auth"
	"sidekey/auth/route"
	"sidekey/internal/problem"
)

// minTimeout is the minimum of timeouts that cannot be switched off. A shorter one would also cut off
// healthy clients.
const minTimeout = 10 * time.Millisecond

// Validate returns all problems of the configuration as a [problem.List], or nil. Start, reload and
// check-config apply no other rules.
func (c Config) Validate() error {
	var ps problems
	if c.DataDir == "" || strings.ContainsFunc(c.DataDir, unicode.IsControl) {
		ps.add("data_dir", c.DataDir, "must be the path of a folder")
	}
	between(&ps, "shutdown_timeout", c.ShutdownTimeout, minTimeout, 10*time.Minute)
	c.Log.validate(&ps)
	c.Events.validate(&ps)
	c.validateListeners(&ps)
	c.Check.validate(&ps)
	c.Admin.validate(&ps)
	c.Passwords.validate(&ps)
	c.Bruteforce.validate(&ps)
	c.Limits.validate(&ps)
	between(&ps, "lifecycle.every", c.Lifecycle.Every, time.Second, 24*time.Hour)
	between(&ps, "lifecycle.removals_per_second", c.Lifecycle.RemovalsPerSecond, 1, 100_000)
	c.validateAPIs(&ps)
	oneOf(&ps, "rights.policy_tags", c.Rights.PolicyTags, "override", "merge")
	_, wrong := c.policies()
	ps = append(ps, wrong...)
	return ps.err()
}

// Warnings returns settings that are allowed but may be a mistake, one line each. check-config prints
// them, and the program logs them when it starts.
func (c Config) Warnings() (lines []string) {
	if a, err := ParseAddress(c.Check.Listen); err == nil && a.isEverywhere() {
		lines = append(lines, fmt.Sprintf("check.listen = %q: every machine that can reach this one can send checks and try passwords, without the proxy and under any client address: use a loopback address or a unix socket, or let a firewall admit only the proxies", c.Check.Listen))
	}
	return lines
}

func (l LogConfig) validate(ps *problems) {
	oneOf(ps, "log.level", l.Level, "debug", "info", "warn", "error")
	oneOf(ps, "log.format", l.Format, "text", "json")
	oneOf(ps, "log.decisions", l.Decisions, "none", "refused", "all")
	if strings.ContainsFunc(l.File, unicode.IsControl) {
		ps.add("log.file", l.File, "must be the path of a file, or empty for stdout")
	}
	if !(l.Sample >= 0 && l.Sample <= 1) { // also refuses NaN
		ps.add("log.sample", l.Sample, "must be between 0.0 and 1.0")
	}
}

func (e EventsConfig) validate(ps *problems) {
	if u, err := url.Parse(e.WebhookURL); e.WebhookURL != "" &&
		(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "") {
		// The value is not shown, because such addresses contain secrets.
		ps.add("events.webhook_url", nil, "must be a URL that begins with http:// or https://, or empty")
	}
	between(ps, "events.webhook_timeout", e.WebhookTimeout, minTimeout, time.Minute)
	between(ps, "events.webhook_attempts", e.WebhookAttempts, 1, 20)
	between(ps, "events.queue", e.Queue, 1, 100_000)
}

func (c Config) validateListeners(ps *problems) {
	check, checkErr := ParseAddress(c.Check.Listen)
	if checkErr != nil {
		ps.add("check.listen", c.Check.Listen, "%s", checkErr)
	}
	admin, adminErr := ParseAddress(c.Admin.Listen)
	switch {
	case adminErr != nil:
		ps.add("admin.listen", c.Admin.Listen, "%s", adminErr)
	case checkErr == nil && admin.meets(check):
		ps.add("admin.listen", c.Admin.Listen, "must be another address than check.listen = %q", c.Check.Listen)
	case !admin.isLoopback() && !c.Admin.AllowRemote && !c.Admin.TLS():
		ps.add("admin.listen", c.Admin.Listen, "must be a loopback address, unless admin.tls_cert and admin.tls_key are set or admin.allow_remote = true")
	}
	if _, err := FileMode(c.Check.SocketMode); err != nil {
		ps.add("check.socket_mode", c.Check.SocketMode, "%s", err)
	}
	if _, err := FileMode(c.Admin.SocketMode); err != nil {
		ps.add("admin.socket_mode", c.Admin.SocketMode, "%s", err)
	}
}

func (c CheckConfig) validate(ps *problems) {
	taken := make(map[string]string) // meta_data names by the header name in lower case
	for _, name := range slices.Sorted(maps.Keys(c.MetaHeaders)) {
		key, header := keyBelow("check.meta_headers", name), c.MetaHeaders[name]
		lower := strings.ToLower(header)
		switch other, twice := taken[lower]; {
		case !isToken(header):
			ps.add(key, header, "must be the name of a header (RFC 9110: letters, digits and !#$%%&'*+-.^_`|~)")
		case isOwnHeader(header):
			ps.add(key, header, "must be another header: this one has its own meaning in a reply")
		case twice:
			ps.add(key, header, "must not be the header of %q too", other)
		default:
			taken[lower] = name
		}
	}
	between(ps, "check.read_timeout", c.ReadTimeout, minTimeout, 10*time.Minute)
	between(ps, "check.write_timeout", c.WriteTimeout, minTimeout, 10*time.Minute)
	between(ps, "check.idle_timeout", c.IdleTimeout, minTimeout, 24*time.Hour)
	between(ps, "check.max_connections", c.MaxConnections, 1, 1_000_000)
	between(ps, "check.max_header_bytes", c.MaxHeaderBytes, 4<<10, 1<<20)
	between(ps, "check.hmac_clock_skew", c.HMACClockSkew, time.Second, time.Hour)
	between(ps, "check.hmac_remembered", c.HMACRemembered, 1000, 100_000_000)
}

func (a AdminConfig) validate(ps *problems) {
	if strings.ContainsFunc(a.SecretFile, unicode.IsControl) {
		ps.add("admin.secret_file", a.SecretFile, "must be the path of a file")
	}
	switch {
	case a.TLSCert != "" && a.TLSKey == "":
		ps.add("admin.tls_key", a.TLSKey, "must be the file with the key of admin.tls_cert")
	case a.TLSCert == "" && a.TLSKey != "":
		ps.add("admin.tls_cert", a.TLSCert, "must be the file with the certificate of admin.tls_key")
	}
	for i, host := range a.Hosts {
		_, err := netip.ParseAddr(host)
		if err != nil && !isHostName(host) || strings.ToLower(host) != host {
			ps.add(elementOf("admin.hosts", i), host, "must be a host name in lower case or an IP address, without port")
		}
	}
}

func (p PasswordConfig) validate(ps *problems) {
	oneOf(ps, "passwords.hash", p.Hash, "bcrypt", "argon2id")
	if p.BcryptCost < 8 || p.BcryptCost > 14 {
		ps.add("passwords.bcrypt_cost", p.BcryptCost, "must be between 8 and 14")
	}
	between(ps, "passwords.verified_ttl", p.VerifiedTTL, 0, 24*time.Hour)
	between(ps, "passwords.max_concurrent", p.MaxConcurrent, 0, 1024)
	between(ps, "passwords.max_wait", p.MaxWait, 0, time.Minute)
}

func (b BruteforceConfig) validate(ps *problems) {
	between(ps, "bruteforce.user_failures", b.UserFailures, 1, 100) // NIST SP 800-63B: no more than 100
	between(ps, "bruteforce.address_failures", b.AddressFailures, 1, 1_000_000)
	between(ps, "bruteforce.delay", b.Delay, time.Millisecond, time.Hour)
	between(ps, "bruteforce.max_delay", b.MaxDelay, b.Delay, 24*time.Hour)
	between(ps, "bruteforce.forget_after", b.ForgetAfter, time.Second, 30*24*time.Hour)
	between(ps, "bruteforce.max_tracked", b.MaxTracked, 1000, 10_000_000)
}

func (l LimitConfig) validate(ps *problems) {
	oneOf(ps, "limits.quota_exceeded_status", l.QuotaExceededStatus, 403, 429)
	oneOf(ps, "limits.headers", l.Headers, "quota", "rate")
	between(ps, "limits.quota_wait", l.QuotaWait, 0, time.Minute)
	between(ps, "limits.max_waiting", l.MaxWaiting, 0, 1_000_000)
	between(ps, "limits.max_active", l.MaxActive, 1, 100_000_000)
}

// validateAPIs validates the APIs by the rules of [route.NewAPIs].
func (c Config) validateAPIs(ps *problems) {
	// Values that every API inherits are validated once, with an API that has nothing else, and reported
	// under the key that has them.
	inherited := Config{Check: c.Check, Admin: c.Admin}
	for _, p := range apiProblems(inherited.APIList()) {
		switch p.Field {
		case "apis[0].realm":
			p.Field, c.Check.Realm = "check.realm", ""
		case "apis[0].org_id":
			p.Field, c.Admin.OrgID = "admin.org_id", Default().Admin.OrgID
		}
		*ps = append(*ps, p)
	}
	if len(c.APIs) > 0 {
		*ps = append(*ps, apiProblems(c.APIList())...)
	}
}

func apiProblems(list []route.API) (found problem.List) {
	_, err := route.NewAPIs(list, nil)
	if err != nil && !errors.As(err, &found) {
		found = problem.List{{Field: "apis", Want: err.Error()}}
	}
	return found
}

// ownHeaders lists headers, in lower case, that have their own meaning in a reply or end at the next hop
// (RFC 9110, 7.6.1). A name that ends in "*" stands for all names with that prefix.
var ownHeaders = []string{
	"x-ratelimit-*", "ratelimit*", "retry-after", "cache-control", "content-*", "www-authenticate",
	"x-error-*", "x-envoy-*", "authorization", "host", "server", "date",
	"connection", "proxy-*", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}

func isOwnHeader(name string) bool {
	name = strings.ToLower(name)
	for _, identity := range auth.IdentityHeaders {
		if name == strings.ToLower(identity) {
			return true
		}
	}
	return slices.ContainsFunc(ownHeaders, func(own string) bool {
		start, open := strings.CutSuffix(own, "*")
		return name == own || open && strings.HasPrefix(name, start)
	})
}

// isToken reports whether text is a token (RFC 9110, 5.6.2), such as the name of a header.
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
