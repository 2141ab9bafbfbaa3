package bolt

import (
	"encoding/binary"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth"
	"sidekey/auth/session"
	"sidekey/limiter"
	"sidekey/store/bolt/boltfile"
)

func userKey(org, user string) []byte { return []byte(org + boltfile.Separator + user) }

func quotaKey(k limiter.QuotaKey) []byte {
	return []byte(k.Org + boltfile.Separator + k.User + boltfile.Separator + k.Scope)
}

func encodeUser(r *session.Record) ([]byte, error) {
	return session.MarshalSession(r, json.OmitZeroStructFields(true))
}

// userPayload returns the payload of a user's record: its generation, which the ledger reads
// without decoding the rest, and the record as JSON.
func userPayload(generation uint64, body []byte) []byte {
	payload := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(body)), generation)
	return append(payload, body...)
}

func decodeUser(payload []byte) (r session.Record, err error) {
	generation, err := userGeneration(payload)
	if err != nil {
		return session.Record{}, err
	}
	if err := json.Unmarshal(payload[8:], &r); err != nil {
		return session.Record{}, fmt.Errorf("%w: %v", auth.ErrDamaged, err)
	}
	r.Generation = generation
	return r, nil
}

// decodeBrief reads the few parts of a record that a scan needs. It does not look for
// duplicate members, because the record had none when it was written and sealed.
func decodeBrief(key, value []byte) (session.Brief, error) {
	payload, err := boltfile.Open(boltfile.Users, key, value)
	if err != nil {
		return session.Brief{}, err
	}
	if _, err := userGeneration(payload); err != nil {
		return session.Brief{}, err
	}
	var r struct {
		Session struct {
			session.Lifetime
			BasicAuth struct {
				Password string `json:"password"`
			} `json:"basic_auth_data"`
		} `json:"session"`
	}
	if err := json.Unmarshal(payload[8:], &r, jsontext.AllowDuplicateNames(true)); err != nil {
		return session.Brief{}, fmt.Errorf("%w: %v", auth.ErrDamaged, err)
	}
	return session.Brief{PasswordHash: r.Session.BasicAuth.Password, Lifetime: r.Session.Lifetime}, nil
}

func userGeneration(payload []byte) (uint64, error) {
	if len(payload) < 8 {
		return 0, fmt.Errorf("%w: %d bytes cannot be a user", auth.ErrDamaged, len(payload))
	}
	return binary.BigEndian.Uint64(payload), nil
}

func encodeQuota(r limiter.Reservation) []byte {
	payload := binary.BigEndian.AppendUint64(nil, r.Generation)
	payload = binary.BigEndian.AppendUint64(payload, uint64(r.Start))
	return binary.BigEndian.AppendUint64(payload, uint64(r.Reserved))
}

func decodeQuota(payload []byte) (limiter.Reservation, error) {
	if len(payload) != 24 {
		return limiter.Reservation{}, fmt.Errorf("%w: %d bytes cannot be a quota", auth.ErrDamaged, len(payload))
	}
	return limiter.Reservation{
		Generation: binary.BigEndian.Uint64(payload[0:]),
		Start:      int64(binary.BigEndian.Uint64(payload[8:])),
		Reserved:   int64(binary.BigEndian.Uint64(payload[16:])),
	}, nil
}
