package bolt

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"go.etcd.io/bbolt"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

// eachBit calls f with b with one bit flipped, for every bit.
func eachBit(b []byte, f func(flipped []byte, bit int)) {
	for bit := range 8 * len(b) {
		flipped := slices.Clone(b)
		flipped[bit/8] ^= 1 << (bit % 8)
		f(flipped, bit)
	}
}

// Every bit of a stored user, quota and policy is flipped. The user is refused and named as
// damaged, others are not affected, and writing the user again helps.
func TestFlippedBitsInTheFile(t *testing.T) {
	s := mustOpen(t, newPath(t))
	put(t, s, record("default", "bob", "healthy"))
	alice := put(t, s, record("default", "alice", "x"))
	key := userKey("default", "alice")
	quota := limiter.QuotaKey{Org: "default", User: "alice"}
	reservation := limiter.Reservation{Generation: alice.Generation, Start: 5, Reserved: 10}
	want(t, "reserve", reserve(s, quota, reservation), nil)

	flipAll := func(bucket, key []byte, check func(bit int)) {
		t.Helper()
		var value []byte
		raw(t, s, func(tx *bbolt.Tx) error {
			value = bytes.Clone(tx.Bucket(bucket).Get(key))
			return nil
		})
		if value == nil {
			t.Fatalf("nothing under %q", key)
		}
		eachBit(value, func(flipped []byte, bit int) {
			raw(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, flipped) })
			check(bit)
		})
		raw(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, value) })
	}
	refused := func(bit int) {
		if _, _, err := s.Load("default", "alice"); !errors.Is(err, auth.ErrDamaged) {
			t.Errorf("bit %d: alice: %v", bit, err)
		}
	}
	flipAll(boltfile.Users, key, refused)
	if got := s.Damaged(); !slices.Equal(got, []string{"default/alice"}) {
		t.Errorf("Damaged: %q", got)
	}
	flipAll(boltfile.Quotas, quotaKey(quota), refused)
	if _, _, err := s.Load("default", "bob"); err != nil {
		t.Errorf("bob: %v", err)
	}
	// Nothing is granted to a user whose record cannot be read.
	flipAll(boltfile.Users, key, func(bit int) {
		if bit%97 != 0 {
			return // a commit each
		}
		want(t, "reserve for a damaged user", reserve(s, quota, reservation), auth.ErrDamaged)
	})

	// An edit sees nothing of a damaged record; what it writes in its place is whole.
	raw(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(boltfile.Users).Put(key, []byte("garbage")) })
	again := record("default", "alice", "again")
	_, err := s.Update("default", "alice", func(old *session.Record) (*session.Record, error) {
		if !old.Damaged || !reflect.DeepEqual(old.Session, session.Session{}) {
			t.Errorf("edit was given the damaged record: %+v", old)
		}
		return &again, nil
	})
	want(t, "write again", err, nil)
	r, kept, err := s.Load("default", "alice")
	if err != nil || r.Session.Alias != "again" || len(kept) != 0 {
		t.Errorf("written again: %+v, %v, %v", r, kept, err)
	}
	if got := s.Damaged(); len(got) != 0 {
		t.Errorf("Damaged after it was written again: %q", got)
	}

	policy := session.Policy{ID: "gold", OrgID: "default", Rate: 5, Per: 1}
	want(t, "policy", s.UpdatePolicy("gold", func(*session.Policy, session.PolicyUsers) (*session.Policy, error) { return &policy, nil }), nil)
	flipAll(boltfile.Policies, []byte("gold"), func(bit int) {
		if _, err := s.Policy("gold"); !errors.Is(err, auth.ErrDamaged) {
			t.Errorf("bit %d: policy: %v", bit, err)
		}
		list, damaged, err := s.Policies()
		if len(list) != 0 || !errors.Is(damaged, auth.ErrDamaged) || err != nil {
			t.Errorf("bit %d: policies: %v, %v, %v", bit, list, damaged, err)
		}
	})
}

// A page that holds another user's record, an old one or none at all.
func TestMovedRecords(t *testing.T) {
	s := mustOpen(t, newPath(t))
	alice := put(t, s, record("default", "alice", "alice"))
	put(t, s, record("default", "bob", "bob"))
	put(t, s, record("other", "alice", "other"))
	value := func(key []byte) (value []byte) {
		raw(t, s, func(tx *bbolt.Tx) error { value = bytes.Clone(tx.Bucket(boltfile.Users).Get(key)); return nil })
		return value
	}
	aliceValue, bobValue := value(userKey("default", "alice")), value(userKey("default", "bob"))

	swap := func(org, user string, with []byte) {
		t.Helper()
		before := value(userKey(org, user))
		raw(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(boltfile.Users).Put(userKey(org, user), with) })
		_, _, err := s.Load(org, user)
		want(t, "swapped record of "+org+"/"+user, err, auth.ErrDamaged)
		raw(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(boltfile.Users).Put(userKey(org, user), before) })
	}
	swap("default", "alice", bobValue)
	swap("default", "bob", aliceValue)
	swap("other", "alice", aliceValue)
	swap("default", "alice", nil)

	// A quota under the name of another user or scope.
	quota := limiter.QuotaKey{Org: "default", User: "alice"}
	want(t, "reserve", reserve(s, quota, limiter.Reservation{Generation: alice.Generation, Reserved: 1}), nil)
	raw(t, s, func(tx *bbolt.Tx) error {
		scoped := quotaKey(limiter.QuotaKey{Org: "default", User: "alice", Scope: "orders"})
		return tx.Bucket(boltfile.Quotas).Put(scoped, tx.Bucket(boltfile.Quotas).Get(quotaKey(quota)))
	})
	_, _, err := s.Load("default", "alice")
	want(t, "quota under another scope", err, auth.ErrDamaged)
}

func TestQuotaEncoding(t *testing.T) {
	f := func(r limiter.Reservation) {
		t.Helper()
		got, err := decodeQuota(encodeQuota(r))
		if err != nil || got != r {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
	f(limiter.Reservation{})
	f(limiter.Reservation{Generation: 1, Start: 2, Reserved: 3})
	f(limiter.Reservation{Generation: math.MaxUint64, Start: math.MaxInt64, Reserved: math.MaxInt64})
	f(limiter.Reservation{Start: -1, Reserved: -1})
}

// A record with everything set comes back as it went in.
func TestUserEncoding(t *testing.T) {
	body := `{"last_check":1,"allowance":2.5,"rate":0.1,"per":1e-3,"throttle_interval":1,"throttle_retry_limit":-1,
		"smoothing":{"enabled":true,"threshold":1,"trigger":0.5,"step":2,"delay":3},
		"quota_max":9223372036854775807,"quota_renewal_rate":-9223372036854775808,"expires":-1,"is_inactive":true,
		"access_rights":{"a":{"api_name":"A","api_id":"a","versions":["v1",""],"allowed_urls":[{"url":"/x","methods":["GET"]}],
			"limit":{"rate":1,"per":2,"quota_max":3},"mcp_tools":{"x":[1,2]},"restricted_types":[{"name":"T"}]},"b":{}},
		"org_id":"default","basic_auth_data":{"password":"hash","hash_type":"bcrypt"},"hmac_string":"h",
		"apply_policies":["p","q"],"tags":["t","ü"],"alias":"Zoë","meta_data":{"n":null,"o":{"k":"v"},"s":"text","f":1.0},
		"monitor":{"trigger_limits":[80,50.5]},"session_lifetime":5,"post_expiry_action":"retain","post_expiry_grace_period":-1,
		"jwt_data":{"secret":"s"},"oauth_keys":{"a":"b"},"data_expires":7}`
	sess, unknown, err := session.DecodeSession([]byte(body))
	if err != nil || len(unknown) > 0 {
		t.Fatal(err, unknown)
	}
	r := session.Record{Org: "default", User: "älice", Generation: 1 << 60, Session: sess}
	encoded, err := encodeUser(&r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeUser(userPayload(r.Generation, encoded))
	if err != nil {
		t.Fatal(err)
	}
	before, _ := json.Marshal(r, json.Deterministic(true))
	after, err := json.Marshal(got, json.Deterministic(true))
	if err != nil || !bytes.Equal(before, after) || got.Generation != r.Generation || got.Org != r.Org || got.User != r.User {
		t.Errorf("%v\n%s\ncame back as\n%s", err, before, after)
	}
	if got.Session.QuotaMax != math.MaxInt64 || got.Session.Rate != 0.1 || string(got.Session.MetaData["f"]) != "1.0" {
		t.Errorf("numbers changed: %+v", got.Session)
	}
}

// No bytes make the decoders panic.
func FuzzDecodeUser(f *testing.F) {
	alice := record("default", "alice", "text")
	whole, _ := encodeUser(&alice)
	f.Add(userPayload(1, whole))
	f.Add([]byte{})
	f.Add([]byte("1234567"))
	f.Add([]byte("12345678"))
	f.Add(userPayload(1, []byte(`{"session":{"rate":1e999}}`)))
	f.Add(userPayload(1, []byte(`{"session":{"access_rights":{"a":null}}}`)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := decodeUser(payload)
		if err != nil {
			want(t, "decodeUser", err, auth.ErrDamaged)
		} else if again, err := encodeUser(&r); err != nil {
			t.Errorf("read, but cannot be written: %v", err)
		} else if _, err := decodeUser(userPayload(r.Generation, again)); err != nil {
			t.Errorf("written, but cannot be read: %v", err)
		}
		if _, err := decodeQuota(payload); err != nil {
			want(t, "decodeQuota", err, auth.ErrDamaged)
		}
		if _, err := decodePolicy([]byte("p"), payload); err != nil {
			want(t, "decodePolicy", err, auth.ErrDamaged)
		}
	})
}
