package password

import (
	"strings"
	"testing"
	"time"
)

const foreignPassword = "Jürgen: pa$$word"

// foreign are hashes of foreignPassword that openssl passwd and the crypt(3) of glibc
// have made.
var foreign = []struct{ kind, hash string }{
	{"apr1", "$apr1$abcd1234$8AcyZdB0zCPyX6bGhBZ4H/"},
	{"apr1", "$apr1$ab$Hes3Kzobcd0hAmjq3Pl42/"},
	{"sha1", "{SHA}syXLcnHQzjJw4wkzdPf2s6oVlws="},
	{"sha256crypt", "$5$saltstring$4a8CDk87bikypj3fG6uvv1B2PiTGDM3/6gcduDRcbv7"},
	{"sha256crypt", "$5$rounds=10000$short$6rzMem.mJ9GEFqJKxSr34Tkno.kKA3ME1o1ARQWckm2"},
	{"sha512crypt", "$6$saltstring$Hw2.XSVrVcHTAqtD93AS9pdaFJ7W/G7kKFZxoa7Yb3CdlboRX8Ycg6E7.SrOc1VRbWs308ASq7DZGDL3tSHcX."},
	{"sha512crypt", "$6$rounds=1400$short$C/fCGIWRtuIxYlUapsKDc7aCYfaqIHvDk45jrFqBZeTxM9x.qsVfRJn14n8/7nTBsdIZwi0hooVkbWAaqL4z40"},
	{"sha512crypt", "$6$x$.3HqrrFStSEFO03W06afGxcujLmmkA5xWFNGmqhysMY98jzZQseC5QiPkQyW4TURUgrfeA/g1duvexAx9ekuh."},
	{"bcrypt", "$2y$04$abcdefghijklmnopqrstuuecqym2B0RFt2AIb1390eUqiZadJbevW"},
}

func TestForeignHashes(t *testing.T) {
	p, err := NewPasswords(Bcrypt(4), 1, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range foreign {
		if kind, err := HashKind(f.hash); kind != f.kind || err != nil {
			t.Errorf("%s: kind %q, %v, want %q", f.hash, kind, err, f.kind)
		}
		if ok, err := p.Verify("default", "alice", f.hash, foreignPassword); !ok || err != nil {
			t.Errorf("%s: does not match: %v", f.hash, err)
		}
		for _, wrong := range []string{"", foreignPassword + "x", foreignPassword[1:], f.hash, foreignPassword + "\x00", strings.Repeat("x", 1000)} {
			if ok, _ := p.Verify("default", "alice", f.hash, wrong); ok {
				t.Errorf("%s: matches %q", f.hash, wrong)
			}
		}
		if f.kind != "bcrypt" && !p.Outdated(f.hash) {
			t.Errorf("%s: is not replaced at the next login", f.hash)
		}
	}
	// An invalid password matches no hash.
	if ok, _ := p.Verify("default", "alice", "", "x"); ok {
		t.Error("a user without a password can log in")
	}
}

// 255 bytes are Apache's longest password; more would let a client choose how long a
// hash takes.
func TestForeignPasswordLength(t *testing.T) {
	for _, hash := range []string{
		"$apr1$zzzzzzzz$CMSS.OBicEWJOmTJp.JLA.",
		"$5$rounds=1000$abcdefghijklmnop$Uois7IGxEATcuu/brVbCQEsO8hX/ws1NAHYm.jNZNwD",
	} {
		if !(htpasswdHash{}).Matches(hash, []byte(strings.Repeat("x", 255))) {
			t.Errorf("%s: 255 bytes do not match", hash)
		}
	}
	const long = "$apr1$zzzzzzzz$gmiu5oELiAuN8Pvi6Iqrk1" // of 256 times x
	if !compareHtpasswd("apr1", long, strings.Repeat("x", 256)) {
		t.Fatal("this is another hash")
	}
	if (htpasswdHash{}).Matches(long, []byte(strings.Repeat("x", 256))) {
		t.Error("256 bytes match")
	}
}

// T-42: one spelling, and no hash that takes long to verify.
func TestHashKindRefuses(t *testing.T) {
	const salt53 = "abcdefghijklmnopqrstuuecqym2B0RFt2AIb1390eUqiZadJbevW"
	for _, hash := range []string{
		"", "x", "secret", "aXw3s5MPK2Fe6", "HASH-00", "$", "$2", "{SHA}",
		"$2x$10$" + salt53, "$2$10$" + salt53, "$2y$03$" + salt53, "$2y$15$" + salt53, "$2y$31$" + salt53, "$2y$4$" + salt53,
		"$2y$10$" + salt53 + "x", "$2y$10$" + salt53[1:], "$2y$10$" + salt53 + "\n", "\n$2y$10$" + salt53, "$2Y$10$" + salt53, "$2y$10$" + salt53[1:] + "é",
		"$1$abcd1234$8AcyZdB0zCPyX6bGhBZ4H/", "$apr1$$8AcyZdB0zCPyX6bGhBZ4H/", "$apr1$abcd12345$8AcyZdB0zCPyX6bGhBZ4H/",
		"$apr1$abcd1234$8AcyZdB0zCPyX6bGhBZ4H", "$apr1$abcd1234$8AcyZdB0zCPyX6bGhBZ4H/\n", "$apr1$abcd:234$8AcyZdB0zCPyX6bGhBZ4H/",
		"{SHA}syXLcnHQzjJw4wkzdPf2s6oVlws", "{sha}syXLcnHQzjJw4wkzdPf2s6oVlws=", "{SSHA}syXLcnHQzjJw4wkzdPf2s6oVlws=",
		strings.Replace(foreign[4].hash, "10000", "200001", 1), strings.Replace(foreign[4].hash, "10000", "999", 1),
		strings.Replace(foreign[4].hash, "10000", "999999999", 1), strings.Replace(foreign[4].hash, "10000", "010000", 1),
		strings.Replace(foreign[4].hash, "10000", "-1", 1), strings.Replace(foreign[4].hash, "rounds", "round", 1),
		"$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
		"$argon2id$v=19$m=262144,t=3,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw",
		"$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw",
	} {
		kind, err := HashKind(hash)
		if err == nil {
			t.Errorf("%q: taken for %s", hash, kind)
			continue
		}
		if len(hash) > 10 && strings.Contains(err.Error(), hash[6:]) {
			t.Errorf("%q: the error holds it: %v", hash, err)
		}
		p := &Passwords{hash: Bcrypt(4)}
		if strings.HasPrefix(hash, "$2") {
			continue // a cost of 31 would not end
		}
		if p.hashOf(hash).Matches(hash, []byte(foreignPassword)) {
			t.Errorf("%q: matches", hash)
		}
	}
}

// FuzzHash: a text that is accepted as a hash can be verified in bounded time with any password; other
// texts match nothing; nothing panics.
func FuzzHash(f *testing.F) {
	for _, h := range foreign {
		f.Add(h.hash, foreignPassword)
	}
	f.Add("$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5aw", "x")
	p := &Passwords{hash: Bcrypt(4)}
	f.Fuzz(func(t *testing.T, hash, password string) {
		kind, err := HashKind(hash)
		if kind == "bcrypt" && hash[4:6] > "06" || kind == "argon2id" && len(hash) > 0 && !strings.Contains(hash, "$m=64,t=1,p=1$") {
			return // slow, and other tests are about it
		}
		if strings.HasPrefix(hash, "$2") && err != nil {
			return
		}
		began := time.Now()
		matches := p.hashOf(hash).Matches(hash, []byte(password))
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%q took %v", hash, took)
		}
		if matches && (err != nil || password == "") {
			t.Errorf("%q matches %q", hash, password)
		}
	})
}
