package auth

import (
	"testing"
)

// The decoy is the hash of a user: whoever knows that user's password is let in under no
// other name.
func TestT10DecoyLetsNobodyIn(t *testing.T) {
	w := newWorld(t, api("orders", "/"))
	w.put("default", "ann", "pw", nil)
	p := w.checker.Settings().Passwords
	p.decoys.Store(&decoys{key: []byte("key"), shares: []share{{plain("pw"), 1}}, total: 1})
	w.want("ann", "pw", Pass)
	w.want("nobody", "pw", BadCredentials)
	w.put("default", "without", "", nil)
	w.want("without", "pw", BadCredentials)
	if asked := w.hash.Take(); asked[len(asked)-1].Stored != plain("pw") {
		t.Errorf("compared with %q", asked[len(asked)-1].Stored)
	}
}
