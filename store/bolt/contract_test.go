package bolt

import (
	"bytes"
	"testing"

	"go.etcd.io/bbolt"

	"sidekey/auth/session"
	"sidekey/store/bolt/boltfile"
	"sidekey/store/storetest"
)

// The store in a file keeps what a store promises. No other process can have its data.
func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) *storetest.Harness {
		path := newPath(t)
		s := mustOpen(t, path)
		h := &storetest.Harness{Store: s}
		h.Reopen = func(t *testing.T) {
			mustClose(t, s)
			s = mustOpen(t, path)
			h.Store = s
		}
		h.FailCommit = func(t *testing.T) { breakFile(t, path) }
		damage := func(t *testing.T, bucket, key []byte) {
			raw(t, s, func(tx *bbolt.Tx) error {
				value := bytes.Clone(tx.Bucket(bucket).Get(key))
				value[len(value)-2] ^= 1
				return tx.Bucket(bucket).Put(key, value)
			})
		}
		h.Damage = func(t *testing.T, n session.Name) { damage(t, boltfile.Users, userKey(n.Org, n.User)) }
		h.DamagePolicy = func(t *testing.T, id string) { damage(t, boltfile.Policies, []byte(id)) }
		return h
	})
}
