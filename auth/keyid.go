package auth

import (
	"encoding/base64"
	"fmt"

	"github.com/twmb/murmur3"
)

// KeyID is the user's name in lists: the org's id with the name behind it (Tyk's
// key_id).
func (n Name) KeyID() string { return n.Org + n.User }

// Token is what Tyk calls the key of a Basic Auth user: base64 of a JSON text made of
// org and name. Tyk puts the text together without escaping, so a quote in a name
// leaves no valid JSON; the token is the same all the same.
func (n Name) Token() string {
	text := fmt.Sprintf(`{"org":"%s","id":"%s","h":"murmur64"}`, n.Org, n.User)
	return base64.StdEncoding.EncodeToString([]byte(text))
}

// KeyHash is Tyk's key_hash: the first 64 bits of MurmurHash3 x64-128 of the token,
// as 16 hex digits. It names the user, it protects nothing.
func (n Name) KeyHash() string {
	high, _ := murmur3.StringSum128(n.Token())
	return fmt.Sprintf("%016x", high)
}
