package auth

import (
	"strings"
	"testing"
	"time"

	"sidekey/auth/password"
	"sidekey/auth/session"
)

func (w *world) explain(r *Request) (Verdict, string) {
	v, steps := w.checker.Explain(w.clock.now(), r)
	var text []string
	for _, s := range steps {
		mark := "+"
		if !s.Passed {
			mark = "-"
		}
		text = append(text, mark+s.Check)
	}
	return v, strings.Join(text, " ")
}

// An explained request decides like a real one, up to the first check that refuses, and uses nothing
// up: no rate, no quota.
func TestExplainChargesNothing(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", func(s *session.Session) { s.Rate, s.Per, s.QuotaMax = 1, 10, 1 })
	const passed = "+ambiguous_path +unknown_api +no_credentials +malformed_credentials +bad_credentials +inactive +expired +api_not_granted"
	for range 3 {
		if v, steps := w.explain(request("ann", "pw")); v.Reason != Pass || steps != passed+" +rate +quota" {
			t.Errorf("%v: %s", v.Reason, steps)
		}
	}
	w.want("ann", "pw", Pass)
	if v, steps := w.explain(request("ann", "pw")); v.Reason != RateExceeded || steps != passed+" -rate" {
		t.Errorf("%v: %s", v.Reason, steps)
	}
	w.clock.pass(10 * time.Second)
	if v, steps := w.explain(request("ann", "pw")); v.Reason != QuotaExceeded || steps != passed+" +rate -quota" {
		t.Errorf("%v: %s", v.Reason, steps)
	}
}

// Explaining remembers no password, prolongs none, and counts no failure. It tells an address that must
// wait so.
func TestExplainRemembersNothing(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	failures := password.NewFailures(guessLimits)
	w.set(func(s *Settings) { s.Failures = failures })
	w.put("default", "ann", "pw", nil)
	for range 2 * guessLimits.Address {
		if v, steps := w.explain(request("ann", "wrong")); v.Reason != BadCredentials || !strings.HasSuffix(steps, " -bad_credentials") {
			t.Errorf("%v: %s", v.Reason, steps)
		}
	}
	if n := failures.Tracked(); n != 0 {
		t.Errorf("%d failures", n)
	}
	w.explain(request("ann", "pw"))
	w.explain(request("ann", "pw"))
	if w.directory.Live("default", "ann").remembered.Knows([]byte("pw"), w.clock.now().Mono) {
		t.Error("an explained password is remembered")
	}
	w.want("ann", "pw", Pass) // now it is
	w.clock.pass(5*time.Minute - 1)
	w.explain(request("ann", "pw"))
	w.clock.pass(1)
	if w.directory.Live("default", "ann").remembered.Knows([]byte("pw"), w.clock.now().Mono) {
		t.Error("explaining has prolonged the time of a password")
	}
	for range guessLimits.User + 1 {
		w.want("ann", "wrong", BadCredentials)
	}
	r := request("bob", "pw")
	for range guessLimits.User + 1 {
		w.want("bob", "pw", BadCredentials)
	}
	if v, steps := w.explain(r); v.Reason != TooManyFailures || !strings.HasSuffix(steps, " -too_many_failures") {
		t.Errorf("%v: %s", v.Reason, steps)
	}
}

// Explaining spends no signature and adds no network.
func TestExplainSpendsNothing(t *testing.T) {
	w := signingWorld(t)
	r := w.by("ann", "secret-of-ann").request()
	r.Client = []byte("192.0.2.1")
	for range 3 {
		if v, steps := w.explain(r); v.Reason != Pass || !strings.HasPrefix(steps, "+ambiguous_path +unknown_api +bad_credentials ") {
			t.Errorf("%v: %s", v.Reason, steps)
		}
	}
	if w.directory.Live("default", "ann").signer.from.Has(r.Client) {
		t.Error("explaining has added a network")
	}
	w.wantSigned("after it was explained", r, Pass)
	w.wantSigned("a replay", r, BadCredentials)
}
