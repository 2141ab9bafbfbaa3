package session

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/twmb/murmur3"
)

// KeyID returns the user's name in lists: the org's id followed by the name (Tyk's key_id).
func (n Name) KeyID() string { return n.Org + n.User }

// Token returns what Tyk calls the key of a Basic Auth user: base64 of a JSON text of org and name. Tyk
// does not escape them, so a quote in a name makes the JSON invalid; the token is the same as Tyk's even
// then. No other name has the same token: the text between org and name has a colon, which names have
// not.
func (n Name) Token() string {
	text := tokenOrg + n.Org + tokenUser + n.User + tokenEnd
	return base64.StdEncoding.EncodeToString([]byte(text))
}

const (
	tokenOrg  = `{"org":"`
	tokenUser = `","id":"`
	tokenEnd  = `","h":"murmur64"}`
)

// ParseToken returns the name that a token was made of. ok is false if it is not the token of a name.
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

// KeyHash returns Tyk's key_hash: the first 64 bits of MurmurHash3 x64-128 of the token, as 16 hex
// digits. It identifies the user and protects nothing.
func (n Name) KeyHash() string {
	high, _ := murmur3.StringSum128(n.Token())
	return fmt.Sprintf("%016x", high)
}
