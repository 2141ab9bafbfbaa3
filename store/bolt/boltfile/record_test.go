package boltfile

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"sidekey/auth"
)

func TestSealOpen(t *testing.T) {
	f := func(payload string) {
		t.Helper()
		got, err := Open(Users, []byte("key"), Seal(Users, []byte("key"), []byte(payload)))
		if err != nil || string(got) != payload {
			t.Errorf("%q came back as %q, %v", payload, got, err)
		}
	}
	f("")
	f("x")
	f(string(make([]byte, 100_000)))
}

// A record that is not the one that was stored under its key is damaged, whatever else it is.
func TestOpenRefusesWhatIsElsewhere(t *testing.T) {
	bucket, key, payload := Users, []byte("default\x00alice"), []byte("the payload")
	value := Seal(bucket, key, payload)
	f := func(what string, bucket, key, value []byte) {
		t.Helper()
		_, err := Open(bucket, key, value)
		if !errors.Is(err, auth.ErrDamaged) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	f("under another key", bucket, []byte("default\x00bob"), value)
	f("in another bucket", Quotas, key, value)
	f("under a shorter key", bucket, key[:len(key)-1], value)
	f("under no key", bucket, nil, value)
	f("cut", bucket, key, value[:len(value)-1])
	f("with more behind it", bucket, key, append(slices.Clone(value), 0))
	f("of another version", bucket, key, append([]byte{2}, value[1:]...))
	f("empty", bucket, key, nil)
	f("version and checksum without a payload", bucket, key, value[:EnvelopeSize])
	// Bytes that move from the key into the payload, or from the bucket into the key.
	f("a byte of the key in front of the payload", bucket, key[:len(key)-1], Seal(bucket, key, payload))
	f("a byte of the bucket in front of the key", bucket[:len(bucket)-1], append([]byte{bucket[len(bucket)-1]}, key...), value)
}

func TestOpenRefusesEveryFlippedBit(t *testing.T) {
	key := []byte("default\x00alice")
	value := Seal(Users, key, []byte(`generation{"org":"default","user":"alice","session":{"quota_max":100}}`))
	for bit := range 8 * len(value) {
		flipped := slices.Clone(value)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := Open(Users, key, flipped); !errors.Is(err, auth.ErrDamaged) {
			t.Errorf("bit %d of the value: %v", bit, err)
		}
	}
	for bit := range 8 * len(key) {
		flipped := slices.Clone(key)
		flipped[bit/8] ^= 1 << (bit % 8)
		if _, err := Open(Users, flipped, value); !errors.Is(err, auth.ErrDamaged) {
			t.Errorf("bit %d of the key: %v", bit, err)
		}
	}
}

// No bytes make Open panic, and none pass for a record except those that Seal made for that
// place.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("default\x00alice"), []byte{})
	f.Add([]byte("default\x00alice"), Seal(Users, []byte("default\x00alice"), []byte(`12345678{"org":"default"}`)))
	f.Add([]byte("q"), Seal(Quotas, []byte("q"), make([]byte, 24)))
	f.Add([]byte{}, []byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		for _, bucket := range Buckets {
			payload, err := Open(bucket, key, value)
			if err != nil {
				if !errors.Is(err, auth.ErrDamaged) {
					t.Errorf("%v is not ErrDamaged", err)
				}
				continue
			}
			if !bytes.Equal(Seal(bucket, key, payload), value) {
				t.Errorf("accepted %x, which Seal does not make", value)
			}
		}
	})
}
