package auth

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// basic is the Authorization header of a user and a password.
func basic(user, password string) string { return "Basic " + encode(user+":"+password) }

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestParseBasicMalformed(t *testing.T) {
	f := func(header string, want Malformed) {
		t.Helper()
		var buf CredentialBuffer
		c, got := ParseBasic([]byte(header), &buf)
		if got != want {
			t.Errorf("%.80q: %q, want %q", header, got, want)
		}
		if got != "" && (c.User != nil || c.Password != nil) {
			t.Errorf("%.80q: malformed, and yet %q has the password %q", header, c.User, c.Password)
		}
	}
	good := encode("ann:pw")

	// No Basic at all, or not with exactly one space.
	f("", notBasic)
	f(" ", notBasic)
	f("Basic", notBasic)
	f("basic", notBasic)
	f("Basi", notBasic)
	f(good, notBasic)
	f("Basic"+good, notBasic)
	f("Basic\t"+good, notBasic)
	f("Basic:"+good, notBasic)
	f("Basic="+good, notBasic)
	f(" Basic "+good, notBasic)
	f("\tBasic "+good, notBasic)
	f("Basic  "+good, notBasic)
	f("Basic "+good+" ", notBasic)
	f("Basic "+good+" x", notBasic)
	f("Basic ann pw", notBasic)
	f("Bearer "+good, notBasic)
	f("Digest username=\"ann\"", notBasic)
	f("Negotiate "+good, notBasic)
	f("Signature keyId=\"ann\",signature=\"x\"", notBasic)
	f("Basicx "+good, notBasic)
	f("xBasic "+good, notBasic)
	f("Bas\u0131c "+good, notBasic) // a dotless i is no i
	f("Ba\u017fic "+good, notBasic) // nor a long s an s, though Unicode folds it to one
	f("\"Basic "+good+"\"", notBasic)
	// Two headers that a proxy has joined.
	f("Basic "+good+",Basic "+good, notBasic)
	f("Basic "+good+", Basic "+good, notBasic)
	f("Basic "+good+",", notBasic)
	f("Basic ,"+good, notBasic)
	f("Basic "+good+",Bearer x", notBasic)

	// Not base64, or not in its one spelling (3scale CVE-2024-10295 skipped the rest of
	// the checks here).
	f("Basic ", notBase64)
	f("basic ", notBase64)
	f("Basic \t"+good, notBase64)
	f("Basic "+good+"\t", notBase64)
	f("Basic !", notBase64)
	f("Basic ====", notBase64)
	f("Basic =", notBase64)
	f("Basic YW5uOnB3", "") // needs no padding
	f("Basic YW5uOnB3Cg", notBase64)
	f("Basic YW5uOnBhc3M", notBase64)
	f("Basic YW5uOnBhc3M==", notBase64)
	f("Basic YW5uOnBhc3M=x", notBase64)
	f("Basic YW5uOnBhc3M=YW5u", notBase64)
	f("Basic YW5uOnBhc3M=\x00", notBase64)
	f("Basic "+good+"!", notBase64)
	f("Basic "+good+"*junk*", notBase64)
	f("Basic "+good+"\x00", notBase64)
	f("Basic \x00"+good, notBase64)
	f("Basic "+good+"\r\n", notBase64)
	f("Basic "+good[:4]+"\r\n"+good[4:], notBase64)
	f("Basic "+good[:4]+"\n"+good[4:], notBase64)
	f("Basic \n"+good, notBase64)
	f("Basic ann:pw", notBase64)
	f("Basic YW5uO-B3", notBase64)
	f("Basic YW5uO_B3", notBase64)
	f("Basic YW5uOnB3;charset=utf-8", notBase64)
	f("Basic %59W5uOnB3", notBase64)
	f("Basic \"YW5uOnB3\"", notBase64)
	f("Basic YW5u\x80OnB3", notBase64)
	f("Basic "+strings.Repeat("=", 4000), notTwoPart) // longer than any name and password

	// Base64 of something that is no name and password.
	f("Basic "+encode("ann"), notTwoPart)
	f("Basic "+encode(":"), notTwoPart)
	f("Basic "+encode("::"), notTwoPart)
	f("Basic "+encode(":pw"), notTwoPart)
	f("Basic "+encode("ann:"), notTwoPart) // light-4j CVE-2026-113682: an anonymous bind
	f("Basic "+encode("ann;pw"), notTwoPart)
	f("Basic "+encode("\x00"), notTwoPart)
	f("Basic "+encode("\xef\xbb\xbf"), notTwoPart)
	// Control characters, which RFC 7617 forbids. A NUL ends a password for bcrypt.
	f(basic("ann", "pw\x00"), notTwoPart)
	f(basic("ann", "\x00"), notTwoPart)
	f(basic("ann", "pw\x00x"), notTwoPart)
	f(basic("ann\x00", "pw"), notTwoPart)
	f(basic("ann", "pw\n"), notTwoPart)
	f(basic("ann", "pw\r\n"), notTwoPart)
	f(basic("ann", "\x1f"), notTwoPart)
	f(basic("ann", "pw\x7f"), notTwoPart)
	f(basic("an\x7fn", "pw"), notTwoPart)
	f(basic("ann\t", "pw"), notTwoPart)
	f(basic("\nann", "pw"), notTwoPart)
	// Invalid and overlong UTF-8: two spellings of one name for readers that repair it.
	f(basic("ann\xff", "pw"), notTwoPart)
	f(basic("ann", "pw\xfe"), notTwoPart)
	f(basic("ann\xc0\xae", "pw"), notTwoPart)
	f(basic("ann\xed\xa0\x80", "pw"), notTwoPart) // half of a surrogate pair
	f(basic("ann", "\xf5\x80\x80\x80"), notTwoPart)
	// Longer than all names and passwords.
	f(basic(strings.Repeat("a", 256), "pw"), notTwoPart)
	f(basic(strings.Repeat("a", 300), "pw"), notTwoPart)
	f(basic("ann", strings.Repeat("a", 1025)), notTwoPart)
	f(basic(strings.Repeat("a", 255), strings.Repeat("a", 1025)), notTwoPart)
	f(basic("ann", strings.Repeat("a", 1<<16)), notTwoPart)
	f("Basic "+encode(strings.Repeat("a", 1282)), notTwoPart)
	f("Basic "+encode(strings.Repeat(":", 1283)), notTwoPart)
}

func TestParseBasicGood(t *testing.T) {
	f := func(header, user, password string) {
		t.Helper()
		var buf CredentialBuffer
		c, malformed := ParseBasic([]byte(header), &buf)
		if malformed != "" || string(c.User) != user || string(c.Password) != password {
			t.Errorf("%.80q: user %.80q, password %.80q, %q", header, c.User, c.Password, malformed)
		}
	}
	// The scheme in any case.
	f("Basic YW5uOnB3", "ann", "pw")
	f("basic YW5uOnB3", "ann", "pw")
	f("BASIC YW5uOnB3", "ann", "pw")
	f("bAsIc YW5uOnB3", "ann", "pw")
	// Every length of padding, and the two characters that urls spell differently.
	f("Basic YW5uOnBhcw==", "ann", "pas")
	f("Basic YW5uOnBhc3M=", "ann", "pass")
	f("Basic YW5uOnBhc3N3", "ann", "passw")
	f("Basic YW5uOj4+Pz8/", "ann", ">>???")
	// The first colon divides: a password may have others, a name has none.
	f(basic("ann", "a:b"), "ann", "a:b")
	f(basic("ann", ":"), "ann", ":")
	f(basic("ann", ":::"), "ann", ":::")
	// Space is a character like any other, in any place.
	f(basic(" ann ", " pw "), " ann ", " pw ")
	f(basic("ann", " "), "ann", " ")
	f(basic("a,n", "p,w"), "a,n", "p,w")
	// Names are bytes: nothing is folded or composed.
	f(basic("Ann", "PW"), "Ann", "PW")
	f(basic("änn", "pässwörd"), "änn", "pässwörd")
	f(basic("a\u0308nn", "pw"), "a\u0308nn", "pw")
	f(basic("\u0430nn", "密码🔑"), "\u0430nn", "密码🔑")
	f(basic("ann\u200d", "pw\u0085"), "ann\u200d", "pw\u0085")
	f(basic("%61nn", "%70w"), "%61nn", "%70w")
	f(basic("../ann", "'; --"), "../ann", "'; --")
	// The longest.
	f(basic(strings.Repeat("u", 255), strings.Repeat("p", 1024)), strings.Repeat("u", 255), strings.Repeat("p", 1024))
	f(basic("u", strings.Repeat("p", 1024)), "u", strings.Repeat("p", 1024))
	for n := range 72 {
		f(basic("ann", strings.Repeat("p", n+1)), "ann", strings.Repeat("p", n+1))
	}
}

// A pair of name and password has one spelling: other texts that decode to the same bytes are refused
// (trailing bits, line ends, padding, the alphabet of URLs).
func TestT13CanonicalBase64(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for _, text := range []string{"ann:p", "ann:pa", "ann:pas", "ann:\xc3\xa4"} {
		canonical := encode(text)
		var spellings []string
		last := len(strings.TrimRight(canonical, "=")) - 1
		for _, c := range alphabet {
			spellings = append(spellings, canonical[:last]+string(c)+canonical[last+1:])
		}
		spellings = append(spellings, strings.TrimRight(canonical, "="), canonical+"=", canonical+"==", canonical+"====",
			canonical+"\n", "\r"+canonical, canonical[:2]+"\n"+canonical[2:], canonical+"AA==", canonical+canonical,
			base64.URLEncoding.EncodeToString([]byte(text+"\xff")), base64.RawStdEncoding.EncodeToString([]byte(text+"x")))
		accepted := make(map[string]bool)
		for _, spelling := range spellings {
			var buf CredentialBuffer
			c, malformed := ParseBasic([]byte("Basic "+spelling), &buf)
			if malformed != "" {
				continue
			}
			if string(c.User)+":"+string(c.Password) == text {
				accepted[spelling] = true
			}
			if encode(string(c.User)+":"+string(c.Password)) != spelling {
				t.Errorf("%q was taken for %q", spelling, text)
			}
		}
		if len(accepted) != 1 {
			t.Errorf("%q was accepted as %v", text, accepted)
		}
	}
}

// FuzzParseBasic, T-12, compares with net/http, which skips line ends and accepts trailing bits that are
// not zero, control characters, broken UTF-8, empty names and empty passwords. net/http must read the
// headers that ParseBasic accepts in the same way, and ParseBasic may refuse only these of the headers
// that net/http accepts.
func FuzzParseBasic(f *testing.F) {
	for _, seed := range []string{
		"", "Basic", "Basic ", "Basic YW5uOnB3", "basic YW5uOnBhc3M=", "Basic YW5uOnBhc3M", "Basic  YW5uOnB3", "Basic YW5uOnB3,Basic YW5uOnB3",
		"Bearer x", "Basic YW5u\r\nOnB3", "Basic YW5uOnB4", "Basic YW5uOnBhcx==", basic("ann", "a:b"), basic("", "pw"), basic("ann", ""),
		basic("änn", "\xff"), basic("ann", "\x00"), basic(strings.Repeat("u", 255), strings.Repeat("p", 1024)),
		basic(strings.Repeat("u", 256), strings.Repeat("p", 1025)), "Basic " + strings.Repeat("A", 1711), "Basic " + strings.Repeat("A", 1709) + "=",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		before := bytes.Clone(header)
		var buf CredentialBuffer
		c, malformed := ParseBasic(header, &buf)
		if !bytes.Equal(header, before) {
			t.Fatalf("%q was changed", before)
		}
		r := http.Request{Header: http.Header{"Authorization": {string(header)}}}
		user, password, ok := r.BasicAuth()
		if malformed == "" {
			if !ok || user != string(c.User) || password != string(c.Password) {
				t.Fatalf("%q: user %q, password %q; net/http reads %q, %q, %v", header, c.User, c.Password, user, password, ok)
			}
			if encode(user+":"+password) != string(header[len("basic "):]) {
				t.Fatalf("%q is not the one spelling of %q, %q", header, user, password)
			}
			return
		}
		text := user + ":" + password
		if ok && user != "" && password != "" && len(user) <= 255 && len(password) <= 1024 && utf8.ValidString(text) &&
			!strings.ContainsFunc(text, func(r rune) bool { return r < 0x20 || r == 0x7f }) && encode(text) == string(header[len("basic "):]) {
			t.Fatalf("%q: %s; net/http reads %q, %q", header, malformed, user, password)
		}
	})
}
