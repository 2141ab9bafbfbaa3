package memstore

import (
	"testing"

	"go.uber.org/goleak"

	"sidekey/auth/session"
	"sidekey/store"
	"sidekey/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The store in memory keeps what a store promises.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Harness {
		s := New()
		h := &storetest.Harness{Store: s}
		h.Reopen = func(t *testing.T) {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = s.data.open()
			h.Store = s
		}
		h.FailCommit = func(*testing.T) { s.FailCommit(false) }
		h.Damage = func(_ *testing.T, n session.Name) { s.Damage(n, true) }
		h.DamagePolicy = func(_ *testing.T, id string) { s.DamagePolicy(id) }
		h.Another = func(*testing.T) store.Store { return s.Another() }
		return h
	})
}
