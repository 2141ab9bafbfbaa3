package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"

	"sidekey/auth"
)

// Report is what [Verify] finds in a database.
type Report struct {
	Users    int `json:"users"`
	Quotas   int `json:"quotas"`
	Policies int `json:"policies"`

	// Problems are those of the file as a whole. With any, records may be missing or be
	// older ones: the file must not be used.
	Problems []string `json:"problems"`
	// Damaged are single records that do not match their checksums. They are never used;
	// all others are sound.
	Damaged []DamagedRecord `json:"damaged"`
}

// DamagedRecord is a record that does not match its checksum.
type DamagedRecord struct {
	Bucket  string `json:"bucket"` // "users", "quotas" or "policies"
	Org     string `json:"org,omitzero"`
	User    string `json:"user,omitzero"`
	Scope   string `json:"scope,omitzero"`  // of a quota
	Policy  string `json:"policy,omitzero"` // of a policy
	Problem string `json:"problem"`
}

// String names the record and what is wrong with it.
func (d DamagedRecord) String() string {
	switch d.Bucket {
	case string(bucketUsers):
		return fmt.Sprintf("user %q of %q: %s", d.User, d.Org, d.Problem)
	case string(bucketQuotas):
		return fmt.Sprintf("quota %q of user %q of %q: %s", d.Scope, d.User, d.Org, d.Problem)
	}
	return fmt.Sprintf("policy %q: %s", d.Policy, d.Problem)
}

// Clean reports whether nothing is wrong.
func (r Report) Clean() bool { return len(r.Problems) == 0 && len(r.Damaged) == 0 }

// Usable returns nil, or an error that says on one line why the file must not be used.
func (r Report) Usable() error {
	switch more := len(r.Problems) - 1; {
	case more < 0:
		return nil
	case more == 0:
		return fmt.Errorf("the database is damaged: %s", r.Problems[0])
	default:
		return fmt.Errorf("the database is damaged: %s, and %d more problems", r.Problems[0], more)
	}
}

// mostProblems bounds what a report says of one file.
const mostProblems = 1000

// Verify reads a whole database that no process has open for writing, as bytes: whatever
// the file holds, it neither panics nor hangs. Its errors are those of reading, and
// [ErrInUse], [ErrNewer]; everything else is in the report.
func Verify(path string) (Report, error) {
	fail := func(err error) (Report, error) { return Report{}, fmt.Errorf("verify %s: %w", path, err) }
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would hold up whoever opens it
	if err != nil {
		return Report{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	if !info.Mode().IsRegular() {
		return fail(fmt.Errorf("a regular file is wanted, not %s", info.Mode().Type()))
	}
	if err := lock(f, syscall.LOCK_SH); err != nil {
		return fail(err)
	}
	report, err := VerifyFile(f, info.Size())
	if err != nil {
		return fail(err)
	}
	return report, nil
}

// VerifyFile is [Verify] of a file that nobody changes meanwhile.
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
			v.problem("there is a record %q outside of all buckets", name)
		case name == string(bucketMeta):
			pages.walkBucket(e, v.meta)
		case v.sums.of(e.key) != nil:
			pages.walkBucket(e, func(e element) { v.record([]byte(name), e) })
		default:
			v.problem("there is a bucket %q", name)
		}
		found[name] = true
	})
	if errors.Is(v.version, ErrNewer) {
		return Report{}, v.version
	}
	pages.checkFree()
	for _, name := range buckets {
		if !found[string(name)] {
			v.problem("this is no database of sidekey: it has no bucket %q", name)
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
	version error // what is wrong with the file's

	sums    sums // as the file has them
	sumsErr error
	// What the records come to if those that are damaged still have their checksums, and
	// if it is the checksums alone that are damaged.
	counted, recounted [len(summed)]sum
	damaged            [len(summed)][]damagedKey // the first two
}

// damagedKey is what is left of a damaged record's key and checksum.
type damagedKey struct {
	key      []byte
	checksum uint32
}

var errMissing = errors.New("there is none")

func (v *verification) problem(format string, args ...any) {
	if len(v.report.Problems) < mostProblems {
		v.report.Problems = append(v.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (v *verification) meta(e element) {
	if e.flags&bucketEntry != 0 {
		v.problem("there is a bucket %q in %q", e.key, bucketMeta)
		return
	}
	switch string(e.key) {
	case string(keyFormat):
		_, v.version = decodeVersion(e.value, formatVersion)
	case string(keySums):
		v.sums, v.sumsErr = decodeSums(e.value)
	default:
		v.problem("there is a record %q in %q", e.key, bucketMeta)
	}
}

func (v *verification) record(bucket []byte, e element) {
	if e.flags&bucketEntry != 0 {
		v.problem("there is a bucket %q in %q", e.key, bucket)
		return
	}
	i := 0
	for ; string(summed[i]) != string(bucket); i++ {
	}
	*[...]*int{&v.report.Users, &v.report.Quotas, &v.report.Policies}[i]++
	v.counted[i].add(e.key, e.value)
	_, err := open(bucket, e.key, e.value)
	if err == nil {
		v.recounted[i].add(e.key, e.value)
		return
	}
	if len(v.damaged[i]) < 2 {
		v.damaged[i] = append(v.damaged[i], damagedKey{bytes.Clone(e.key), storedChecksum(e.value)})
	}
	v.recounted[i].count++
	if len(e.value) >= envelopeSize {
		v.recounted[i].total += recordSum(e.key, checksum(bucket, e.key, e.value[envelopeSize:]))
	}
	if len(v.report.Damaged) < mostProblems {
		v.report.Damaged = append(v.report.Damaged, describe(bucket, e.key, err))
	}
}

// describe names a damaged record by its key.
func describe(bucket, key []byte, err error) DamagedRecord {
	d := DamagedRecord{Bucket: string(bucket), Problem: strings.TrimPrefix(err.Error(), auth.ErrDamaged.Error()+": ")}
	switch d.Bucket {
	case string(bucketPolicies):
		d.Policy = strings.ToValidUTF8(string(key), "\uFFFD")
	default:
		parts := strings.SplitN(strings.ToValidUTF8(string(key), "\uFFFD"), separator, 3)
		parts = append(parts, "", "")
		d.Org, d.User, d.Scope = parts[0], parts[1], parts[2]
	}
	return d
}

// checkSums looks for records that are missing, or are not the last ones of their name.
func (v *verification) checkSums(transaction uint64) {
	switch {
	case v.sumsErr != nil:
		v.problem("sums: %v", v.sumsErr)
		return
	case v.sums.transaction != transaction:
		v.problem("the records are those of transaction %d, the last one is %d", v.sums.transaction, transaction)
		return
	}
	for i, want := range v.sums.buckets {
		name := string(summed[i])
		switch {
		case v.counted[i] == want, v.recounted[i] == want:
		case v.counted[i].count != want.count:
			v.problem("%s: there are %d records, there should be %d", name, v.counted[i].count, want.count)
		case name != string(bucketQuotas) && v.isOneBit(i, want):
			// A user or a policy that is not found under its key refuses. A quota would be
			// granted afresh.
		default:
			v.problem("%s: not all records are in their last state", name)
		}
	}
}

// isOneBit reports whether a flipped bit in the key of a bucket's only damaged record is
// all that is wrong with the bucket.
func (v *verification) isOneBit(bucket int, want sum) bool {
	if len(v.damaged[bucket]) != 1 {
		return false
	}
	d := v.damaged[bucket][0]
	missing := want.total - (v.counted[bucket].total - recordSum(d.key, d.checksum))
	for bit := range 8 * len(d.key) {
		d.key[bit/8] ^= 1 << (bit % 8)
		if recordSum(d.key, d.checksum) == missing {
			return true
		}
		d.key[bit/8] ^= 1 << (bit % 8)
	}
	return false
}

// TryOpen opens a database as [Open] does, but for reading only, and reads a little of
// each bucket. On a file that [Verify] finds usable that does no harm; it is for a process
// that can be spared.
func TryOpen(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		ReadOnly: true, Timeout: lockWait, FreelistType: bbolt.FreelistMapType, PreLoadFreelist: true,
		OpenFile: openExisting,
	})
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			tx.Bucket(name).Cursor().Last()
		}
		return nil
	})
}
