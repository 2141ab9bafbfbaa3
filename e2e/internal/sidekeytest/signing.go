package sidekeytest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
	"time"
)

// Signing is how a client signs a request (draft-cavage-http-signatures-12).
type Signing struct {
	KeyID, Secret string
	Algorithm     string
	Names         string // what is signed, as in the header
	Target, Host  string // target with the method in lower case in front
	Header        []string
}

// Authorization returns the Authorization header.
func (s Signing) Authorization() string {
	var lines []string
	for name := range strings.FieldsSeq(s.Names) {
		var values []string
		switch name {
		case "(request-target)":
			values = []string{s.Target}
		case "host":
			values = []string{s.Host}
		default:
			values = Message{Header: s.Header}.Values(name)
		}
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	hashes := map[string]func() hash.Hash{"hmac-sha256": sha256.New, "hmac-sha384": sha512.New384, "hmac-sha512": sha512.New}
	made := hashes[s.Algorithm]
	if made == nil {
		made = sha256.New
	}
	mac := hmac.New(made, []byte(s.Secret))
	mac.Write([]byte(strings.Join(lines, "\n")))
	return fmt.Sprintf("Authorization: Signature keyId=%q,algorithm=%q,headers=%q,signature=%q",
		s.KeyID, s.Algorithm, s.Names, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// Dated returns a header with a date some time from now.
func Dated(name string, later time.Duration) string {
	return name + ": " + time.Now().Add(later).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
}
