package auth

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sidekey/auth/httpsig"
	"sidekey/auth/password"
	"sidekey/auth/session"
)

func TestSigned(t *testing.T) {
	w := signingWorld(t)
	f := func(what string, want Reason, change func(s *signing)) {
		t.Helper()
		w.clock.pass(time.Second) // or it would be a replay
		s := w.by("ann", "secret-of-ann")
		if change != nil {
			change(&s)
		}
		v := w.wantSigned(what, s.request(), want)
		if want == Pass && v.Account.User() != "ann" {
			t.Errorf("%s: taken for %s", what, v.Account.User())
		}
	}
	f("as it should be", Pass, nil)
	for _, name := range []string{"hmac-sha256", "hmac-sha384", "hmac-sha512"} {
		f(name, Pass, func(s *signing) { s.algorithm = name })
	}
	f("no host signed", Pass, func(s *signing) { s.names = []string{"(request-target)", "date"} })
	f("in another order", Pass, func(s *signing) { s.names = []string{"date", "(request-target)"} })
	f("names in capitals", Pass, func(s *signing) { s.names = []string{"(Request-Target)", "Host", "DATE"} })
	f("another method", Pass, func(s *signing) { s.method = "DELETE" })
	f("a long target", Pass, func(s *signing) { s.target = "/orders/?" + strings.Repeat("x", 9000) })
	f("a date for browsers", Pass, func(s *signing) {
		s.names[2] = "x-aux-date"
		s.header = map[string][]string{"x-aux-date": s.header["date"]}
	})
	f("a date for browsers beside one that is not signed", Pass, func(s *signing) {
		s.names[2] = "x-aux-date"
		s.header = map[string][]string{"x-aux-date": s.header["date"], "date": {"never"}}
	})
	f("white space around a value", Pass, func(s *signing) {
		s.names = append(s.names, "x-note")
		s.header["x-note"] = []string{"\t a  b \t"}
	})
	f("a header of several lines", Pass, func(s *signing) {
		s.names = append(s.names, "x-note")
		s.header["x-note"] = []string{"a", " b ", "", "c, d"}
	})
	f("an empty header", Pass, func(s *signing) {
		s.names = append(s.names, "x-note")
		s.header["x-note"] = []string{""}
	})

	f("another secret", BadCredentials, func(s *signing) { s.secret = "secret-of-bob" })
	f("no secret", BadCredentials, func(s *signing) { s.secret = "" })
	f("the sealed secret", BadCredentials, func(s *signing) { s.secret = "sealed:default/ann:secret-of-ann" })
	f("an unknown user", BadCredentials, func(s *signing) { s.keyID = "defaultnobody" })
	f("the name without the org", BadCredentials, func(s *signing) { s.keyID = "ann" })
	f("another org", BadCredentials, func(s *signing) { s.keyID = "acmeann" })
	f("the org alone", BadCredentials, func(s *signing) { s.keyID = "default" })
	f("a part of the org", BadCredentials, func(s *signing) { s.keyID = "defaul" })
	f("no target signed", BadCredentials, func(s *signing) { s.names = []string{"host", "date"} })
	f("no date signed", BadCredentials, func(s *signing) { s.names = []string{"(request-target)", "host"} })
	f("a header that is not there", BadCredentials, func(s *signing) { s.names = append(s.names, "x-note") })
	f("no date there", BadCredentials, func(s *signing) { s.header = nil })
	f("two dates there", BadCredentials, func(s *signing) { s.header["date"] = append(s.header["date"], s.header["date"][0]) })
	for _, date := range []string{"", "now", "1800000000", "2027-01-15T08:00:00Z", "Fri, 15 Jan 2027 08:00:00 CET", "Fri, 15 Jan 2027 08:00:00 +0000", "Fri, 15 Jan 2027 08:00:00"} {
		f("date "+date, BadCredentials, func(s *signing) { s.header["date"] = []string{date} })
	}

	w.clock.pass(time.Second)
	good := w.by("ann", "secret-of-ann")
	header := good.authorization()
	g := func(what, authorization string, want Reason) {
		t.Helper()
		w.clock.pass(time.Millisecond)
		w.wantSigned(what, good.requestWith(authorization), want)
	}
	g("an algorithm that is not offered", strings.Replace(header, "hmac-sha256", "hmac-sha1", 1), BadCredentials)
	g("another algorithm", strings.Replace(header, "hmac-sha256", "hmac-sha512", 1), BadCredentials)
	g("no algorithm", strings.Replace(header, `algorithm="hmac-sha256",`, "", 1), MalformedCredentials)
	g("no list of headers", strings.Replace(header, `headers="(request-target) host date",`, "", 1), BadCredentials)
	g("expired", header+",expires=1799999999", BadCredentials)
	g("created in the future", header+",created=1800009999", BadCredentials)
	g("a part of the signature", strings.Replace(header, good.signature(), base64.StdEncoding.EncodeToString([]byte("short")), 1), BadCredentials)
	g("percent-encoded", strings.Replace(header, good.signature(), url.QueryEscape(good.signature()), 1), Pass)

	w.clock.pass(time.Second)
	tampered := w.by("ann", "secret-of-ann")
	for what, change := range map[string]func(r *Request){
		"method": func(r *Request) { r.Method = []byte("PUT") },
		"target": func(r *Request) { r.URI = []byte("/orders?x=2") },
		"host":   func(r *Request) { r.Host = []byte("example.com") },
		"date":   func(r *Request) { r.Headers = fakeHeaders{"date": {w.date(time.Second)}} },
	} {
		r := tampered.request()
		change(r)
		w.wantSigned("another "+what+" than signed", r, BadCredentials)
	}
	w.wantSigned("as signed", tampered.request(), Pass)

	// For an API that does not accept signed requests, and with several headers.
	elsewhere := w.by("ann", "secret-of-ann")
	elsewhere.target = "/elsewhere"
	w.wantSigned("an API without signed requests", elsewhere.request(), MalformedCredentials)
	twice := w.by("ann", "secret-of-ann").request()
	twice.AuthorizationCount = 2
	w.wantSigned("two Authorization headers", twice, MalformedCredentials)
}

func TestSignedSkew(t *testing.T) {
	for _, c := range []struct {
		skew, late time.Duration
		want       Reason
	}{
		{5 * time.Minute, 299 * time.Second, Pass},
		{5 * time.Minute, 300 * time.Second, Pass},
		{5 * time.Minute, 301 * time.Second, BadCredentials},
		{5 * time.Minute, -300 * time.Second, Pass},
		{5 * time.Minute, -301 * time.Second, BadCredentials},
		{time.Second, time.Second, Pass},
		{time.Second, 2 * time.Second, BadCredentials},
		{time.Second, -2 * time.Second, BadCredentials},
		{time.Hour, 292 * 365 * 24 * time.Hour, BadCredentials},
	} {
		w := signingWorld(t)
		w.set(func(s *Settings) { s.SignatureSkew = c.skew })
		s := w.by("ann", "secret-of-ann")
		s.header["date"] = []string{w.date(c.late)}
		w.wantSigned(fmt.Sprintf("skew %v, date %v off", c.skew, c.late), s.request(), c.want)
		// The worst of two dates that are signed counts.
		s.names = append(s.names, "x-aux-date")
		s.header["x-aux-date"] = []string{w.date(0)}
		w.wantSigned(fmt.Sprintf("skew %v, one of two dates %v off", c.skew, c.late), s.request(), c.want)
	}
	w := signingWorld(t)
	for _, date := range []string{"Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
		s := w.by("ann", "secret-of-ann")
		s.header["date"] = []string{date}
		w.wantSigned(date, s.request(), BadCredentials)
	}
}

// A user who must sign, because of the session or of a policy, cannot log in by password. Other users
// cannot sign.
func TestSignedOrPassword(t *testing.T) {
	w := signingWorld(t)
	ask := func(user string, want Reason) {
		t.Helper()
		r := request(user, "pw")
		r.URI = []byte("/orders")
		w.wantSigned(user+" by password", r, want)
		r.URI = []byte("/")
		w.wantSigned(user+" by password, elsewhere", r, want)
	}
	sign := func(user string, want Reason) {
		t.Helper()
		w.clock.pass(time.Second)
		w.wantSigned(user+" signs", w.by(user, "secret-of-"+user).request(), want)
	}
	ask("ann", BadCredentials)
	sign("ann", Pass)
	w.edit("default", "ann", func(s *session.Session) { s.HMACEnabled = false })
	ask("ann", Pass)
	sign("ann", BadCredentials)
	w.edit("default", "ann", func(s *session.Session) { s.HMACEnabled = true })
	ask("ann", BadCredentials) // even a remembered password
	sign("ann", Pass)

	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", AccessRights: map[string]session.Right{"orders": {}, "rest": {}}})
	w.signer("default", "bob", func(s *session.Session) { s.HMACEnabled, s.ApplyPolicies = false, []string{"gold"} })
	ask("bob", Pass)
	sign("bob", BadCredentials)
	w.policies.SetStored("gold", &session.Policy{ID: "gold", OrgID: "default", HMACEnabled: true, AccessRights: map[string]session.Right{"orders": {}, "rest": {}}})
	ask("bob", BadCredentials)
	sign("bob", Pass)

	// Without a secret, or with one that is sealed for another user, no signature is right.
	w.signer("default", "carl", func(s *session.Session) { s.HMACString = "" })
	sign("carl", BadCredentials)
	ask("carl", BadCredentials)
	w.signer("default", "dora", func(s *session.Session) { s.HMACString = "sealed:default/ann:secret-of-dora" })
	sign("dora", BadCredentials)
	ask("dora", BadCredentials)
	// An empty secret is none.
	empty := w.by("carl", "")
	w.wantSigned("an empty secret", empty.request(), BadCredentials)
	// A name with quotes in it.
	w.signer("default", `a"b\`, nil)
	quoted := w.by(`a\"b\\`, `secret-of-a"b\`)
	w.wantSigned("a name with quotes", quoted.request(), Pass)
}

// The checks after the credentials apply to signed requests, too.
func TestSignedIsThenDecided(t *testing.T) {
	w := signingWorld(t)
	f := func(want Reason, change func(s *session.Session)) {
		t.Helper()
		w.clock.pass(time.Second)
		w.signer("default", "ann", change)
		w.wantSigned(want.String(), w.by("ann", "secret-of-ann").request(), want)
	}
	f(Inactive, func(s *session.Session) { s.IsInactive = true })
	f(Expired, func(s *session.Session) { s.Expires = 1 })
	f(APINotGranted, func(s *session.Session) { s.AccessRights = map[string]session.Right{"rest": {}} })
	slow := func(s *session.Session) { s.Rate, s.Per = 1, 3600 }
	f(Pass, slow)
	w.clock.pass(time.Second)
	over := w.by("ann", "secret-of-ann").request()
	w.wantSigned("over the rate", over, RateExceeded)
	// A signature that was seen is used up, whatever became of the request.
	w.wantSigned("over the rate, again", over, BadCredentials)
}

// An unknown key, one without a secret and a wrong signature cost the same: the work is done with a
// random secret. The signed text is long here, so that its work outweighs everything else.
func TestSignedDecoy(t *testing.T) {
	w := signingWorld(t)
	w.signer("default", "mute", func(s *session.Session) { s.HMACString = "" })
	w.put("default", "basic", "pw", nil)
	requests := make(map[string]*Request)
	for _, user := range []string{"ann", "mute", "basic", "absent"} {
		s := w.by(user, "wrong")
		s.names = append(s.names, "x-note")
		s.header["x-note"] = []string{strings.Repeat("x", 1<<20)}
		requests[user] = s.request()
	}
	// A client who knew the decoy's secret would not be admitted under any name.
	random := decoySigner
	decoySigner = &signer{Signer: httpsig.NewSigner("", "", []byte("known"))}
	for _, user := range []string{"absent", "mute", "basic"} {
		w.wantSigned(user+" with the decoy's secret", w.by(user, "known").request(), BadCredentials)
	}
	decoySigner = random
	orders := w.checker.Settings().APIs.ByID("orders")
	best := make(map[string]time.Duration)
	for range 9 {
		for user, r := range requests {
			d := w.checker.start(w.clock.now(), r, new(Verdict))
			d.api = orders
			start := time.Now()
			d.signed.recognise(r, orders)
			got := d.signed.verify(d)
			if took := time.Since(start); best[user] == 0 || took < best[user] {
				best[user] = took
			}
			if got.reason != BadCredentials || d.signed.spent {
				t.Fatalf("%s: %v, spent %v", user, got.reason, d.signed.spent)
			}
			d.release()
		}
	}
	for user, took := range best {
		if took < best["ann"]/2 || took > best["ann"]*2 {
			t.Errorf("%s takes %v, a wrong signature of a known key %v", user, took, best["ann"])
		}
	}
}

// All refusals take as long as [password.ShortestRefusal], which is longer than looking up any user.
func TestSignedRefusalTakesItsTime(t *testing.T) {
	w := signingWorld(t)
	for _, user := range []string{"ann", "absent"} {
		start := time.Now()
		w.wantSigned(user, w.by(user, "wrong").request(), BadCredentials)
		if took := time.Since(start); took < password.ShortestRefusal {
			t.Errorf("%s: refused after %v", user, took)
		}
	}
}

// Wrong signatures and keys that do not exist count as wrong passwords do, together with
// those, by address and key and by address alone.
func TestT50SignaturesCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := signingWorld(t)
		limits := guessLimits // 3 and 10 failures cost nothing
		w.set(func(s *Settings) { s.Failures = password.NewFailures(limits) })
		w.signer("default", "bob", nil)
		w.put("default", "basic", "pw", nil)
		w.put("default", "carl", "pw", nil)
		sign := func(client, user, secret string, want Reason) Verdict {
			t.Helper()
			w.clock.pass(time.Millisecond)
			s := w.by(user, secret)
			s.target = fmt.Sprint("/orders/", w.clock.now().Mono)
			r := s.request()
			r.Client = []byte(client)
			return w.wantSigned(client+" "+user, r, want)
		}
		for i, user := range []string{"ann", "absent", "carl"} { // with a secret, unknown, without one
			client := fmt.Sprint("192.0.2.", i)
			for range limits.User + 1 {
				sign(client, user, "wrong", BadCredentials)
			}
			if v := sign(client, user, "wrong", TooManyFailures); v.Retry != time.Second-time.Millisecond || v.Named != nil {
				t.Errorf("%s: %v, %v", user, v.Retry, v.Named)
			}
			sign(client, "bob", "secret-of-bob", Pass) // another key
		}
		// While the address has to wait, a right signature is refused as well, unless one has
		// come from its network before (T-104).
		sign("192.0.2.0", "ann", "secret-of-ann", TooManyFailures)
		sign("198.51.100.9", "ann", "secret-of-ann", Pass)
		sign("192.0.2.0", "ann", "secret-of-ann", TooManyFailures)
		for range limits.User + 1 {
			sign("198.51.100.7", "ann", "wrong", BadCredentials)
		}
		sign("198.51.100.7", "ann", "wrong", TooManyFailures)
		sign("198.51.100.7", "ann", "secret-of-ann", Pass)
		sign("198.51.100.7", "ann", "wrong", TooManyFailures) // which forgives nothing
		w.clock.pass(24 * time.Hour)
		for range limits.User + 1 {
			sign("198.51.100.7", "ann", "wrong", BadCredentials)
		}
		sign("198.51.100.7", "ann", "wrong", TooManyFailures)
		sign("198.51.100.7", "ann", "secret-of-ann", Pass) // at any time
		w.set(func(s *Settings) { s.VerifiedTTL = 0 })
		sign("198.51.100.7", "ann", "secret-of-ann", TooManyFailures) // nothing is remembered
		w.set(func(s *Settings) { s.VerifiedTTL = 5 * time.Minute })
		// From another network the first right one begins the count again.
		for range limits.User {
			sign("203.0.113.1", "ann", "wrong", BadCredentials)
		}
		sign("203.0.113.1", "ann", "secret-of-ann", Pass)
		sign("203.0.113.1", "ann", "wrong", BadCredentials)

		// With passwords, and by address.
		for range limits.User {
			sign("192.0.2.3", "basic", "wrong", BadCredentials)
		}
		password := func(client, user, password string, want Reason) {
			t.Helper()
			r := request(user, password)
			r.URI, r.Client = []byte("/orders"), []byte(client)
			w.wantSigned(user+" by password", r, want)
		}
		password("192.0.2.3", "basic", "wrong", BadCredentials)
		password("192.0.2.3", "basic", "pw", TooManyFailures)
		password("192.0.2.4", "basic", "pw", Pass)
		for i := range limits.Address + 1 {
			sign("192.0.2.5", fmt.Sprint("absent", i), "wrong", BadCredentials)
		}
		sign("192.0.2.5", "absent", "wrong", TooManyFailures)
		password("192.0.2.5", "carl", "pw", TooManyFailures)

		// A wrong date and a replay are not guesses, so they do not count. Neither does Explain.
		late := w.by("ann", "secret-of-ann")
		late.header["date"] = []string{w.date(-time.Hour)}
		r := late.request()
		r.Client = []byte("192.0.2.6")
		again := w.by("ann", "secret-of-ann").request()
		again.Client = []byte("192.0.2.6")
		w.wantSigned("at first", again, Pass)
		wrong := w.by("ann", "wrong").request()
		wrong.Client = []byte("192.0.2.6")
		for range 3 * limits.Address {
			w.wantSigned("late", r, BadCredentials)
			w.wantSigned("replay", again, BadCredentials)
			if v, _ := w.checker.Explain(w.clock.now(), wrong); v.Reason != BadCredentials {
				t.Errorf("explained: %v", v.Reason)
			}
		}
		sign("192.0.2.6", "ann", "wrong", BadCredentials)
		if v, _ := w.checker.Explain(w.clock.now(), func() *Request { r := w.by("absent", "x").request(); r.Client = []byte("192.0.2.5"); return r }()); v.Reason != TooManyFailures {
			t.Errorf("explained: %v", v.Reason)
		}
	})
}
