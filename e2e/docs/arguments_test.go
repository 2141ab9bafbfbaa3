package docs

import (
	"sidekey/internal/testutil"

	"regexp"
	"strings"
	"testing"
)

// secretArguments match what makes a secret or a password an argument of a command, which
// every user of the machine sees (ps, /proc/PID/cmdline). Commands that a shell runs itself (echo,
// printf, <<<) have no arguments that others see.
var secretArguments = []*regexp.Regexp{
	regexp.MustCompile(`\bcurl\b.* (-\w*u|--user|--proxy-user)[ =]*['"]?[\w$]+["']?(:|$| )`),
	regexp.MustCompile(`\bcurl\b.* (-H|--header) *["'](X-Tyk-)?Authorization: *(\$|Basic|Bearer)`),
	regexp.MustCompile(`\bcurl\b.* (-d|--data\S*) *'[^']*("(password|hmac_string)"|$)`), // also one that goes on in the next line
	regexp.MustCompile(`\bcurl\b.*://[^/ ]+:[^/ ]+@`),
	regexp.MustCompile(`\bopenssl\b.* (-hmac|-macopt|-pass|-k) `),
	regexp.MustCompile(`\bhtpasswd\b.* -\w*b`),
	regexp.MustCompile(`\$\(cat [^)]*admin\.secret\)["' ]*http`),
}

func secretArgument(line string) bool {
	for _, pattern := range secretArguments {
		if pattern.MatchString(line) {
			return true
		}
	}
	return false
}

// T-107: no document, example or page teaches to make a secret or a password an argument.
func TestT107DocsArguments(t *testing.T) {
	files := append(testutil.Glob(t, "docs/*.md"), "README.md", "Dockerfile", "sidecar.toml", "admin/web/reference.js", "command/dev.go")
	for _, file := range append(files, testutil.Glob(t, "examples/*")...) {
		text := strings.ReplaceAll(testutil.ReadFile(t, file), "\\\n", " ")
		for line := range strings.Lines(text) {
			if secretArgument(line) {
				t.Errorf("%s: an argument holds a secret: %s", file, line)
			}
		}
	}
	for line, want := range map[string]bool{
		`curl -sf -H "Authorization: $SECRET" http://x`:                           true,
		`curl -s -H "X-Tyk-Authorization: $SECRET" http://x`:                      true,
		`curl -si -u "$1" http://x`:                                               true,
		`curl -s -u alice:test123 http://x`:                                       true,
		`curl -s http://x -d '{"basic_auth_data": {"password": "test123"}}'`:      true,
		`openssl dgst -sha256 -hmac "$SECRET" -binary`:                            true,
		`curl -s http://alice:test123@x`:                                          true,
		`curl -s -K - http://x <<<"user = $1"`:                                    false,
		`curl -sf -H @<(sidekey secret -header) http://x -d @-`:                   false,
		`curl -s -H @<(echo "X-Tyk-Authorization: $(sidekey secret)") http://x`:   false,
		`curl -s http://x -d @- <<<'{"basic_auth_data": {"password": "secret"}}'`: false,
		`curl -s http://x -d '{"rate": 2}'`:                                       false,
		`curl -s -u alice http://x # asks for the password`:                       true, // not used here; one idiom is enough
	} {
		if got := secretArgument(line); got != want {
			t.Errorf("%s: %t, want %t", line, got, want)
		}
	}
}
