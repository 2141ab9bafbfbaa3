package bolt

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/murmur3"
	"go.etcd.io/bbolt"

	"sidekey/auth"
)

// A record's own checksum does not tell that another record is missing, nor that a whole
// page is one of last week: what it holds is sealed as well. So the file also says, for
// each bucket, how many records it has and what they sum up to, and which transaction
// wrote that. A page that was lost, or that the disk never wrote, breaks the sum.

// summed are the buckets whose records are summed up, in the order of [sums].
var summed = [...][]byte{bucketUsers, bucketQuotas, bucketPolicies}

// keySums is where bucketMeta keeps the sums.
var keySums = []byte("sums")

// sums are the sums of all buckets as one transaction left them.
type sums struct {
	transaction uint64 // bbolt's number of it
	buckets     [len(summed)]sum
}

// sum is what the records of a bucket come to, in whatever order they were written.
type sum struct {
	count uint64
	total uint64 // of recordSum, modulo 2⁶⁴
}

// recordSum stands for a record in its bucket's sum. The value is not read again: its
// checksum, which is part of it, stands for it.
func recordSum(key []byte, checksum uint32) uint64 {
	return murmur3.SeedSum64(uint64(checksum), key)
}

// storedChecksum is the checksum that a value carries, right or not.
func storedChecksum(value []byte) uint32 {
	if len(value) < envelopeSize {
		return 0
	}
	return binary.BigEndian.Uint32(value[1:])
}

func (s *sum) add(key, value []byte) {
	s.count++
	s.total += recordSum(key, storedChecksum(value))
}

func (s *sum) remove(key, value []byte) {
	s.count--
	s.total -= recordSum(key, storedChecksum(value))
}

// of returns the sum of a bucket, or nil for one that is not summed up.
func (s *sums) of(bucket []byte) *sum {
	for i, name := range summed {
		if string(name) == string(bucket) {
			return &s.buckets[i]
		}
	}
	return nil
}

func (s *sums) encode() []byte {
	payload := binary.BigEndian.AppendUint64(nil, s.transaction)
	for _, b := range s.buckets {
		payload = binary.BigEndian.AppendUint64(payload, b.count)
		payload = binary.BigEndian.AppendUint64(payload, b.total)
	}
	return payload
}

// decodeSums reads the sums from the value under keySums, or returns [auth.ErrDamaged].
func decodeSums(value []byte) (s sums, err error) {
	payload, err := open(bucketMeta, keySums, value)
	if err != nil {
		return sums{}, err
	}
	if len(payload) != 8+16*len(summed) {
		return sums{}, fmt.Errorf("%w: %d bytes are no sums", auth.ErrDamaged, len(payload))
	}
	s.transaction = binary.BigEndian.Uint64(payload)
	for i := range s.buckets {
		at := payload[8+16*i:]
		s.buckets[i] = sum{count: binary.BigEndian.Uint64(at), total: binary.BigEndian.Uint64(at[8:])}
	}
	return s, nil
}

// count sums a bucket up from its records.
func (s *sums) count(tx *bbolt.Tx, bucket []byte) {
	of := s.of(bucket)
	*of = sum{}
	c := tx.Bucket(bucket).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		of.add(key, value)
	}
}

// load reads the sums as the last transaction left them. Where they are damaged they are
// made anew: each record still carries its own checksum.
func (s *sums) load(tx *bbolt.Tx) {
	var err error
	if *s, err = decodeSums(tx.Bucket(bucketMeta).Get(keySums)); err == nil {
		return
	}
	for _, bucket := range summed {
		s.count(tx, bucket)
	}
}

// save writes the sums as the last change of a transaction.
func (s *sums) save(tx *bbolt.Tx) error {
	s.transaction = uint64(tx.ID())
	return tx.Bucket(bucketMeta).Put(keySums, seal(bucketMeta, keySums, s.encode()))
}

// put stores a value that seal made in the place of the one that is there.
func (s *sums) put(tx *bbolt.Tx, bucket, key, value []byte) error {
	b := tx.Bucket(bucket)
	sound := s.forget(b, bucket, key)
	if err := b.Put(key, value); err != nil {
		return err
	}
	s.of(bucket).add(key, value)
	if !sound {
		s.count(tx, bucket)
	}
	return nil
}

// delete removes what is stored under key, if anything.
func (s *sums) delete(tx *bbolt.Tx, bucket, key []byte) error {
	b := tx.Bucket(bucket)
	sound := s.forget(b, bucket, key)
	if err := b.Delete(key); err != nil {
		return err
	}
	if !sound {
		s.count(tx, bucket)
	}
	return nil
}

// forget takes a record out of the sum. It reports false where the record is damaged:
// nobody knows what it counted for, so the bucket has to be summed up anew.
func (s *sums) forget(b *bbolt.Bucket, bucket, key []byte) (sound bool) {
	old := b.Get(key)
	if old == nil {
		return true
	}
	s.of(bucket).remove(key, old)
	_, err := open(bucket, key, old)
	return err == nil
}
