package route

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// reading is the path of a request target as one kind of reader sees it. Proxies hand the client's path
// on as it is, so the application behind them may be a reader of any kind.
type reading struct {
	authority []byte // the part that it takes for a host, perhaps with a port; nil: none
	path      []byte // as [normalPath] writes it, except for the parts that this reader leaves as they are
}

// maxReadings bounds the readings of one path. Each costs a comparison with all rules.
const maxReadings = 8

// sameReading reports whether all readers read raw as normal.
func sameReading(raw, normal []byte) bool {
	return bytes.Equal(raw, normal) && bytes.IndexByte(raw, ';') < 0
}

// readings returns the readings of raw, a path without its query for which sameReading is false. normal
// and clear are the results of [normalPath] for it; if clear is true, normal is the first reading. The
// readings may be parts of raw, but not of normal, so that a buffer of the caller stays on its stack.
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

// oddSegments reports whether raw, which normalPath can read, has dot segments, and whether it has
// other segments that readers disagree about: with parameters, with an escaped end, empty ones, or
// escaped dots, which some readers resolve too late. If a path has both, it has more readings than can
// be listed, because a reader may let .. remove an empty segment (/a//../b).
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

// readerStep is a step that some readers take and others do not. changed is false if it leaves this
// path as it is.
type readerStep func(r reading) (after reading, changed bool)

// optionalSteps may each be taken once, in any order, before or after the decoding.
var optionalSteps = [...]readerStep{cutAtEnd, dropParameters, dropAuthority}

// readingList collects the different readings of a path.
type readingList struct{ list []reading }

// extend adds the readings of readers that take any of the steps from r on, in any order. Readers decode
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

// cutAtEnd ends a path at a text that looks like its query or fragment after the decoding
// (/orders%3fx).
func cutAtEnd(r reading) (after reading, changed bool) {
	end := bytes.IndexAny(r.path, "?#")
	if end < 0 {
		return r, false
	}
	return reading{r.authority, r.path[:end]}, true
}

// dropParameters removes everything from a semicolon to the end of its segment (/orders;x=1), as
// servlet containers do.
func dropParameters(r reading) (after reading, changed bool) {
	if bytes.IndexByte(r.path, ';') < 0 {
		return r, false
	}
	return reading{r.authority, withoutParameters(r.path)}, true
}

// dropAuthority takes the text after two or more slashes at the start for an authority (RFC 3986, 4.2),
// as new URL(target, base) of JavaScript, url.Parse of Go and urlsplit of Python do.
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

// withoutParameters returns path without the parameters of its segments: everything from a semicolon
// to the end of its segment.
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

// decoded appends path to dst with its escapes decoded once. An invalid escape stays as it is.
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

// escapedReadings is readings for a path that normalPath cannot read. It lists the readings of paths
// whose only fault is escaped slashes, or escaped backslashes, or escaped percent signs: as sent,
// decoded once, decoded twice, and with backslashes as slashes. The first reading decodes once.
func escapedReadings(raw []byte) (list []reading, ok bool) {
	if len(raw) == 0 || raw[0] != '/' || len(raw) > MaxPath || bytes.IndexByte(raw, '\\') >= 0 {
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

// keepEscapes returns raw with its escapes decoded, except those of one kind: of a slash, a backslash
// or a percent sign. ok is false if there are several kinds, none, or invalid escapes.
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

// isUnambiguous reports whether all readers see the same segments in path, which has been decoded as
// often as any reader decodes it.
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

// mayNameHost reports whether some reader may find a host in raw, a target without its query: if it is
// not a path, or if an empty segment may end up first in it. It errs on the side of true.
func mayNameHost(raw []byte) bool {
	if len(raw) == 0 || raw[0] != '/' {
		return true
	}
	text := decoded(nil, decoded(nil, raw))
	text = bytes.ReplaceAll(text, []byte{'\\'}, []byte{'/'})
	text = slices.DeleteFunc(text, func(c byte) bool { return c < 0x20 }) // new URL removes tabs and line ends
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
