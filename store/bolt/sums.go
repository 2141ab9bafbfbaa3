package bolt

import (
	"go.etcd.io/bbolt"

	"sidekey/store/bolt/boltfile"
)

// sums are the sums of all buckets as the transaction under way leaves them.
type sums struct{ boltfile.Sums }

// count sums a bucket up from its records.
func (s *sums) count(tx *bbolt.Tx, bucket []byte) {
	of := s.Of(bucket)
	*of = boltfile.Sum{}
	c := tx.Bucket(bucket).Cursor()
	for key, value := c.First(); key != nil; key, value = c.Next() {
		of.Add(key, value)
	}
}

// load reads the sums as the last transaction left them. If they are damaged it sums up all
// records: each of them still carries its own checksum.
func (s *sums) load(tx *bbolt.Tx) {
	var err error
	if s.Sums, err = boltfile.DecodeSums(tx.Bucket(boltfile.Meta).Get(boltfile.KeySums)); err == nil {
		return
	}
	for _, bucket := range boltfile.Summed {
		s.count(tx, bucket)
	}
}

// save writes the sums as the last change of a transaction.
func (s *sums) save(tx *bbolt.Tx) error {
	s.Transaction = uint64(tx.ID())
	return tx.Bucket(boltfile.Meta).Put(boltfile.KeySums, boltfile.Seal(boltfile.Meta, boltfile.KeySums, s.Encode()))
}

// put stores a sealed value in place of the one that is there.
func (s *sums) put(tx *bbolt.Tx, bucket, key, value []byte) error {
	b := tx.Bucket(bucket)
	sound := s.forget(b, bucket, key)
	if err := b.Put(key, value); err != nil {
		return err
	}
	s.Of(bucket).Add(key, value)
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

// forget takes a record out of the sum. It reports false if the record is damaged: what it
// counted for is then unknown, so the bucket has to be summed up again.
func (s *sums) forget(b *bbolt.Bucket, bucket, key []byte) (sound bool) {
	old := b.Get(key)
	if old == nil {
		return true
	}
	s.Of(bucket).Remove(key, old)
	_, err := boltfile.Open(bucket, key, old)
	return err == nil
}
