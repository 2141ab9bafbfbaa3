package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"sidekey/auth"
)

// maxProblems bounds how much a report says about one file.
const maxProblems = 1000

// Verify reads a whole database that no process has open for writing. Whatever the file
// holds, it neither panics nor hangs. Its errors are those of reading, [ErrInUse] and
// [ErrNewer]; everything else is in the report.
func Verify(path string) (Report, error) {
	fail := func(err error) (Report, error) { return Report{}, fmt.Errorf("verify %s: %w", path, err) }
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // opening a FIFO would block
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(fmt.Errorf("must be a regular file, not %s", info.Mode().Type()))
	}
	if err := Lock(f, syscall.LOCK_SH); err != nil {
		return fail(err)
	}
	report, err := VerifyFile(f, info.Size())
	if err != nil {
		return fail(err)
	}
	return report, nil
}

// VerifyFile is [Verify] of an open file of size bytes, which must not change while it runs.
func VerifyFile(file io.ReaderAt, size int64) (Report, error) {
	v := verification{
		report:  Report{Problems: []string{}, Damaged: []DamagedRecord{}},
		version: errMissing,
		sumsErr: errMissing,
	}
	pages, err := openPages(file, size, v.problem)
	if err != nil {
		v.problem("%v", err)
		return v.report, nil
	}
	found := make(map[string]bool)
	pages.walk(pages.meta.root, nil, nil, 0, func(e element) {
		name := string(e.key)
		switch {
		case e.flags&bucketEntry == 0:
			v.problem("record %q is outside all buckets", name)
		case name == string(Meta):
			pages.walkBucket(e, v.meta)
		case v.sums.Of(e.key) != nil:
			pages.walkBucket(e, func(e element) { v.record([]byte(name), e) })
		default:
			v.problem("unknown bucket %q", name)
		}
		found[name] = true
	})
	if errors.Is(v.version, ErrNewer) {
		return Report{}, v.version
	}
	pages.checkFree()
	for _, name := range Buckets {
		if !found[string(name)] {
			v.problem("not a database of sidekey: bucket %q is missing", name)
		}
	}
	if v.version != nil {
		v.problem("format version: %v", v.version)
	}
	v.checkSums(pages.meta.transaction)
	return v.report, nil
}

// verification is a report in the making.
type verification struct {
	report  Report
	version error // problem with the file's version; nil: none

	sums    Sums // as the file has them
	sumsErr error
	// Sums of the records: if the damaged ones still have their checksums, and if only the
	// checksums are damaged.
	counted, recounted [len(Summed)]Sum
	damaged            [len(Summed)][]damagedKey // the first two of each bucket
}

// damagedKey is a damaged record's key and checksum, either of which may be the damage.
type damagedKey struct {
	key      []byte
	checksum uint32
}

var errMissing = errors.New("missing")

func (v *verification) problem(format string, args ...any) {
	if len(v.report.Problems) < maxProblems {
		v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (v *verification) meta(e element) {
	if e.flags&bucketEntry != 0 {
		v.problem("unknown bucket %q in %q", e.key, Meta)
		return
	}
	switch string(e.key) {
	case string(KeyFormat):
		_, v.version = DecodeVersion(e.value, FormatVersion)
	case string(KeySums):
		v.sums, v.sumsErr = DecodeSums(e.value)
	default:
		v.problem("unknown record %q in %q", e.key, Meta)
	}
}

func (v *verification) record(bucket []byte, e element) {
	if e.flags&bucketEntry != 0 {
		v.problem("unknown bucket %q in %q", e.key, bucket)
		return
	}
	i := 0
	for ; string(Summed[i]) != string(bucket); i++ {
	}
	*[...]*int{&v.report.Users, &v.report.Quotas, &v.report.Policies}[i]++
	v.counted[i].Add(e.key, e.value)
	_, err := Open(bucket, e.key, e.value)
	if err == nil {
		v.recounted[i].Add(e.key, e.value)
		return
	}
	if len(v.damaged[i]) < 2 {
		v.damaged[i] = append(v.damaged[i], damagedKey{bytes.Clone(e.key), storedChecksum(e.value)})
	}
	v.recounted[i].Count++
	if len(e.value) >= EnvelopeSize {
		v.recounted[i].Total += recordSum(e.key, checksum(bucket, e.key, e.value[EnvelopeSize:]))
	}
	if len(v.report.Damaged) < maxProblems {
		v.report.Damaged = append(v.report.Damaged, describe(bucket, e.key, err))
	}
}

// describe names a damaged record by its key.
func describe(bucket, key []byte, err error) DamagedRecord {
	d := DamagedRecord{Bucket: string(bucket), Problem: strings.TrimPrefix(err.Error(), auth.ErrDamaged.Error()+": ")}
	switch d.Bucket {
	case string(Policies):
		d.Policy = strings.ToValidUTF8(string(key), "\uFFFD")
	default:
		parts := strings.SplitN(strings.ToValidUTF8(string(key), "\uFFFD"), Separator, 3)
		parts = append(parts, "", "")
		d.Org, d.User, d.Scope = parts[0], parts[1], parts[2]
	}
	return d
}

// checkSums reports records that are missing or outdated.
func (v *verification) checkSums(transaction uint64) {
	switch {
	case v.sumsErr != nil:
		v.problem("sums: %v", v.sumsErr)
		return
	case v.sums.Transaction != transaction:
		v.problem("the sums are those of transaction %d, the last one is %d", v.sums.Transaction, transaction)
		return
	}
	for i, want := range v.sums.Buckets {
		name := string(Summed[i])
		switch {
		case v.counted[i] == want, v.recounted[i] == want:
		case v.counted[i].Count != want.Count:
			v.problem("%s: %d records found, must be %d", name, v.counted[i].Count, want.Count)
		case name != string(Quotas) && v.isOneBit(i, want):
			// A user or a policy that is not found under its key is refused, so nothing is lost
			// if the file is used. A quota would be granted again.
		default:
			v.problem("%s: some records are outdated", name)
		}
	}
}

// isOneBit reports whether a flipped bit in the key of a bucket's only damaged record is
// all that is wrong with the bucket.
func (v *verification) isOneBit(bucket int, want Sum) bool {
	if len(v.damaged[bucket]) != 1 {
		return false
	}
	d := v.damaged[bucket][0]
	missing := want.Total - (v.counted[bucket].Total - recordSum(d.key, d.checksum))
	for bit := range 8 * len(d.key) {
		d.key[bit/8] ^= 1 << (bit % 8)
		if recordSum(d.key, d.checksum) == missing {
			return true
		}
		d.key[bit/8] ^= 1 << (bit % 8)
	}
	return false
}
