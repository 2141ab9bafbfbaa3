package crash

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
)

// A disk as hostile as POSIX allows. What was written since the last sync may be on it or
// not, in any combination, torn between any two sectors; so may names that were made since
// their folder was synced. What was pending when a sync failed may be on it or not for
// ever: the kernel takes it for written, so a later sync does not write it.

const (
	sectorSize = 512
	pageSize   = 4096
)

// disk is what is on the disk of one database, and what may be.
type disk struct {
	path string // of the database

	content image   // durable
	pending []chunk // since the last sync, in order
	limbo   []chunk // pending when a sync failed

	folder, name nameState // of the database's folder, and of the file in it
}

// chunk is one write of at most a page, or a size of the file.
type chunk struct {
	offset int64
	data   []byte
	size   int64 // where data is nil
}

// image is the content of a file: a size, and what its beginning is. The rest is zero.
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

// happen takes note of a call.
func (d *disk) happen(c call) {
	dir := filepath.Dir(d.path)
	switch {
	case c.name == "pwrite64" && strings.HasPrefix(c.path, d.path):
		for at := 0; at < len(c.data); at += pageSize {
			d.pending = append(d.pending, chunk{offset: c.offset + int64(at), data: c.data[at:min(at+pageSize, len(c.data))]})
		}
	case c.name == "ftruncate" && strings.HasPrefix(c.path, d.path):
		d.pending = append(d.pending, chunk{size: c.offset})
	case c.name == "mkdirat" && c.path == dir:
		d.folder = unsynced
	case c.name == "linkat" && c.target == d.path, c.name == "renameat" && c.target == d.path:
		d.name = unsynced
	case c.name == "fsync" && c.path == dir && d.name == unsynced:
		d.name = present
	case c.name == "fsync" && c.path == filepath.Dir(dir) && d.folder == unsynced:
		d.folder = present
	}
}

// isSync reports whether a call makes the file's content durable.
func (d *disk) isSync(c call) bool {
	return (c.name == "fdatasync" || c.name == "fsync") && strings.HasPrefix(c.path, d.path)
}

// sync makes durable what is pending. Copies that were made of d before stay as they are.
func (d *disk) sync() {
	d.content.data = bytes.Clone(d.content.data)
	for _, c := range d.pending {
		d.content = c.apply(d.content)
		d.forget(c)
	}
	d.pending = nil
}

// forget takes out of limbo what another chunk has overwritten.
func (d *disk) forget(by chunk) {
	d.limbo = slices.DeleteFunc(slices.Clone(d.limbo), func(l chunk) bool {
		return (l.data == nil) == (by.data == nil) && l.offset == by.offset
	})
}

// failSync is a sync that fails.
func (d *disk) failSync() {
	for _, c := range d.pending {
		d.forget(c)
		d.limbo = append(d.limbo, c)
	}
	d.pending = nil
}

func (c chunk) apply(to image) image {
	end := c.size
	if c.data != nil {
		end = c.offset + int64(len(c.data))
		if n := end - int64(len(to.data)); n > 0 {
			to.data = append(to.data, make([]byte, n)...)
		}
		copy(to.data[c.offset:], c.data)
	}
	to.size = max(to.size, end)
	return to
}

// choice is what a power cut made of the chunks that were not durable: which sectors of
// each, as bits, are on the disk.
type choice []uint8

const whole = 0xff

// image is the content that a power cut leaves.
func (d *disk) image(of choice) image {
	content := image{bytes.Clone(d.content.data), d.content.size}
	for i, c := range slices.Concat(d.limbo, d.pending) {
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

// choices returns up to n ways in which a power cut may end: all combinations of whole
// chunks where they are few enough, else every prefix, each chunk alone and each one
// missing, and others at random; and some in which chunks are torn.
func (d *disk) choices(random *rand.Rand, n int) (list []choice) {
	chunks := len(d.limbo) + len(d.pending)
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
