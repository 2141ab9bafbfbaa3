package bolt

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"sidekey/store/bolt/boltfile"
)

// migrations are the steps from each format to the next: the first turns a file of
// format 1 into one of format 2. There is none yet. A released step is never changed.
var migrations = [boltfile.FormatVersion - 1]func(tx *bbolt.Tx) error{}

// bringUpToDate checks that a file is a database, and migrates it if its format is an older
// one: in one transaction, so that a crash leaves the old format or the new one.
func bringUpToDate(db *bbolt.DB, steps []func(tx *bbolt.Tx) error) error {
	newest := 1 + len(steps)
	var version int
	err := db.View(func(tx *bbolt.Tx) (err error) {
		version, err = readVersion(tx, newest)
		return err
	})
	if err != nil || version == newest {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for i, step := range steps[version-1:] {
			if err := step(tx); err != nil {
				return fmt.Errorf("to format %d: %w", version+i+1, err)
			}
		}
		if err := putVersion(tx, newest); err != nil {
			return err
		}
		var after sums
		for _, bucket := range boltfile.Summed {
			after.count(tx, bucket)
		}
		return after.save(tx)
	})
	if err != nil {
		return fmt.Errorf("migrate from format %d: %w", version, err)
	}
	return nil
}

func readVersion(tx *bbolt.Tx, newest int) (int, error) {
	for _, name := range boltfile.Buckets {
		if tx.Bucket(name) == nil {
			return 0, fmt.Errorf("not a database of sidekey: bucket %q is missing", name)
		}
	}
	version, err := boltfile.DecodeVersion(tx.Bucket(boltfile.Meta).Get(boltfile.KeyFormat), newest)
	if err != nil && !errors.Is(err, boltfile.ErrNewer) {
		return 0, fmt.Errorf("format version: %w", err)
	}
	return version, err
}

func putVersion(tx *bbolt.Tx, version int) error {
	payload := []byte(strconv.Itoa(version))
	return tx.Bucket(boltfile.Meta).Put(boltfile.KeyFormat, boltfile.Seal(boltfile.Meta, boltfile.KeyFormat, payload))
}
