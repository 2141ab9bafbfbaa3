package boltfile

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/murmur3"

	"sidekey/auth"
)

// Summed are the buckets whose records are summed up, in the order of [Sums].
var Summed = [...][]byte{Users, Quotas, Policies}

// Sums say what all records of a database come to, as one transaction left them.
//
// A record's own checksum does not tell that another record is missing, nor that a whole
// page is an old one: its records match their checksums as well. So the file also holds, for
// each bucket, how many records it has and their sum, and the number of the transaction that
// wrote this. A page that was lost, or that the disk never wrote, breaks the sum.
type Sums struct {
	Transaction uint64 // bbolt's number of it
	Buckets     [len(Summed)]Sum
}

// Sum is what the records of a bucket come to, in whatever order they were written.
type Sum struct {
	Count uint64
	Total uint64 // of recordSum, modulo 2⁶⁴
}

// recordSum stands for a record in its bucket's sum. The value's own checksum stands for the
// value, which is not read again.
func recordSum(key []byte, checksum uint32) uint64 {
	return murmur3.SeedSum64(uint64(checksum), key)
}

// storedChecksum returns the checksum that a value carries, right or not.
func storedChecksum(value []byte) uint32 {
	if len(value) < EnvelopeSize {
		return 0
	}
	return binary.BigEndian.Uint32(value[1:])
}

// Add counts a record in.
func (s *Sum) Add(key, value []byte) {
	s.Count++
	s.Total += recordSum(key, storedChecksum(value))
}

// Remove undoes Add.
func (s *Sum) Remove(key, value []byte) {
	s.Count--
	s.Total -= recordSum(key, storedChecksum(value))
}

// Of returns the sum of a bucket, or nil for a bucket that is not summed up.
func (s *Sums) Of(bucket []byte) *Sum {
	for i, name := range Summed {
		if string(name) == string(bucket) {
			return &s.Buckets[i]
		}
	}
	return nil
}

// Encode returns the payload to seal under [KeySums].
func (s *Sums) Encode() []byte {
	payload := binary.BigEndian.AppendUint64(nil, s.Transaction)
	for _, b := range s.Buckets {
		payload = binary.BigEndian.AppendUint64(payload, b.Count)
		payload = binary.BigEndian.AppendUint64(payload, b.Total)
	}
	return payload
}

// DecodeSums reads the sums from the value under [KeySums], or returns [auth.ErrDamaged].
func DecodeSums(value []byte) (s Sums, err error) {
	payload, err := Open(Meta, KeySums, value)
	if err != nil {
		return Sums{}, err
	}
	if len(payload) != 8+16*len(Summed) {
		return Sums{}, fmt.Errorf("%w: %d bytes cannot be sums", auth.ErrDamaged, len(payload))
	}
	s.Transaction = binary.BigEndian.Uint64(payload)
	for i := range s.Buckets {
		at := payload[8+16*i:]
		s.Buckets[i] = Sum{Count: binary.BigEndian.Uint64(at), Total: binary.BigEndian.Uint64(at[8:])}
	}
	return s, nil
}
