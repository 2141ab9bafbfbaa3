package auth

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"sidekey/auth/password"
	"sidekey/internal/problem"
)

// Credentials are the user name and the password of a request. They are valid as long as the
// [CredentialBuffer] given to [ParseBasic].
type Credentials struct {
	User, Password []byte
}

// Malformed is the fault of an Authorization header, as the message of Tyk's answer; "" is none.
type Malformed string

const (
	notBasic   Malformed = "Attempted access with malformed header, header not in basic auth format"
	notBase64  Malformed = "Attempted access with malformed header, auth data not encoded correctly"
	notTwoPart Malformed = "Attempted access with malformed header, values not in basic auth format"
)

// maxCredentials bounds the decoded credentials: the longest user name, a colon, the longest password,
// and the rounding of base64.
const maxCredentials = problem.MaxName + 1 + password.MaxPassword + 2

// CredentialBuffer has room for decoded credentials of the usual length; longer ones are allocated. It
// is short because it is cleared for each request.
type CredentialBuffer [192]byte

// strictBase64 refuses trailing bits that are not zero, so that one pair of user
// and password has one spelling.
var strictBase64 = base64.StdEncoding.Strict()

// ParseBasic reads the value of an Authorization header (RFC 7617): the scheme in any case, one space,
// padded base64 in its one canonical spelling, split at the first colon. It refuses control characters,
// invalid UTF-8, an empty user name and an empty password. It decodes into buf if there is room.
//
// "Basic YW5uOnB3" is the user ann with the password pw. malformed is "" if the credentials can be used.
func ParseBasic(header []byte, buf *CredentialBuffer) (c Credentials, malformed Malformed) {
	const scheme = "Basic "
	if len(header) < len(scheme) || string(header[:len(scheme)]) != scheme && !bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return Credentials{}, notBasic
	}
	encoded := header[len(scheme):]
	if len(encoded) == 0 {
		return Credentials{}, notBase64
	}
	if strictBase64.DecodedLen(len(encoded)) > maxCredentials {
		return Credentials{}, undecodable(encoded, notTwoPart)
	}
	text, err := strictBase64.AppendDecode(buf[:0], encoded)
	if err != nil || len(encoded) != strictBase64.EncodedLen(len(text)) { // the decoder skips line breaks
		return Credentials{}, undecodable(encoded, notBase64)
	}
	user, pass, found := bytes.Cut(text, []byte{':'})
	switch {
	case !found, len(user) == 0, len(user) > problem.MaxName, len(pass) == 0, len(pass) > password.MaxPassword:
		return Credentials{}, notTwoPart
	case password.HasControl(text) || !utf8.Valid(text):
		return Credentials{}, notTwoPart
	}
	return Credentials{User: user, Password: pass}, ""
}

// undecodable returns notBasic for more than one set of credentials (Envoy joins repeated headers with
// a comma), notBase64 for line ends, and otherwise for all other faults.
func undecodable(encoded []byte, otherwise Malformed) Malformed {
	i := bytes.IndexAny(encoded, " ,\r\n")
	switch {
	case i < 0:
		return otherwise
	case encoded[i] == ' ', encoded[i] == ',':
		return notBasic
	}
	return notBase64
}
