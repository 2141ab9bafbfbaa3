package auth

import (
	"bytes"
	"unicode/utf8"
)

// Signature is what the Authorization header of a signed request says
// (draft-cavage-http-signatures-12, section 2.1). Its slices are parts of the header and
// of the [SignatureBuffer] given to [ParseSignature], and valid as long as both.
type Signature struct {
	KeyID     []byte
	Algorithm []byte
	Headers   []byte // names of what is signed, each two separated by one space; empty: not said
	MAC       []byte // decoded
	Created   int64  // Unix seconds; notSaid: not said
	Expires   int64  // Unix seconds; notSaid: not said
}

const notSaid = -1

// Bounds of what is read. An RSA signature, which is refused later, has 512 bytes and more.
const (
	maxKeyID       = 2 * maxName
	maxSignature   = 1024 // bytes of base64
	maxSignedNames = 64
)

// SignatureBuffer takes what cannot be read where it stands. It lives on the caller's stack.
type SignatureBuffer struct {
	keyID   [maxKeyID]byte
	encoded [maxSignature]byte
	mac     [maxSignature]byte
}

// isSignature reports whether an Authorization header has the scheme Signature, in any
// case.
func isSignature(header []byte) bool {
	const scheme = "signature"
	return len(header) >= len(scheme) && bytes.EqualFold(header[:len(scheme)], []byte(scheme)) &&
		(len(header) == len(scheme) || !isToken(header[len(scheme)]))
}

// ParseSignature reads the value of an Authorization header: the scheme in any case, one
// space, and parameters as RFC 9110, 11.2, writes them. Names that the draft does not
// know are skipped, as it wants. What it knows must stand at most once and be written as
// it says; keyId, algorithm and signature must be there. created and expires are
// numbers, everything else is in quotes. The signature is base64 in its one canonical
// spelling, percent-encoded (as Tyk's clients send it) or not.
//
// (created) and (expires) cannot be signed with an hmac algorithm (section 2.3).
//
// malformed is "" when the signature can be checked.
func ParseSignature(header []byte, buf *SignatureBuffer) (s Signature, malformed Malformed) {
	const scheme = "signature "
	if len(header) < len(scheme) || !bytes.EqualFold(header[:len(scheme)], []byte(scheme)) {
		return Signature{}, notBasic
	}
	s = Signature{Created: notSaid, Expires: notSaid}
	var encoded []byte
	for rest := header[len(scheme):]; ; {
		var p parameter
		var ok bool
		if p, rest, ok = nextParameter(rest); !ok {
			return Signature{}, notBasic
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
			return Signature{}, notBasic
		}
		if len(rest) == 0 {
			break
		}
	}
	if s.KeyID = unquote(s.KeyID, buf); len(s.KeyID) == 0 || len(s.Algorithm) == 0 || len(encoded) == 0 {
		return Signature{}, notBasic
	}
	if s.MAC = decodeMAC(encoded, buf); s.MAC == nil {
		return Signature{}, notBase64
	}
	return s, ""
}

// parameter is NAME="VALUE" or NAME=VALUE.
type parameter struct {
	name, value []byte
	quoted      bool // value stood in quotes, and may still hold escapes
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
	const mostDigits = 12
	whole, fraction, dotted := bytes.Cut(p.value, []byte{'.'})
	if *to != notSaid || p.quoted || len(whole) == 0 || len(whole) > mostDigits || dotted && len(fraction) == 0 {
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

// nextParameter cuts the first parameter and the comma behind it off a list. rest is
// empty where it was the last one.
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

// endOfQuoted returns where the quote stands that ends a quoted string, or -1.
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

// unquote takes the escapes out of a key id. What no key id can be comes back empty.
func unquote(quoted []byte, buf *SignatureBuffer) []byte {
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

// areSignable reports whether a list of headers is one that an hmac can be made of: the
// names of headers or (request-target), separated by single spaces, none of them twice.
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

// decodeMAC returns the bytes of a signature, or nil.
func decodeMAC(text []byte, buf *SignatureBuffer) []byte {
	plain := buf.encoded[:0]
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '%' {
			if i+2 >= len(text) {
				return nil
			}
			high, low := unhex(text[i+1]), unhex(text[i+2])
			if high < 0 || low < 0 {
				return nil
			}
			c = byte(high<<4 | low)
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

// isToken reports what the names of headers and parameters are made of (RFC 9110, 5.6.2).
func isToken(c byte) bool { return c < utf8.RuneSelf && !notToken(rune(c)) }

// areTokens reports whether text is a token.
func areTokens(text []byte) bool {
	for _, c := range text {
		if !isToken(c) {
			return false
		}
	}
	return len(text) > 0
}

func trimLeft(text []byte) []byte { return bytes.TrimLeft(text, " \t") }
