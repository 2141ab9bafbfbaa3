package config

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"
)

func TestConfigShippedFileIsDefault(t *testing.T) {
	config, err := parse(mustRead(t, "../sidecar.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := Default(); !reflect.DeepEqual(config, want) {
		t.Errorf("sidecar.toml says\n%+v\nthe defaults are\n%+v", config, want)
	}
}

func TestConfigShippedFileIsComplete(t *testing.T) {
	text := uncomment(mustRead(t, "../sidecar.toml"))
	var table map[string]any
	meta, err := toml.Decode(text, &table)
	if err != nil {
		t.Fatal(err)
	}
	var there []string
	for _, key := range meta.Keys() {
		there = append(there, key.String())
	}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if !slices.Contains(there, key) {
			t.Errorf("%s is not in sidecar.toml", key)
		}
	}

	config, err := parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := config.APIList(), Default().APIList(); !reflect.DeepEqual(got, want) {
		t.Errorf("the [[apis]] block in sidecar.toml says\n%+v\nwithout it there is\n%+v", got, want)
	}
}

// uncomment turns commented-out keys, which have no space after the #, into keys.
func uncomment(text string) string {
	return regexp.MustCompile(`(?m)^#([a-z\[])`).ReplaceAllString(text, "$1")
}

// keysOf returns the full names of all keys in the toml tags of a struct, sections included.
func keysOf(section reflect.Type, at string) (keys []string) {
	for field := range section.Fields() {
		key := keyBelow(at, field.Tag.Get("toml"))
		keys = append(keys, key)
		kind := field.Type
		if kind.Kind() == reflect.Slice {
			kind = kind.Elem()
		}
		if kind.Kind() == reflect.Struct {
			keys = append(keys, keysOf(kind, key)...)
		}
	}
	return keys
}

// Each file has the name of its mistake and begins with the expected problems, all of them and in
// this order.
func TestConfigBad(t *testing.T) {
	files, err := filepath.Glob("testdata/badconfig/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad configurations: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			var want []string
			for line := range strings.Lines(mustRead(t, file)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.TrimSuffix(text, "\n"))
				}
			}
			_, err := Load(file)
			if err == nil {
				t.Fatal("was accepted")
			}
			if got := Lines(err); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

func TestConfigGood(t *testing.T) {
	f := func(text string, change func(*Config)) {
		t.Helper()
		want := Default()
		change(&want)
		got, err := parse(text)
		if err != nil {
			t.Error(err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
	}
	f("", func(*Config) {})
	// Dotted keys and tables mean the same.
	f("log.level = 'debug'\n[check]\nrealm = 'Orders'", func(c *Config) { c.Log.Level, c.Check.Realm = "debug", "Orders" })
	f("[check.meta_headers]\ndeveloper_id = 'X-Developer-Id'", func(c *Config) {
		c.Check.MetaHeaders["developer_id"] = "X-Developer-Id"
	})
	// Both listeners on a free port, both on unix sockets.
	f("check.listen = '127.0.0.1:0'\nadmin.listen = '127.0.0.1:0'", func(c *Config) {
		c.Check.Listen, c.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	})
	f("check.listen = 'unix:/run/c'\nadmin.listen = 'unix:/run/a'", func(c *Config) {
		c.Check.Listen, c.Admin.Listen = "unix:/run/c", "unix:/run/a"
	})
	// The ends of ranges are allowed.
	f("[passwords]\nbcrypt_cost = 14\nverified_ttl = '0s'\nmax_concurrent = 1024\nmax_wait = '0s'", func(c *Config) {
		c.Passwords = PasswordConfig{Hash: "bcrypt", BcryptCost: 14, MaxConcurrent: 1024}
	})
	f("limits = { quota_exceeded_status = 429, headers = 'rate', quota_wait = '1m', max_waiting = 0, max_active = 1 }", func(c *Config) {
		c.Limits = LimitConfig{QuotaExceededStatus: 429, Headers: "rate", QuotaWait: time.Minute, MaxActive: 1}
	})
	// The admin listener on all addresses, if that is allowed explicitly.
	f("[admin]\nlisten = ':9192'\nallow_remote = true\nhosts = ['admin.example.com', '10.0.0.1']", func(c *Config) {
		c.Admin.Listen, c.Admin.AllowRemote = ":9192", true
		c.Admin.Hosts = []string{"admin.example.com", "10.0.0.1"}
	})
	// A whole number for a key that takes any number.
	f("[[apis]]\nid = 'orders'\nrate = 10\nper = 0.5", func(c *Config) {
		api := defaultAPI()
		api.ID, api.Rate, api.Per = "orders", 10, 0.5
		c.APIs = []API{api}
	})
}

func TestConfigAPIsTakeOver(t *testing.T) {
	config, err := parse(`
check.realm = "everybody"
admin.org_id = "acme"
[[apis]]
id = "orders"
[[apis]]
id = "users"
name = "User API"
listen_path = "/users"
org_id = "umbrella"
realm = "users"
active = false
`)
	if err != nil {
		t.Fatal(err)
	}
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	list := config.APIList()
	orders, users := list[0], list[1]
	f(orders.Name, "orders")
	f(orders.Org, "acme")
	f(orders.Realm, "everybody")
	f(orders.ListenPath, "/")
	f(orders.VersionHeader, "x-api-version")
	f(orders.DefaultVersion, "Default")
	f(users.Name, "User API")
	f(users.Org, "umbrella")
	f(users.Realm, "users")
	if !orders.Active || users.Active {
		t.Errorf("active: got %t and %t, want true and false", orders.Active, users.Active)
	}
}

func TestConfigPlaces(t *testing.T) {
	if config, err := Load(""); err != nil || !reflect.DeepEqual(config, Default()) {
		t.Errorf("no file: got %+v, %v, want the defaults", config, err)
	}
	if _, err := Load("missing.toml"); err == nil || !strings.Contains(err.Error(), "missing.toml") {
		t.Errorf("a file that is missing: got %v, want an error that names it", err)
	}
	config := Default()
	if got := config.SecretPath(); got != "data/admin.secret" {
		t.Errorf("no secret_file: got %q", got)
	}
	config.Admin.SecretFile = "/run/secret"
	if got := config.SecretPath(); got != "/run/secret" {
		t.Errorf("secret_file = %q: got %q", config.Admin.SecretFile, got)
	}
}

func TestConfigConcurrent(t *testing.T) {
	if got := (PasswordConfig{MaxConcurrent: 3}).Concurrent(); got != 3 {
		t.Errorf("max_concurrent = 3: got %d", got)
	}
	if got := (PasswordConfig{}).Concurrent(); got < 1 {
		t.Errorf("max_concurrent = 0: got %d, want at least 1", got)
	}
}

func FuzzConfig(f *testing.F) {
	files, _ := filepath.Glob("testdata/badconfig/*.toml")
	for _, file := range append(files, "../sidecar.toml") {
		text := mustRead(f, file)
		f.Add(text)
		f.Add(uncomment(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parse(text)
		if err != nil {
			for _, line := range Lines(err) {
				if line == "" || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
					t.Errorf("a problem must be one line of plain text: %q", line)
				}
			}
			return
		}
		if err := config.Validate(); err != nil {
			t.Errorf("accepted, and then found bad: %v", err)
		}
		if len(config.APIList()) == 0 || config.Passwords.Concurrent() < 1 {
			t.Errorf("no API or no password at all can be checked: %+v", config)
		}
	})
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
