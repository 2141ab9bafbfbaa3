package route

import (
	"bytes"
	"unicode/utf8"
)

// MaxPath bounds the paths that are compared, in bytes. A longer path is ambiguous if the answer
// depends on it.
const MaxPath = 8192

// normalPath writes the one form in which paths are compared to dst: without query, percent-decoded
// once, runs of slashes collapsed, dot segments resolved. /a//b/../%63?x=1 becomes /a/c.
//
// ok is false for a path that two parsers could read differently: with an escaped slash, backslash,
// percent sign or control character, an invalid escape, a backslash, a fragment, a dot segment with a
// parameter (/..;/), broken UTF-8, or without a slash at its start. Proxies and applications have
// disagreed on each of these (Envoy CVE-2021-29492, CVE-2021-32779, CVE-2026-73551; Heimdall
// CVE-2026-42272).
//
// A path that is in that form already is returned without a copy.
func normalPath(dst, uri []byte) (path []byte, ok bool) {
	raw := withoutQuery(uri)
	if len(raw) == 0 || raw[0] != '/' || len(raw) > MaxPath {
		return nil, false
	}
	if isPlain(raw) {
		return raw, true
	}
	return rewritten(dst, raw)
}

// rewritten is normalPath for all paths.
func rewritten(dst, raw []byte) (path []byte, ok bool) {
	path = dst[:0]
	segment := 0 // where in path the segment being read starts, after its slash
	for i := 0; i <= len(raw); i++ {
		var c byte = '/' // the end of the path ends its last segment
		end := i == len(raw)
		if !end {
			c = raw[i]
		}
		switch {
		case c == '%':
			if i+2 >= len(raw) {
				return nil, false
			}
			high, low := unhex(raw[i+1]), unhex(raw[i+2])
			if high < 0 || low < 0 {
				return nil, false
			}
			c = byte(high<<4 | low)
			if c == '/' || c == '%' || c == '\\' || c < 0x20 || c == 0x7f {
				return nil, false
			}
			path = append(path, c)
			i += 2
		case c != '/':
			if c == '\\' || c == '#' || c < 0x20 || c == 0x7f {
				return nil, false
			}
			path = append(path, c)
		default:
			if i == 0 {
				path = append(path, '/')
				segment = 1
				continue
			}
			if path, ok = closeSegment(path, segment, end); !ok {
				return nil, false
			}
			segment = len(path)
		}
	}
	return path, true
}

// isPlain is the fast path of normalPath: no segment of path is empty or begins with a dot, and all its
// bytes stand for themselves.
func isPlain(path []byte) bool {
	before := byte(0)
	for _, c := range path {
		if !plainBytes[c] || before == '/' && (c == '/' || c == '.') {
			return false
		}
		before = c
	}
	return true
}

// plainBytes are the usual bytes of a path in normal form: letters, digits, slashes, and the marks that
// all readers take literally.
var plainBytes = func() (set [256]bool) {
	for _, c := range []byte("/ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@:,+=$!*'()") {
		set[c] = true
	}
	return set
}()

// withoutQuery returns the path of a request target.
func withoutQuery(uri []byte) []byte {
	path, _, _ := bytes.Cut(uri, []byte{'?'})
	return path
}

// closeSegment resolves the segment path[start:] and adds the slash after it, unless the path ends
// here.
func closeSegment(path []byte, start int, end bool) (_ []byte, ok bool) {
	name := path[start:]
	if i := bytes.IndexByte(name, ';'); i >= 0 && isDots(name[:i]) || !utf8.Valid(name) {
		return nil, false
	}
	switch {
	case len(name) == 0 || string(name) == ".":
		return path[:start], true
	case string(name) == "..":
		parent := bytes.LastIndexByte(path[:start-1], '/') + 1
		return path[:max(1, parent)], true
	case end:
		return path, true
	}
	return append(path, '/'), true
}

func isDots(name []byte) bool {
	return len(name) > 0 && len(bytes.Trim(name, ".")) == 0
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
