// Package boltfile is the layout of a database file, and reads it without bbolt: pages, sealed
// records, sums of the records, the version of the format.
//
// We read the pages by hand because bbolt trusts what it reads: on a damaged file it panics,
// runs in circles, or reads memory that is not there, and bbolt's own check runs on top of
// that. Here every number is checked before it is used, so any bytes at all end in a report.
// It costs that a change of bbolt's format must be followed here; it has had one version in
// ten years, and every opening of a database in the tests would notice.
//
// The file is pages of one size. Pages 0 and 1 are metas: the newer valid one says where the
// rest is. A page that a transaction changes is written to a new place, so what an older meta
// leads to stays whole until the transaction after the next. A tree of branch and leaf pages
// holds each bucket, and another one the buckets themselves; a small bucket lies inside its
// parent's leaf. One more page lists the free ones.
package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// Kinds of pages, in the header's flags.
const (
	branchPage   = 0x01
	leafPage     = 0x02
	metaPage     = 0x04
	freelistPage = 0x10
)

const (
	pageHeaderSize = 16
	elementSize    = 16 // of branch and leaf pages
	bucketEntry    = 1  // flag of a leaf's element whose value is a bucket
	bucketHeader   = 16 // root page and sequence, in front of a small bucket's page

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64 // with the checksum at its end

	maxDepth = 64 // levels of a tree
)

// meta is the content of a meta page.
type meta struct {
	pageSize    uint32
	root        uint64
	freelist    uint64
	pages       uint64 // of the file, used or free
	transaction uint64
}

var errNoMeta = errors.New("not a valid meta page")

func decodeMeta(page []byte) (m meta, err error) {
	b := page[pageHeaderSize:]
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if binary.NativeEndian.Uint16(page[8:]) != metaPage ||
		binary.NativeEndian.Uint32(b) != metaMagic ||
		binary.NativeEndian.Uint32(b[4:]) != metaVersion ||
		binary.NativeEndian.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return meta{}, errNoMeta
	}
	return meta{
		pageSize:    binary.NativeEndian.Uint32(b[8:]),
		root:        binary.NativeEndian.Uint64(b[16:]),
		freelist:    binary.NativeEndian.Uint64(b[32:]),
		pages:       binary.NativeEndian.Uint64(b[40:]),
		transaction: binary.NativeEndian.Uint64(b[48:]),
	}, nil
}

// pageFile is a file of pages being walked.
type pageFile struct {
	file io.ReaderAt
	meta meta
	seen []bool // by page: it is in use, or free
	leaf []byte // for the next page to be read into; nil: none is spare

	problem func(format string, args ...any) // reports a problem of the file
}

// openPages reads the metas. Both must be valid: without the newer one, the file as the other
// one knows it lacks the last transaction, which was answered.
func openPages(file io.ReaderAt, size int64, problem func(format string, args ...any)) (*pageFile, error) {
	if size < 4*1024 {
		return nil, errors.New("the file is too short for a database")
	}
	first := make([]byte, pageHeaderSize+metaSize)
	second := make([]byte, pageHeaderSize+metaSize)
	if _, err := file.ReadAt(first, 0); err != nil {
		return nil, err
	}
	a, err := decodeMeta(first)
	if err != nil {
		return nil, fmt.Errorf("page 0: %w", err)
	}
	if a.pageSize < 1024 || a.pageSize > 1<<24 || a.pageSize&(a.pageSize-1) != 0 {
		return nil, fmt.Errorf("page 0: a page size of %d bytes", a.pageSize)
	}
	if _, err := file.ReadAt(second, int64(a.pageSize)); err != nil {
		return nil, fmt.Errorf("page 1: %w", err)
	}
	b, err := decodeMeta(second)
	if err != nil {
		return nil, fmt.Errorf("page 1: %w", err)
	}
	newer, older := a, b
	if b.transaction > a.transaction {
		newer, older = b, a
	}
	if newer.transaction != older.transaction+1 || newer.pageSize != older.pageSize {
		return nil, errors.New("the two meta pages do not belong together")
	}
	if newer.pages < 4 || newer.pages > uint64(size)/uint64(newer.pageSize) {
		return nil, fmt.Errorf("the file is cut short: it has %d bytes and should have %d pages of %d", size, newer.pages, newer.pageSize)
	}
	p := &pageFile{file: file, meta: newer, seen: make([]bool, newer.pages), problem: problem}
	p.seen[0], p.seen[1] = true, true
	return p, nil
}

// page is one page and those that continue it.
type page struct {
	id    uint64
	kind  uint16
	count int
	data  []byte // with the header
}

// read reads a page. A page that was read before is an error: nothing may refer to it twice.
func (p *pageFile) read(id uint64) (page, error) {
	if id >= uint64(len(p.seen)) {
		return page{}, fmt.Errorf("page %d is referred to and lies outside the file", id)
	}
	if p.seen[id] {
		return page{}, fmt.Errorf("page %d is referred to twice", id)
	}
	size := uint64(p.meta.pageSize)
	data := p.leaf
	if p.leaf = nil; data == nil {
		data = make([]byte, size)
	}
	if _, err := p.file.ReadAt(data, int64(id*size)); err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	more := uint64(binary.NativeEndian.Uint32(data[12:]))
	if binary.NativeEndian.Uint64(data) != id || more >= uint64(len(p.seen))-id {
		return page{}, fmt.Errorf("page %d is not the page that should be there", id)
	}
	for i := range more {
		if p.seen[id+1+i] {
			return page{}, fmt.Errorf("page %d is referred to twice", id+1+i)
		}
	}
	for i := range more + 1 {
		p.seen[id+i] = true
	}
	if more > 0 {
		rest := make([]byte, more*size)
		if _, err := p.file.ReadAt(rest, int64((id+1)*size)); err != nil {
			return page{}, fmt.Errorf("page %d: %w", id, err)
		}
		data = append(data, rest...)
	}
	return decodePage(id, data), nil
}

func decodePage(id uint64, data []byte) page {
	return page{
		id:    id,
		kind:  binary.NativeEndian.Uint16(data[8:]),
		count: int(binary.NativeEndian.Uint16(data[10:])),
		data:  data,
	}
}

// slice returns size bytes of a page from an offset, or false if they are not there.
func (p page) slice(at, size uint64) ([]byte, bool) {
	if at < pageHeaderSize || at > uint64(len(p.data)) || size > uint64(len(p.data))-at {
		return nil, false
	}
	return p.data[at : at+size : at+size], true
}

// element is an entry of a branch or leaf page.
type element struct {
	key, value []byte
	flags      uint32 // of a leaf's
	child      uint64 // of a branch's
}

func (p page) element(i int) (element, bool) {
	at := uint64(pageHeaderSize + i*elementSize)
	b, ok := p.slice(at, elementSize)
	if !ok {
		return element{}, false
	}
	first, second, third, fourth := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint32(b[4:]),
		binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	var e element
	if p.kind == branchPage {
		e.child = binary.NativeEndian.Uint64(b[8:])
		e.key, ok = p.slice(at+uint64(first), uint64(second))
		return e, ok
	}
	e.flags = first
	if e.key, ok = p.slice(at+uint64(second), uint64(third)); !ok {
		return element{}, false
	}
	e.value, ok = p.slice(at+uint64(second)+uint64(third), uint64(fourth))
	return e, ok
}

// walk calls visit for the elements of all leaves of a tree, each valid until visit returns.
// The keys must be in order, begin with low and stay below high (nil: no bound). bbolt finds a
// page in its parent by its first key: if the two differ, a write would leave the old page
// there.
func (p *pageFile) walk(root uint64, low, high []byte, depth int, visit func(element)) {
	page, err := p.read(root)
	if err != nil {
		p.problem("%v", err)
		return
	}
	p.walkPage(page, low, high, depth, visit)
	if page.kind == leafPage {
		p.leaf = page.data[:p.meta.pageSize]
	}
}

func (p *pageFile) walkPage(page page, low, high []byte, depth int, visit func(element)) {
	if page.kind != branchPage && page.kind != leafPage || page.kind == branchPage && (page.count == 0 || depth > maxDepth) {
		p.problem("page %d is not part of a tree", page.id)
		return
	}
	var last []byte
	for i := range page.count {
		e, ok := page.element(i)
		if !ok {
			p.problem("page %d: entry %d lies outside it", page.id, i)
			return
		}
		if i > 0 && bytes.Compare(e.key, last) <= 0 || i == 0 && low != nil && !bytes.Equal(e.key, low) || high != nil && bytes.Compare(e.key, high) >= 0 {
			p.problem("page %d: entry %d is not where it belongs", page.id, i)
		}
		last = e.key
		if page.kind == leafPage {
			visit(e)
			continue
		}
		end := high
		if i+1 < page.count {
			if next, ok := page.element(i + 1); ok {
				end = next.key
			}
		}
		p.walk(e.child, e.key, end, depth+1, visit)
	}
}

// walkBucket calls visit for the records of the bucket in e.
func (p *pageFile) walkBucket(e element, visit func(element)) {
	if len(e.value) < bucketHeader {
		p.problem("bucket %q: %d bytes cannot be a bucket", e.key, len(e.value))
		return
	}
	if root := binary.NativeEndian.Uint64(e.value); root != 0 {
		p.walk(root, nil, nil, 0, visit)
		return
	}
	if len(e.value) < bucketHeader+pageHeaderSize {
		p.problem("bucket %q: %d bytes cannot be a bucket", e.key, len(e.value))
		return
	}
	small := decodePage(0, e.value[bucketHeader:])
	if small.kind != leafPage {
		p.problem("bucket %q is not part of a tree", e.key)
		return
	}
	p.walkPage(small, nil, nil, 0, visit)
}

// checkFree reads the list of free pages. Together with the pages that were walked it must
// name every page of the file.
func (p *pageFile) checkFree() {
	list, err := p.read(p.meta.freelist)
	if err != nil {
		p.problem("list of free pages: %v", err)
		return
	}
	count, at := uint64(list.count), uint64(pageHeaderSize)
	if b, ok := list.slice(at, 8); count == 0xffff && ok {
		count, at = binary.NativeEndian.Uint64(b), at+8
	}
	ids, ok := list.slice(at, count*8)
	if list.kind != freelistPage || count > p.meta.pages || !ok {
		p.problem("page %d is not a list of free pages", list.id)
		return
	}
	for ; len(ids) > 0; ids = ids[8:] {
		id := binary.NativeEndian.Uint64(ids)
		switch {
		case id >= uint64(len(p.seen)):
			p.problem("free page %d lies outside the file", id)
		case p.seen[id]:
			p.problem("page %d is in use and listed as free", id)
		default:
			p.seen[id] = true
		}
	}
	for id, seen := range p.seen {
		if !seen {
			p.problem("page %d is neither in use nor free", id)
		}
	}
}
