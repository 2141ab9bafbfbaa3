// Package httpsig verifies HMAC-signed requests (draft-cavage-12) and rejects replays.
//
// [Parse] reads the Authorization header of a signed request, [Signature.Date] checks what
// must be signed and how old it is, [Signer.Matches] compares the signature with that of the
// user's secret, and [Spent.Spend] uses it up: no signature is accepted twice.
//
// # Choices
//
// We bound the memory of signatures and forget none early. Because a forgotten signature could be
// replayed. Instead of dropping the oldest. Costs legitimate requests when it is full: they are refused
// as busy. A user may hold as many places as are free, so one user gets half of them, two a third each,
// and a new user always finds some. Signatures that the memory does not cover any more are refused by
// their date, so neither a clock set back nor a longer skew brings one back.
//
// We hand the memory over a clean stop. Because a restart would otherwise refuse all signatures dated
// before it. Instead of writing each signature to the disk. Costs clients after a crash: signatures dated
// before the new start are refused, and one dated ahead of it could be replayed.
//
// We verify a key that does not exist with a random secret ([NewDecoy]). Because the time of a MAC would
// otherwise reveal which users sign. Instead of a refusal at once. Costs a microsecond.
//
// We keep the secrets of signed requests sealed, not hashed, because a MAC needs the secret itself. The
// key is a file of its own, so that the database alone reveals nothing, and the seal binds org and user,
// so that a record with another user's secret admits no request.
package httpsig

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"unicode/utf8"
)

// Signature is what the Authorization header of a signed request says
// (draft-cavage-http-signatures-12, section 2.1). Its slices are parts of the header and of
// the [Buffer] given to [Parse], and valid as long as both.
type Signature struct {
	KeyID     []byte
	Algorithm []byte
	Headers   []byte // names of what is signed, separated by single spaces; may be empty
	MAC       []byte // decoded
	Created   int64  // Unix seconds; absent if the header has no such parameter
	Expires   int64  // Unix seconds; absent if the header has no such parameter
}

const absent = -1

// Errors of [Parse].
var (
	ErrMalformed = errors.New("not the form of a signature")
	ErrNotBase64 = errors.New("the signature is not base64")
)

// Bounds of a header. An RSA signature, which is refused later, has 512 bytes and more. A
// key id is the name of an org and that of a user, of at most 255 bytes each.
const (
	maxKeyID       = 2 * 255
	maxSignature   = 1024 // bytes of base64
	maxSignedNames = 64
)

// Buffer holds the parts of a header that cannot be read in place. It lives on the caller's stack.
type Buffer struct {
	keyID   [maxKeyID]byte
	encoded [maxSignature]byte
	mac     [maxSignature]byte
}

// Recognize reports whether an Authorization header has the scheme Signature, in any case.
func Recognize(header []byte) bool {
	const scheme = "signature"
	return len(header) >= len(scheme) && bytes.EqualFold(header[:len(scheme)], []byte(scheme)) &&
		(len(header) == len(scheme) || !isToken(header[len(scheme)]))
}

// Parse reads the value of an Authorization header: the scheme in any case, one space, and
// parameters as in RFC 9110, section 11.2. Names that the draft does not know are skipped, as
// it requires. Names that it knows must be there at most once and be written as it says; keyId,
// algorithm, and signature must be there. created and expires are numbers, everything else is
// in quotes. The signature is base64 in its one canonical spelling, percent-encoded (as Tyk's
// clients send it) or not.
//
// (created) and (expires) cannot be signed with an hmac algorithm (section 2.3).
//
// The error is [ErrMalformed], [ErrNotBase64], or nil if the signature can be checked.
func Parse(header []byte, buf *Buffer) (s Signature, err error) {
	const scheme = "signature "
	if len(header) < len(scheme) || !bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return Signature{}, ErrMalformed
	}
	s = Signature{Created: absent, Expires: absent}
	var encoded []byte
	for rest := header[len(scheme):]; ; {
		var p parameter
		var ok bool
		if p, rest, ok = nextParameter(rest); !ok {
			return Signature{}, ErrMalformed
		}
		switch {
		case p.is("keyid"):
			ok = p.into(&s.KeyID)
		case p.is("algorithm"):
			ok = p.into(&s.Algorithm) && areTokens(s.Algorithm)
		case p.is("headers"):
			ok = p.into(&s.Headers) && areSignable(s.Headers)
		case p.is("signature"):
			ok = p.into(&encoded)
		case p.is("created"):
			ok = p.intoTime(&s.Created)
		case p.is("expires"):
			ok = p.intoTime(&s.Expires)
		}
		if !ok {
			return Signature{}, ErrMalformed
		}
		if len(rest) == 0 {
			break
		}
	}
	if s.KeyID = unquote(s.KeyID, buf); len(s.KeyID) == 0 || len(s.Algorithm) == 0 || len(encoded) == 0 {
		return Signature{}, ErrMalformed
	}
	if s.MAC = decodeMAC(encoded, buf); s.MAC == nil {
		return Signature{}, ErrNotBase64
	}
	return s, nil
}

// parameter is NAME="VALUE" or NAME=VALUE.
type parameter struct {
	name, value []byte
	quoted      bool // value was in quotes, and may still have escapes
}

func (p parameter) is(name string) bool { return bytes.EqualFold(p.name, []byte(name)) }

// into takes a quoted value that is not empty and the first of its name.
func (p parameter) into(to *[]byte) bool {
	first := *to == nil
	*to = p.value
	return first && p.quoted && len(p.value) > 0
}

// intoTime takes Unix seconds, the first of their name. Fractions are dropped.
func (p parameter) intoTime(to *int64) bool {
	const maxDigits = 12
	whole, fraction, dotted := bytes.Cut(p.value, []byte{'.'})
	if *to != absent || p.quoted || len(whole) == 0 || len(whole) > maxDigits || dotted && len(fraction) == 0 {
		return false
	}
	*to = 0
	for _, c := range whole {
		if c < '0' || c > '9' {
			return false
		}
		*to = *to*10 + int64(c-'0')
	}
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// nextParameter cuts the first parameter and the comma after it off a list. rest is empty if
// it was the last one.
func nextParameter(list []byte) (p parameter, rest []byte, ok bool) {
	end := 0
	for end < len(list) && isToken(list[end]) {
		end++
	}
	if end == 0 || end == len(list) || list[end] != '=' {
		return p, nil, false
	}
	p.name, list = list[:end], list[end+1:]
	if len(list) > 0 && list[0] == '"' {
		end = endOfQuoted(list)
		if end < 0 {
			return p, nil, false
		}
		p.value, p.quoted, list = list[1:end], true, list[end+1:]
	} else {
		for end = 0; end < len(list) && isToken(list[end]); end++ {
		}
		if end == 0 {
			return p, nil, false
		}
		p.value, list = list[:end], list[end:]
	}
	list = trimLeft(list)
	if len(list) == 0 {
		return p, nil, true
	}
	rest = trimLeft(list[1:])
	return p, rest, list[0] == ',' && len(rest) > 0
}

// endOfQuoted returns the index of the quote that ends a quoted string, or -1.
func endOfQuoted(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i
		case c < 0x20, c == 0x7f:
			return -1
		case c == '\\':
			if i++; i == len(text) || text[i] != '"' && text[i] != '\\' {
				return -1
			}
		}
	}
	return -1
}

// unquote removes the escapes from a key id. It returns nothing if it cannot be a key id.
func unquote(quoted []byte, buf *Buffer) []byte {
	if !utf8.Valid(quoted) || len(quoted) > 2*maxKeyID {
		return nil
	}
	text := buf.keyID[:0]
	for i := 0; i < len(quoted); i++ {
		if quoted[i] == '\\' {
			i++
		}
		if len(text) == cap(text) {
			return nil
		}
		text = append(text, quoted[i])
	}
	return text
}

// areSignable reports whether an HMAC can be made of a list of headers: the names of headers
// or (request-target), separated by single spaces, none of them twice.
func areSignable(list []byte) bool {
	count := 0
	for rest := list; len(rest) > 0; count++ {
		var name []byte
		name, rest = nextName(rest)
		if !areTokens(name) && !bytes.EqualFold(name, requestTarget) || count == maxSignedNames || hasName(rest, name) {
			return false
		}
	}
	return list[len(list)-1] != ' '
}

// nextName cuts the first name off a list.
func nextName(list []byte) (name, rest []byte) {
	name, rest, _ = bytes.Cut(list, []byte{' '})
	return name, rest
}

func hasName(list, name []byte) bool {
	for len(list) > 0 {
		var other []byte
		if other, list = nextName(list); bytes.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// strictBase64 refuses trailing bits that are not zero, so that a signature has one spelling.
var strictBase64 = base64.StdEncoding.Strict()

// decodeMAC returns the bytes of a signature, or nil if text is not base64.
func decodeMAC(text []byte, buf *Buffer) []byte {
	plain := buf.encoded[:0]
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			if i+2 >= len(text) {
				return nil
			}
			var decoded [1]byte
			if _, err := hex.Decode(decoded[:], text[i+1:i+3]); err != nil {
				return nil
			}
			c = decoded[0]
			i += 2
		}
		if c == '\r' || c == '\n' || len(plain) == cap(plain) { // the decoder would skip line ends
			return nil
		}
		plain = append(plain, c)
	}
	n, err := strictBase64.Decode(buf.mac[:], plain)
	if err != nil || n == 0 {
		return nil
	}
	return buf.mac[:n]
}

// isToken reports whether c may be in the name of a header or parameter (RFC 9110, 5.6.2).
func isToken(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// areTokens reports whether text is a token: one or more such characters.
func areTokens(text []byte) bool {
	for _, c := range text {
		if !isToken(c) {
			return false
		}
	}
	return len(text) > 0
}

func trimLeft(text []byte) []byte { return bytes.TrimLeft(text, " \t") }
