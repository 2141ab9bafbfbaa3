package admin

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzMatch, T-73: the parameters of a path are what stands in it, decoded once, each in a
// segment of its own.
func FuzzMatch(f *testing.F) {
	for _, target := range []string{
		"/tyk/keys/alice", "/tyk/keys/a%2fb?x=/y", "/api/apis/orders/keys/alice/", "/tyk/keys/%zz", "/tyk/keys/%ff", "/tyk/keys/..", "//tyk/keys", "/tyk/keys/%00", "/healthz", "", "?", "/tyk/keys/reset/a%2Fb",
	} {
		f.Add("GET", target)
		f.Add("POST", target)
	}
	f.Fuzz(func(t *testing.T, method, target string) {
		found, params, allow, err := match(method, []byte(target))
		if (found == nil) != (err != nil) || found != nil && len(allow) > 0 {
			t.Fatalf("%s %q: %v, %v, %q", method, target, found, err, allow)
		}
		if found == nil {
			return
		}
		path, _, _ := strings.Cut(target, "?")
		segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
		for i, part := range strings.Split(strings.TrimSuffix(found.pattern, "/"), "/") {
			name, isParam := strings.CutPrefix(part, "{")
			if !isParam {
				if segments[i] != part {
					t.Fatalf("%q is no %s", target, found.pattern)
				}
				continue
			}
			value := params[strings.TrimSuffix(name, "}")]
			if decoded, err := url.PathUnescape(segments[i]); err != nil || decoded != value || value == "" || !utf8.ValidString(value) {
				t.Fatalf("%q: %s is %q", target, name, value)
			}
		}
	})
}
