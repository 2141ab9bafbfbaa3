package auth

import (
	"bytes"
	"encoding/base64"
	"fmt"
)

func (b *basicLogin) explain(e *explainer) (goOn bool) {
	switch v := e.verdict; v.Reason {
	case NoCredentials:
		e.add(NoCredentials, false, "no Authorization header", "the client sends none, or the proxy does not pass it on")
		return false
	case MalformedCredentials:
		e.add(NoCredentials, true, "an Authorization header", "")
		e.add(MalformedCredentials, false, v.Message, hintMalformed(e.request))
		return false
	}
	e.add(NoCredentials, true, "an Authorization header", "")
	e.add(MalformedCredentials, true, fmt.Sprintf("user %q", b.given.User), "")
	return e.recognised("the password is right", func() (value, hint string) { return b.wrong(e) })
}

// wrong explains the likely fault of a name and a password.
func (b *basicLogin) wrong(e *explainer) (value, hint string) {
	a := e.verdict.Named
	switch {
	case a == nil:
		return fmt.Sprintf("user %q", b.given.User), "there is no such user in org_id " + e.api.Org + ", which is the API's"
	case a.signer != nil || a.hash == "":
		return fmt.Sprintf("user %q", a.user), "this user has no password to log in with: hmac_enabled, or none was set"
	}
	return fmt.Sprintf("user %q, another password", a.user), e.settings.hintPassword(b.given.Password, a.hash)
}

// hintMalformed guesses the fault of a header.
func hintMalformed(r *Request) string {
	if r.AuthorizationCount > 1 {
		return "there is more than one Authorization header"
	}
	scheme, encoded, _ := bytes.Cut(r.Authorization, []byte(" "))
	if !bytes.EqualFold(scheme, []byte("Basic")) {
		return "the scheme is not Basic, or the API does not accept it"
	}
	text, err := base64.StdEncoding.DecodeString(string(encoded))
	switch {
	case err != nil:
		return "the text after Basic must be base64 with padding"
	case bytes.HasSuffix(text, []byte("\n")), bytes.HasSuffix(text, []byte("\r")):
		return "the password ends with a line end: echo writes one, printf '%s' does not"
	case !bytes.Contains(text, []byte(":")):
		return "there is no colon between user and password"
	case bytes.HasPrefix(text, []byte(":")):
		return "the user name is empty"
	case bytes.HasSuffix(text, []byte(":")):
		return "the password is empty"
	}
	return "user and password must be UTF-8 without control characters, the user at most 255 bytes"
}

// hintPassword tries what people add to a password by accident. The caller of Explain may learn
// this, because it knows the admin secret and could set another password.
func (s *Settings) hintPassword(password []byte, stored string) string {
	for _, other := range []struct {
		password []byte
		hint     string
	}{
		{bytes.TrimSpace(password), "it is right without the white space around it"},
		{bytes.Trim(password, `"'`), "it is right without the quotes around it"},
	} {
		if len(other.password) == len(password) || len(other.password) == 0 {
			continue
		}
		if matches, err := s.Passwords.MatchesForOperator(stored, bytes.Clone(other.password)); err == nil && matches {
			return other.hint
		}
	}
	return "it is not the one that was set"
}

func (l *signedLogin) explain(e *explainer) (goOn bool) {
	return e.recognised("the signature is right", func() (value, hint string) {
		if a := e.verdict.Named; a != nil {
			return "signature of user " + a.user, "it was made with another secret or over another text than the proxy reports, or it was used before"
		}
		return "signature", "no user of org_id " + e.api.Org + " has this keyId and an hmac_string; or the algorithm is not offered, the date is missing or too far off, or the (request-target) is not signed"
	})
}
