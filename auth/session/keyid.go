package session

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/twmb/murmur3"
)

// KeyID is the user's name in lists: the org's id with the name behind it (Tyk's
// key_id).
func (n Name) KeyID() string { return n.Org + n.User }

// Token is what Tyk calls the key of a Basic Auth user: base64 of a JSON text made of
// org and name. Tyk puts the text together without escaping, so a quote in a name
// leaves no valid JSON; the token is the same all the same. It is the token of one name
// alone: what stands between org and name has a colon in it, and a name has none.
func (n Name) Token() string {
	text := tokenOrg + n.Org + tokenUser + n.User + tokenEnd
	return base64.StdEncoding.EncodeToString([]byte(text))
}

const (
	tokenOrg  = `{"org":"`
	tokenUser = `","id":"`
	tokenEnd  = `","h":"murmur64"}`
)

// ParseToken returns the name that a token was made of.
func ParseToken(token string) (n Name, ok bool) {
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return Name{}, false
	}
	rest, ok := strings.CutPrefix(string(text), tokenOrg)
	if !ok {
		return Name{}, false
	}
	between := strings.LastIndex(rest, tokenUser)
	if between < 0 {
		return Name{}, false
	}
	n.Org = rest[:between]
	if n.User, ok = strings.CutSuffix(rest[between+len(tokenUser):], tokenEnd); !ok || CheckNames(n.Org, n.User) != nil {
		return Name{}, false
	}
	return n, true
}

// KeyHash is Tyk's key_hash: the first 64 bits of MurmurHash3 x64-128 of the token,
// as 16 hex digits. It names the user, it protects nothing.
func (n Name) KeyHash() string {
	high, _ := murmur3.StringSum128(n.Token())
	return fmt.Sprintf("%016x", high)
}
