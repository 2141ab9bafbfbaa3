package auth

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth/session"
)

func TestReplay(t *testing.T) {
	w := signingWorld(t)
	w.signer("default", "bob", func(s *session.Session) { s.HMACString = "sealed:default/bob:secret-of-ann" })
	first := w.by("ann", "secret-of-ann")
	w.wantSigned("first", first.request(), Pass)
	w.wantSigned("replay", first.request(), BadCredentials)

	// However it is spelled.
	header := first.authorization()
	for _, spelling := range []string{
		strings.Replace(header, first.signature(), url.QueryEscape(first.signature()), 1),
		strings.ReplaceAll(header, ",", ", "), strings.Replace(header, "Signature", "signature", 1), strings.Replace(header, "hmac-sha256", "HMAC-SHA256", 1),
		strings.Replace(header, "host date", "Host Date", 1), header + `,nonce="1"`,
	} {
		w.wantSigned(spelling, first.requestWith(spelling), BadCredentials)
	}
	// Another user with the same secret is another user.
	other := w.by("bob", "secret-of-ann")
	w.wantSigned("bob", other.request(), Pass)
	w.wantSigned("bob's replay", other.request(), BadCredentials)
	// One that was refused for its signature has used up nothing.
	w.clock.pass(time.Second)
	next := w.by("ann", "secret-of-ann")
	wrong := next.request()
	wrong.URI = []byte("/orders?x=2")
	w.wantSigned("wrong", wrong, BadCredentials)
	w.wantSigned("right", next.request(), Pass)

	// Neither an edit nor deleting and writing the user again forgets a signature.
	w.edit("default", "ann", func(s *session.Session) { s.Alias = "Ann" })
	w.wantSigned("replay after an edit", next.request(), BadCredentials)
	w.remove("default", "ann")
	w.signer("default", "ann", nil)
	w.wantSigned("replay after deleting", next.request(), BadCredentials)

	// Until its date is too far off, it stays refused; the clock set back does not help.
	s := w.by("ann", "secret-of-ann")
	s.target, s.header["date"] = "/orders/late", []string{w.date(5 * time.Minute)}
	late := s.request()
	w.wantSigned("dated ahead", late, Pass)
	for range 45 {
		w.clock.pass(15 * time.Second)
		w.wantSigned("in between", w.by("ann", "secret-of-ann").request(), Pass)
		w.wantSigned("replay", late, BadCredentials)
	}
	w.clock.wall.Add(-int64(6 * time.Minute))
	w.wantSigned("replay after the clock was set back", late, BadCredentials)
	// Nor does a longer skew.
	w.clock.wall.Add(int64(6 * time.Minute))
	w.set(func(s *Settings) { s.SignatureSkew = time.Hour })
	w.wantSigned("replay with a longer skew", late, BadCredentials)
}

// Of many that come at once with the same signature, one passes.
func TestReplayAtOnce(t *testing.T) {
	w := signingWorld(t)
	for i := range 100 {
		w.clock.pass(10 * time.Second)
		s := w.by("ann", "secret-of-ann")
		s.target = fmt.Sprintf("/orders/%d", i)
		begin := make(chan struct{})
		var passed atomic.Int64
		var group sync.WaitGroup
		for range 16 {
			r := s.request()
			group.Go(func() {
				<-begin
				switch v := w.checker.Check(w.clock.now(), r); v.Reason {
				case Pass:
					passed.Add(1)
				case BadCredentials:
				default:
					t.Error(v.Reason)
				}
			})
		}
		close(begin)
		group.Wait()
		if passed.Load() != 1 {
			t.Fatalf("%d passed", passed.Load())
		}
	}
}

// A request that has to follow its account, because that is edited while it is under way,
// is not taken for its own replay.
func TestSignedWhileEdited(t *testing.T) {
	w := signingWorld(t)
	w.signer("default", "ann", func(s *session.Session) { s.QuotaMax = 1_000_000 })
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				w.signer("default", "ann", func(s *session.Session) { s.QuotaMax = 1_000_000 })
				time.Sleep(100 * time.Microsecond)
			}
		}
	})
	for i := range 500 {
		s := w.by("ann", "secret-of-ann")
		s.target = fmt.Sprintf("/orders/%d", i)
		if v := w.check(s.request()); v.Reason != Pass && v.Reason != Busy {
			t.Errorf("%v", v.Reason)
		}
		if i%100 == 99 {
			w.clock.pass(10 * time.Minute) // the memory is small
		}
	}
	close(stop)
	group.Wait()
}
