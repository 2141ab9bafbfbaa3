package boltfile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"sidekey/auth"
	"sidekey/internal/broken"
)

// The buckets of a database, and the keys in Meta.
var (
	Meta     = []byte("meta")
	Users    = []byte("users")
	Quotas   = []byte("quotas")
	Policies = []byte("policies")

	KeyFormat = []byte("format") // see [DecodeVersion]
	KeySums   = []byte("sums")   // see [Sums]
)

// Buckets are those that every database has.
var Buckets = [][]byte{Meta, Users, Quotas, Policies}

// Separator stands between org, user and scope in a key. Names hold no control characters.
const Separator = "\x00"

// A stored value is one byte of envelope version, four of CRC-32C, and the payload.
// The checksum also covers bucket and key, so a record that was moved, swapped or
// duplicated by a stray page does not pass for another one.
const (
	envelopeVersion = 1
	EnvelopeSize    = 1 + 4 // bytes in front of the payload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Seal returns the value to store for payload. It is a fresh slice: bbolt holds it until the
// commit.
func Seal(bucket, key, payload []byte) []byte {
	value := make([]byte, EnvelopeSize, EnvelopeSize+len(payload))
	value[0] = envelopeVersion
	binary.BigEndian.PutUint32(value[1:], checksum(bucket, key, payload))
	return append(value, payload...)
}

// Open returns the payload of a stored value, which is part of value, or [auth.ErrDamaged].
func Open(bucket, key, value []byte) ([]byte, error) {
	switch {
	case len(value) < EnvelopeSize:
		return nil, fmt.Errorf("%w: %d bytes cannot be a record", auth.ErrDamaged, len(value))
	case value[0] != envelopeVersion:
		return nil, fmt.Errorf("%w: envelope version %d", auth.ErrDamaged, value[0])
	}
	payload := value[EnvelopeSize:]
	if binary.BigEndian.Uint32(value[1:]) != checksum(bucket, key, payload) && !broken.Is("nochecksum") {
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
