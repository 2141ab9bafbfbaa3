package auth

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// reading is what one kind of reader makes of the path of a request target. Proxies hand
// the client's path on as it is, so the application behind may be a reader of any kind.
type reading struct {
	authority []byte // what it takes for a host, perhaps with a port; nil: nothing
	path      []byte // as [normalPath] writes it, but for what this reader leaves as it is
}

// maxReadings bounds the readings of one path. Each costs a look at all rules that the path
// is compared with.
const maxReadings = 8

// sameReading reports whether all readers read raw as normal.
func sameReading(raw, normal []byte) bool {
	return bytes.Equal(raw, normal) && bytes.IndexByte(raw, ';') < 0
}

// readings returns what readers make of raw, a path without its query that sameReading is
// false for. normal is what [normalPath] returns for it, and is the first reading if clear
// says that there is one. The readings may lie in raw, but not in normal, so that a buffer
// of the caller's stays on its stack.
//
// ok is false if there are more readings than can be listed.
func readings(raw, normal []byte, clear bool) (list []reading, ok bool) {
	if !clear {
		return escapedReadings(raw)
	}
	first := reading{path: bytes.Clone(normal)}
	dots, special := oddSegments(raw)
	switch {
	case dots && special:
		return nil, false
	case dots:
		return []reading{first, {path: decoded(nil, raw)}}, true
	}
	l := readingList{list: []reading{first}}
	l.extend(reading{path: raw}, bytes.IndexByte(raw, '%') < 0, optionalSteps[:])
	return l.list, len(l.list) <= maxReadings
}

// oddSegments reports whether raw, which normalPath can read, has segments that are dots,
// and whether it has others that readers differ on: with parameters, with an end in an
// escape, empty ones, or dots in escapes, which some readers resolve too late. Beside dots
// these have more readings than can be listed, because a reader may count an empty segment
// as one that .. leaves (/a//../b).
func oddSegments(raw []byte) (dots, special bool) {
	rest := raw[1:]
	for more := true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		name := segment
		if bytes.IndexByte(segment, '%') >= 0 {
			name = decoded(nil, segment)
		}
		end := bytes.IndexAny(name, "?#;")
		if end >= 0 {
			name = name[:end]
		}
		dot := string(name) == "." || string(name) == ".."
		dots = dots || dot
		escaped := dot && len(name) < len(segment)
		empty := len(segment) == 0 && more
		special = special || end >= 0 || escaped || empty
	}
	return dots, special
}

// readerStep is something that some readers do to a path and others do not. changed is
// false if it leaves this path as it is.
type readerStep func(r reading) (after reading, changed bool)

// optionalSteps are taken at most once each, in any order, before or after the decoding.
var optionalSteps = [...]readerStep{cutAtEnd, dropParameters, dropAuthority}

// readingList collects the different readings of a path.
type readingList struct{ list []reading }

// extend adds the readings of those that do steps to r, in any order. Readers decode
// escapes once; isDecoded says whether that has been done.
func (l *readingList) extend(r reading, isDecoded bool, steps []readerStep) {
	if len(l.list) > maxReadings {
		return
	}
	if isDecoded {
		l.add(reading{r.authority, collapsed(r.path)})
		l.add(reading{r.authority, r.path}) // Express and new URL keep empty segments
	} else {
		l.extend(reading{decoded(nil, r.authority), decoded(nil, r.path)}, true, steps)
	}
	for i, step := range steps {
		if after, changed := step(r); changed {
			others := slices.Delete(slices.Clone(steps), i, i+1)
			l.extend(after, isDecoded, others)
		}
	}
}

func (l *readingList) add(r reading) {
	for _, known := range l.list {
		if bytes.Equal(known.path, r.path) && bytes.Equal(known.authority, r.authority) {
			return
		}
	}
	l.list = append(l.list, r)
}

// cutAtEnd ends a path at what looks like its query or fragment after the decoding
// (/orders%3fx).
func cutAtEnd(r reading) (after reading, changed bool) {
	end := bytes.IndexAny(r.path, "?#")
	if end < 0 {
		return r, false
	}
	return reading{r.authority, r.path[:end]}, true
}

// dropParameters leaves out everything from a semicolon to the end of its segment
// (/orders;x=1), as servlet containers do.
func dropParameters(r reading) (after reading, changed bool) {
	if bytes.IndexByte(r.path, ';') < 0 {
		return r, false
	}
	return reading{r.authority, withoutParameters(r.path)}, true
}

// dropAuthority takes what follows two or more slashes at the beginning for an authority
// (RFC 3986, 4.2), as new URL(target, base) of JavaScript, url.Parse of Go and urlsplit of
// Python do.
func dropAuthority(r reading) (after reading, changed bool) {
	if !bytes.HasPrefix(r.path, []byte("//")) {
		return r, false
	}
	rest := bytes.TrimLeft(r.path, "/")
	if len(rest) == 0 {
		return r, false
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 || rest[end] != '/' {
		if end < 0 {
			end = len(rest)
		}
		return reading{rest[:end], []byte("/")}, true
	}
	return reading{rest[:end], rest[end:]}, true
}

// withoutParameters returns path with everything from a semicolon to the end of its
// segment left out.
func withoutParameters(path []byte) []byte {
	plain := make([]byte, 0, len(path))
	skip := false
	for _, c := range path {
		if c == ';' || c == '/' {
			skip = c == ';'
		}
		if !skip {
			plain = append(plain, c)
		}
	}
	return plain
}

// collapsed returns path with each run of slashes as one.
func collapsed(path []byte) []byte {
	if !bytes.Contains(path, []byte("//")) {
		return path
	}
	out := make([]byte, 0, len(path))
	for _, c := range path {
		if c != '/' || len(out) == 0 || out[len(out)-1] != '/' {
			out = append(out, c)
		}
	}
	return out
}

// decoded appends path to dst with its escapes decoded once. What only looks like an escape
// stays.
func decoded(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' && i+2 < len(path) {
			if high, low := unhex(path[i+1]), unhex(path[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		dst = append(dst, c)
	}
	return dst
}

// escapedReadings is readings for a path that normalPath cannot read. It lists those of
// paths that nothing is wrong with but escaped slashes, or escaped backslashes, or escaped
// percent signs: as they stand, decoded, decoded twice, and with backslashes as slashes.
// The first reading is the one that decodes once.
func escapedReadings(raw []byte) (list []reading, ok bool) {
	if len(raw) == 0 || raw[0] != '/' || len(raw) > maxPath || bytes.IndexByte(raw, '\\') >= 0 {
		return nil, false
	}
	kept, kind, ok := keepEscapes(raw)
	if !ok {
		return nil, false
	}
	once := decoded(nil, raw)
	twice := decoded(nil, once)
	if kind != '%' {
		twice = once
	}
	slashes := bytes.ReplaceAll(twice, []byte{'\\'}, []byte{'/'})
	if !utf8.Valid(once) || !isUnambiguous(slashes) {
		return nil, false
	}
	var l readingList
	for _, path := range [][]byte{once, kept, twice, slashes} {
		l.add(reading{path: path})
	}
	return l.list, true
}

// keepEscapes returns raw with its escapes decoded, but for those of one kind: of a slash,
// a backslash or a percent sign. ok is false if there are several kinds, none, or escapes
// that are not valid.
func keepEscapes(raw []byte) (kept []byte, kind byte, ok bool) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			kept = append(kept, c)
			continue
		}
		escape := raw[i:min(i+3, len(raw))]
		one := decoded(nil, escape)
		if len(one) != 1 {
			return nil, 0, false
		}
		i += 2
		switch c := one[0]; {
		case c != '/' && c != '\\' && c != '%':
			kept = append(kept, c)
		case kind != 0 && kind != c:
			return nil, 0, false
		default:
			kind = c
			kept = append(kept, escape...)
		}
	}
	return kept, kind, kind != 0
}

// isUnambiguous reports whether readers see the same segments in path, which is decoded
// as often as any reader does.
func isUnambiguous(path []byte) bool {
	if !utf8.Valid(path) || bytes.ContainsAny(path, ";?#") || !bytes.Equal(decoded(nil, path), path) {
		return false
	}
	for _, c := range path {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	rest := path[1:]
	for more := true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		if len(segment) == 0 && more || string(segment) == "." || string(segment) == ".." {
			return false
		}
	}
	return true
}

// mayNameHost reports whether some reader may find a host in raw, a target without its
// query: if it is no path at all, or if an empty segment may come to stand first in it. It
// errs on the side of true.
func mayNameHost(raw []byte) bool {
	if len(raw) == 0 || raw[0] != '/' {
		return true
	}
	text := decoded(nil, decoded(nil, raw))
	text = bytes.ReplaceAll(text, []byte{'\\'}, []byte{'/'})
	text = slices.DeleteFunc(text, func(c byte) bool { return c < 0x20 }) // new URL leaves tabs and line ends out
	rest := text[1:]
	for more := true; more; {
		var segment []byte
		segment, rest, more = bytes.Cut(rest, []byte{'/'})
		name, _, _ := bytes.Cut(segment, []byte{';'})
		if len(name) == 0 && more || string(name) == "." || string(name) == ".." {
			return true
		}
	}
	return false
}
