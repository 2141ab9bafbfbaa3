package bolt

import (
	"errors"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"
)

// migrations are the steps from each format to the next: the first turns a file of
// format 1 into one of format 2. There is none yet. A released step is never changed.
var migrations = [...]func(tx *bbolt.Tx) error{}

// formatVersion is the version of the file's layout that this program writes. A file with
// a higher one is refused and not touched.
const formatVersion = 1 + len(migrations)

// bringUpToDate checks what a file is, and migrates it where it is of an older format: in
// one transaction, so that a crash leaves it in the old format or in the new one.
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
		for _, bucket := range summed {
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
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return 0, fmt.Errorf("this is no database of sidekey: it has no bucket %q", name)
		}
	}
	version, err := decodeVersion(tx.Bucket(bucketMeta).Get(keyFormat), newest)
	if err != nil && !errors.Is(err, ErrNewer) {
		return 0, fmt.Errorf("format version: %w", err)
	}
	return version, err
}

// decodeVersion reads a version from the value under keyFormat. One above newest is
// [ErrNewer].
func decodeVersion(value []byte, newest int) (int, error) {
	payload, err := open(bucketMeta, keyFormat, value)
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(string(payload))
	switch {
	case err != nil || version < 1:
		return 0, fmt.Errorf("%q is no version", payload)
	case version > newest:
		return 0, fmt.Errorf("%w: its format is %d, this program reads up to %d", ErrNewer, version, newest)
	}
	return version, nil
}

func putVersion(tx *bbolt.Tx, version int) error {
	payload := []byte(strconv.Itoa(version))
	return tx.Bucket(bucketMeta).Put(keyFormat, seal(bucketMeta, keyFormat, payload))
}
