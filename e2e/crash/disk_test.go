package crash

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// A disk as hostile as POSIX allows. Data that was written to a file since its last sync may be on the
// disk or not, in any combination, torn between any two sectors. So may names that were created or
// changed since their folder was synced, whatever the disk has of the files. Data that was pending when
// a sync failed may be on the disk or not for good: the kernel considers it written, so a later
// sync does not write it.

const (
	sectorSize = 512
	pageSize   = 4096
)

// disk is what the disk has, and may have, of one database.
type disk struct {
	path   string           // of the database
	files  map[string]*file // by the name that processes see
	folder nameState        // of the database's folder

	// The files that the name of the database may lead to: first the durable one (nil = none), then
	// those that got the name since the folder was synced.
	named []*file
}

func newDisk(path string) *disk {
	return &disk{path: path, files: make(map[string]*file), named: []*file{nil}}
}

// file is one file, whatever its name.
type file struct {
	content image   // durable
	pending []chunk // since the last sync, in order
	limbo   []chunk // pending when a sync failed
}

// chunk is one write of at most a page, or a change of the file's size.
type chunk struct {
	offset int64
	data   []byte
	size   int64 // if data is nil
}

// image is the content of a file: its size and its first bytes. The rest is zero.
type image struct {
	data []byte
	size int64
}

// nameState says whether a name is on the disk.
type nameState int

const (
	absent   nameState = iota
	unsynced           // may be on it or not
	present
)

// happen records a call that succeeded.
func (d *disk) happen(c call) {
	dir := filepath.Dir(d.path)
	switch {
	case c.name == "pwrite64" && d.has(c.path):
		f := d.file(c.path)
		for at := 0; at < len(c.data); at += pageSize {
			f.pending = append(f.pending, chunk{offset: c.offset + int64(at), data: c.data[at:min(at+pageSize, len(c.data))]})
		}
	case c.name == "ftruncate" && d.has(c.path):
		f := d.file(c.path)
		f.pending = append(f.pending, chunk{size: c.offset})
	case (c.name == "fdatasync" || c.name == "fsync") && d.has(c.path):
		d.file(c.path).sync()
	case c.name == "mkdirat" && c.path == dir:
		d.folder = unsynced
	case c.name == "linkat" && d.has(c.path):
		d.name(c.target, d.file(c.path))
	case c.name == "renameat" && d.has(c.path):
		d.name(c.target, d.file(c.path))
		delete(d.files, c.path)
	case c.name == "unlinkat":
		delete(d.files, c.path)
	case c.name == "fsync" && c.path == dir:
		d.named = d.named[len(d.named)-1:]
	case c.name == "fsync" && c.path == filepath.Dir(dir) && d.folder == unsynced:
		d.folder = present
	}
}

// has reports whether a path is that of the database or of a file that may replace it. Writes to a
// file without a name are lost.
func (d *disk) has(path string) bool {
	return strings.HasPrefix(path, d.path) && !strings.HasSuffix(path, " (deleted)")
}

func (d *disk) file(path string) *file {
	if d.files[path] == nil {
		d.files[path] = &file{}
	}
	return d.files[path]
}

func (d *disk) name(path string, f *file) {
	d.files[path] = f
	if path == d.path {
		d.named = append(slices.Clone(d.named), f)
	}
}

// failSync records a failed sync of a path.
func (d *disk) failSync(path string) {
	if d.has(path) {
		d.file(path).failSync()
	}
}

// possible returns the files that may have the name of the database after a power cut, as they are
// now. absent says whether the name may be missing.
func (d *disk) possible() (files []file, absent bool) {
	for _, f := range d.named {
		if f != nil {
			files = append(files, *f)
		}
	}
	return files, d.folder != present || d.named[0] == nil
}

// sync makes pending chunks durable. Earlier copies of f do not change.
func (f *file) sync() {
	f.content.data = bytes.Clone(f.content.data)
	for _, c := range f.pending {
		f.content = c.apply(f.content)
		f.forget(c)
	}
	f.pending = nil
}

// forget removes from limbo what another chunk overwrote.
func (f *file) forget(by chunk) {
	f.limbo = slices.DeleteFunc(slices.Clone(f.limbo), func(l chunk) bool {
		return (l.data == nil) == (by.data == nil) && l.offset == by.offset
	})
}

func (f *file) failSync() {
	for _, c := range f.pending {
		f.forget(c)
		f.limbo = append(f.limbo, c)
	}
	f.pending = nil
}

func (c chunk) apply(to image) image {
	if c.data == nil {
		to.data = to.data[:min(int64(len(to.data)), c.size)]
		to.size = c.size
		return to
	}
	end := c.offset + int64(len(c.data))
	if n := end - int64(len(to.data)); n > 0 {
		to.data = append(to.data, make([]byte, n)...)
	}
	copy(to.data[c.offset:], c.data)
	to.size = max(to.size, end)
	return to
}

// choice is the result of a power cut for the chunks that were not durable: which sectors of each,
// as bits, are on the disk.
type choice []uint8

const whole = 0xff

// image returns the content after a power cut.
func (f *file) image(of choice) image {
	content := image{bytes.Clone(f.content.data), f.content.size}
	for i, c := range slices.Concat(f.limbo, f.pending) {
		switch {
		case of[i] == 0:
		case c.data == nil || of[i] == whole:
			content = c.apply(content)
		default:
			for s := 0; s*sectorSize < len(c.data); s++ {
				if of[i]&(1<<s) != 0 {
					from := s * sectorSize
					content = chunk{offset: c.offset + int64(from), data: c.data[from:min(from+sectorSize, len(c.data))]}.apply(content)
				}
			}
		}
	}
	return content
}

// choices returns up to n possible results of a power cut: all combinations of complete chunks if
// they are few, else every prefix, each chunk alone, each one missing, and random ones; and some
// with torn chunks.
func (f *file) choices(random *rand.Rand, n int) (list []choice) {
	chunks := len(f.limbo) + len(f.pending)
	combine := func(present func(i int) bool) {
		c := make(choice, chunks)
		for i := range c {
			if present(i) {
				c[i] = whole
			}
		}
		list = append(list, c)
	}
	if chunks < 30 && 1<<chunks <= n/2 {
		for bits := range 1 << chunks {
			combine(func(i int) bool { return bits&(1<<i) != 0 })
		}
	} else {
		for k := range chunks + 1 {
			combine(func(i int) bool { return i < k })
			combine(func(i int) bool { return i == k })
			combine(func(i int) bool { return i != k })
		}
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		list = list[:min(len(list), n/2)]
		for len(list) < n/2 {
			combine(func(int) bool { return random.IntN(2) == 0 })
		}
	}
	for whole := len(list); chunks > 0 && len(list) < n; {
		c := slices.Clone(list[random.IntN(whole)])
		for range 1 + random.IntN(3) {
			c[random.IntN(chunks)] = uint8(random.Uint32())
		}
		list = append(list, c)
	}
	return list
}
