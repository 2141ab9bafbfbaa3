package httpsig

import (
	"bytes"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

const goodSignature = `Signature keyId="defaultann",algorithm="hmac-sha256",headers="(request-target) date",signature="c2ln"`

func TestParseMalformed(t *testing.T) {
	f := func(header string, want error) {
		t.Helper()
		var buf Buffer
		if _, got := Parse([]byte(header), &buf); got != want {
			t.Errorf("%.120q: %v, want %v", header, got, want)
		}
	}
	edit := func(old, replacement string) string {
		t.Helper()
		if !strings.Contains(goodSignature, old) {
			t.Fatalf("%s is not there", old)
		}
		return strings.Replace(goodSignature, old, replacement, 1)
	}
	f(goodSignature, nil)

	// The scheme, and exactly one space.
	f("", ErrMalformed)
	f("Signature", ErrMalformed)
	f("Signature ", ErrMalformed)
	f(edit("Signature ", "Signature  "), ErrMalformed)
	f(edit("Signature ", "Signature\t"), ErrMalformed)
	f(edit("Signature ", " Signature "), ErrMalformed)
	f(edit("Signature ", "Signatures "), ErrMalformed)
	f(edit("Signature ", "Basic "), ErrMalformed)
	f(edit("Signature ", "\u017fignature "), ErrMalformed)

	// The form of the list.
	f(goodSignature+",", ErrMalformed)
	f(goodSignature+", ", ErrMalformed)
	f(goodSignature+" x", ErrMalformed)
	f(goodSignature+";created=1", ErrMalformed)
	f(edit(`,algorithm`, `,,algorithm`), ErrMalformed)
	f(edit(`,algorithm`, ` algorithm`), ErrMalformed)
	f(edit(`,algorithm`, `algorithm`), ErrMalformed)
	f(edit(`keyId=`, `,keyId=`), ErrMalformed)
	f(edit(`keyId=`, `keyId =`), ErrMalformed)
	f(edit(`keyId=`, `keyId= `), ErrMalformed)
	f(edit(`keyId=`, `="x",keyId=`), ErrMalformed)
	f(edit(`keyId=`, `x,keyId=`), ErrMalformed)
	f(edit(`keyId=`, `x=,keyId=`), ErrMalformed)
	f(edit(`keyId=`, `x="y,keyId=`), ErrMalformed)
	f(edit(`keyId=`, "x=\"\n\",keyId="), ErrMalformed)
	f(edit(`keyId=`, `x="\y",keyId=`), ErrMalformed)
	f(edit(`keyId=`, `x="\`), ErrMalformed)
	f(goodSignature[:len(goodSignature)-1], ErrMalformed)
	// Two headers that a proxy has joined.
	f(goodSignature+","+goodSignature, ErrMalformed)
	f(goodSignature+", "+goodSignature, ErrMalformed)
	f(goodSignature+",Basic YTpi", ErrMalformed)

	// Parameters that must be there, once, in quotes, and not empty.
	for _, p := range []string{`keyId="defaultann",`, `algorithm="hmac-sha256",`, `signature="c2ln"`} {
		f(strings.TrimSuffix(edit(p, ""), ","), ErrMalformed)
	}
	for _, p := range []string{`keyId="defaultann"`, `algorithm="hmac-sha256"`, `headers="(request-target) date"`, `signature="c2ln"`} {
		name, value, _ := strings.Cut(p, "=")
		f(goodSignature+","+p, ErrMalformed)
		f(goodSignature+","+strings.ToUpper(name)+"="+value, ErrMalformed)
		f(edit(p, name+`=""`), ErrMalformed)
		f(edit(p, name+"="+strings.Trim(strings.ReplaceAll(value, "(request-target) ", ""), `"`)), ErrMalformed)
	}

	// The names of signed headers.
	for _, list := range []string{
		" ", " date", "date ", "date  host", "date,host", "date\thost", "(created) date", "(expires) date", "(request-target", "(other) date",
		"date date", "date host Date", "(request-target) (Request-Target)", "d\u00e4te", `da\"te`, "da(te",
	} {
		f(edit("(request-target) date", list), ErrMalformed)
	}
	many := ""
	for i := range maxSignedNames {
		many += " x" + strconv.Itoa(i)
	}
	f(edit("(request-target) date", many[1:]), nil)
	f(edit("(request-target) date", "date"+many), ErrMalformed)

	// Times.
	f(goodSignature+`,created=1402170695,expires=1402170699.25`, nil)
	for _, value := range []string{`"1402170695"`, "-1", "+1", "1e9", "1.", ".5", "1.x", "x", "1402170695x", "1234567890123", "0x10"} {
		f(goodSignature+",created="+value, ErrMalformed)
		f(goodSignature+",expires="+value, ErrMalformed)
	}
	f(goodSignature+",created=1,created=1", ErrMalformed)
	f(goodSignature+",expires=1,Expires=1", ErrMalformed)

	// The signature: base64 in its one spelling.
	for _, value := range []string{
		"c2lnbg", "c2lnbg=", "c2lnbh==", "c2lnbg===", "====", "c2 ln", "c2l-", "c2l_", "!", "%", "%6", "%6g", "c2ln%", "%0a", "%0D", "c2ln%0A", "%63%32%6C%6E%3D",
		strings.Repeat("A", maxSignature+4), strings.Repeat("%41", maxSignature+4), `c2\\ln`,
	} {
		f(edit("c2ln", value), ErrNotBase64)
	}
	f(edit("c2ln", strings.Repeat("%41", maxSignature)), nil)

	// Key ids that no user can have.
	f(edit("defaultann", "default\xff"), ErrMalformed)
	f(edit("defaultann", "default\x7f"), ErrMalformed)
	f(edit("defaultann", strings.Repeat("x", maxKeyID)), nil)
	f(edit("defaultann", strings.Repeat("x", maxKeyID+1)), ErrMalformed)
	f(edit("defaultann", strings.Repeat(`\"`, maxKeyID)), nil)
	f(edit("defaultann", strings.Repeat(`\"`, maxKeyID+1)), ErrMalformed)
}

func TestParse(t *testing.T) {
	f := func(header string, want Signature) {
		t.Helper()
		var buf Buffer
		got, err := Parse([]byte(header), &buf)
		if err != nil || describe(got) != describe(want) {
			t.Errorf("%s: %v\ngot  %s\nwant %s", header, err, describe(got), describe(want))
		}
	}
	want := Signature{
		KeyID: []byte("defaultann"), Algorithm: []byte("hmac-sha256"), Headers: []byte("(request-target) date"), MAC: []byte("sig"),
		Created: absent, Expires: absent,
	}
	f(goodSignature, want)
	f(strings.Replace(goodSignature, "Signature", "sIGNATURE", 1), want)
	f(strings.ReplaceAll(goodSignature, ",", " ,\t "), want)
	f(`Signature signature="c2ln",HEADERS="(request-target) date",KeyID="defaultann",Algorithm="hmac-sha256"`, want)
	f(strings.Replace(goodSignature, "c2ln", "%63%32l%6e", 1), want)
	// Parameters that the draft does not know are skipped, however often they come.
	f(goodSignature+`,nonce="a,b=\"c\"",opaque=x,nonce="d"`, want)
	timed := want
	timed.Created, timed.Expires = 1402170695, 0
	f(goodSignature+`,created=1402170695,expires=0.9`, timed)
	bare := want
	bare.Headers = nil
	f(strings.Replace(goodSignature, `headers="(request-target) date",`, "", 1), bare)
	quoted := want
	quoted.KeyID = []byte(`default"an\n", ä`)
	f(strings.Replace(goodSignature, "defaultann", `default\"an\\n\", ä`, 1), quoted)
	// A plus sign is a plus sign: Tyk's clients escape it, and it is no space.
	plus := want
	plus.MAC = []byte{0xfb, 0xef, 0xbe, 0xff}
	f(strings.Replace(goodSignature, "c2ln", "++++/w==", 1), plus)
	f(strings.Replace(goodSignature, "c2ln", url.QueryEscape("++++/w=="), 1), plus)
}

// describe returns a signature in the form of a header.
func describe(s Signature) string {
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	text := `Signature keyId="` + quote.Replace(string(s.KeyID)) + `",algorithm="` + string(s.Algorithm) + `"`
	if len(s.Headers) > 0 {
		text += `,headers="` + string(s.Headers) + `"`
	}
	if s.Created != absent {
		text += ",created=" + strconv.FormatInt(s.Created, 10)
	}
	if s.Expires != absent {
		text += ",expires=" + strconv.FormatInt(s.Expires, 10)
	}
	return text + `,signature="` + base64.StdEncoding.EncodeToString(s.MAC) + `"`
}

// An accepted signature means the same when it is written again.
func FuzzSignature(f *testing.F) {
	for _, seed := range []string{
		goodSignature, strings.Replace(goodSignature, "Signature", "signature", 1), strings.ReplaceAll(goodSignature, ",", " , "),
		goodSignature + ",created=1402170695,expires=1402170699.5", goodSignature + `,nonce="a\"b",x=y`,
		strings.Replace(goodSignature, "c2ln", "%2b%2F%3d", 1), strings.Replace(goodSignature, "ann", `\"\\ä`, 1),
		`Signature keyId="a",algorithm="hs2019",signature="AAAA"`, goodSignature + "," + goodSignature, "Signature", "Signature ", `Signature a="`, "Basic YTpi",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var buf, buf2 Buffer
		before := bytes.Clone(header)
		s, err := Parse(header, &buf)
		if !bytes.Equal(before, header) {
			t.Fatal("the header was changed")
		}
		if err != nil {
			return
		}
		if len(s.KeyID) == 0 || len(s.Algorithm) == 0 || len(s.MAC) == 0 || bytes.ContainsAny(s.KeyID, "\r\n\x00") {
			t.Fatalf("accepted %+v", s)
		}
		text := describe(s)
		again, err := Parse([]byte(text), &buf2)
		if err != nil || describe(again) != text {
			t.Fatalf("%q\nbecame %q\nthen   %q %v", header, text, describe(again), err)
		}
	})
}
