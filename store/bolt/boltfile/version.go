package boltfile

import (
	"errors"
	"fmt"
	"strconv"
)

// FormatVersion is the version of the layout that this program writes.
const FormatVersion = 1

// ErrNewer says that a file was written by a newer version of this program.
var ErrNewer = errors.New("written by a newer version")

// DecodeVersion reads a version from the value under [KeyFormat]. A version above newest is
// [ErrNewer].
func DecodeVersion(value []byte, newest int) (int, error) {
	payload, err := Open(Meta, KeyFormat, value)
	if err != nil {
		return 0, err
	}
	version, err := strconv.Atoi(string(payload))
	switch {
	case err != nil || version < 1:
		return 0, fmt.Errorf("%q is not a version", payload)
	case version > newest:
		return 0, fmt.Errorf("%w: its format is %d, this program reads up to %d", ErrNewer, version, newest)
	}
	return version, nil
}
