package bolt

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth"
	"sidekey/limiter"
)

// A stored value is one byte of envelope version, four of CRC-32C, and the payload.
// The checksum also covers bucket and key, so a record that was moved, swapped or
// duplicated by a stray page does not pass for another one.
const (
	envelopeVersion = 1
	envelopeSize    = 1 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns the value to store for payload. It is a fresh slice: bbolt keeps it
// until the commit.
func seal(bucket, key, payload []byte) []byte {
	value := make([]byte, envelopeSize, envelopeSize+len(payload))
	value[0] = envelopeVersion
	binary.BigEndian.PutUint32(value[1:], checksum(bucket, key, payload))
	return append(value, payload...)
}

// open returns the payload of a stored value, or [auth.ErrDamaged]. The payload is
// part of value.
func open(bucket, key, value []byte) ([]byte, error) {
	switch {
	case len(value) < envelopeSize:
		return nil, fmt.Errorf("%w: %d bytes are no record", auth.ErrDamaged, len(value))
	case value[0] != envelopeVersion:
		return nil, fmt.Errorf("%w: envelope version %d", auth.ErrDamaged, value[0])
	}
	payload := value[envelopeSize:]
	if binary.BigEndian.Uint32(value[1:]) != checksum(bucket, key, payload) && !broken("nochecksum") {
		return nil, fmt.Errorf("%w: checksum does not match", auth.ErrDamaged)
	}
	return payload, nil
}

func checksum(bucket, key, payload []byte) uint32 {
	var lengths [12]byte
	binary.BigEndian.PutUint32(lengths[0:], uint32(len(bucket)))
	binary.BigEndian.PutUint32(lengths[4:], uint32(len(key)))
	binary.BigEndian.PutUint32(lengths[8:], uint32(len(payload)))
	sum := crc32.Checksum([]byte{envelopeVersion}, castagnoli)
	for _, part := range [][]byte{lengths[:], bucket, key, payload} {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}

// Names hold no control characters, so a NUL separates them.
const separator = "\x00"

func userKey(org, user string) []byte { return []byte(org + separator + user) }

func quotaKey(k limiter.QuotaKey) []byte {
	return []byte(k.Org + separator + k.User + separator + k.Scope)
}

func encodeUser(r *auth.Record) ([]byte, error) {
	return auth.MarshalSession(r, json.OmitZeroStructFields(true))
}

// userPayload is the generation, which reservations are checked against without
// decoding the rest, and the record as JSON.
func userPayload(generation uint64, body []byte) []byte {
	payload := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(body)), generation)
	return append(payload, body...)
}

func decodeUser(payload []byte) (r auth.Record, err error) {
	generation, err := userGeneration(payload)
	if err != nil {
		return auth.Record{}, err
	}
	if err := json.Unmarshal(payload[8:], &r); err != nil {
		return auth.Record{}, fmt.Errorf("%w: %v", auth.ErrDamaged, err)
	}
	r.Generation = generation
	return r, nil
}

// decodeBrief leaves out most of a record, and trusts the checksum for the rest: that no
// name stands twice in it was seen when it was written.
func decodeBrief(key, value []byte) (auth.Brief, error) {
	payload, err := open(bucketUsers, key, value)
	if err != nil {
		return auth.Brief{}, err
	}
	if _, err := userGeneration(payload); err != nil {
		return auth.Brief{}, err
	}
	var r struct {
		Session struct {
			auth.Lifetime
			BasicAuth struct {
				Password string `json:"password"`
			} `json:"basic_auth_data"`
		} `json:"session"`
	}
	if err := json.Unmarshal(payload[8:], &r, jsontext.AllowDuplicateNames(true)); err != nil {
		return auth.Brief{}, fmt.Errorf("%w: %v", auth.ErrDamaged, err)
	}
	return auth.Brief{PasswordHash: r.Session.BasicAuth.Password, Lifetime: r.Session.Lifetime}, nil
}

func userGeneration(payload []byte) (uint64, error) {
	if len(payload) < 8 {
		return 0, fmt.Errorf("%w: %d bytes are no user", auth.ErrDamaged, len(payload))
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
		return limiter.Reservation{}, fmt.Errorf("%w: %d bytes are no quota", auth.ErrDamaged, len(payload))
	}
	return limiter.Reservation{
		Generation: binary.BigEndian.Uint64(payload[0:]),
		Start:      int64(binary.BigEndian.Uint64(payload[8:])),
		Reserved:   int64(binary.BigEndian.Uint64(payload[16:])),
	}, nil
}
