package session

import (
	"encoding/base64"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A token tells the name that it was made of, and no two names have the same.
func TestParseToken(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", `"`, ",", ":", `\`, tokenUser, tokenEnd, tokenOrg, `"id":"`})
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "") })
	rapid.Check(t, func(t *rapid.T) {
		n := Name{text.Draw(t, "org"), text.Draw(t, "user")}
		got, ok := ParseToken(n.Token())
		if legal := CheckNames(n.Org, n.User) == nil; legal && (!ok || got != n) {
			t.Errorf("the token of %q is one of %q, %v", n, got, ok)
		}
	})

	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, bad := range []string{
		"", "alice", "====", encode(""), encode("{}"), encode(`{"org":"a","id":"b"}`), encode(`{"org":"a","id":"b","h":"murmur32"}`),
		encode(`{"org":"a","id":"","h":"murmur64"}`), encode(`{"org":"","id":"b","h":"murmur64"}`), encode(`{"org":"a","h":"murmur64"}`),
		encode(`{"org":"a","id":"b","h":"murmur64"} `), encode(`{"org":"a","id":"b\u0000","h":"murmur64"}` + "\x00"),
	} {
		if n, ok := ParseToken(bad); ok {
			t.Errorf("%q is a token of %q", bad, n)
		}
	}
}
