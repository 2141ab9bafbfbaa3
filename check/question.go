package check

import (
	"bytes"
	"iter"
	"sync"
	"time"

	"sidekey/auth"
)

// Question is what a listener has read of a proxy's request. The bytes in it are borrowed
// from the listener until [Handler.Check] returns.
type Question struct {
	At         time.Time // when the request had arrived
	Connection uint64    // any number, ideally the connection's: it spreads counters over memory
	Dialect    *Dialect  // nil if the request names none
	Missing    string    // the proxy setting that is missing or wrong; "" if none is

	Request auth.Request // the client's request; zero if something is missing
	Headers Headers      // of the proxy's request to us
}

// Headers are all headers of a proxy's request.
type Headers interface {
	auth.Headers
	// All yields every header, in the order of the request. Names are spelled as in
	// "X-Forwarded-For". Names and values are borrowed like those of [Question].
	All() iter.Seq2[[]byte, []byte]
	// Clone returns a copy that borrows nothing.
	Clone() Headers
}

// Record is one question and what was decided about it. It is all that counters, the
// decision log, and events know about a request, whichever listener it came from.
//
// A record borrows: its bytes belong to the listener, which uses them for the next request
// as soon as the observer returns. An observer copies what it keeps.
type Record struct {
	Question               // Headers is nil if the request was held and no observer records them
	Took     time.Duration // from At until the reply was ready
	Verdict  auth.Verdict
}

// Path returns the path of the request's target as it was sent, without the parts that may
// hold secrets: the query, the fragment, and the authority of an absolute URI.
func (r *Record) Path() []byte {
	target := r.Request.URI
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	if len(target) == 0 || target[0] == '/' {
		return target
	}
	_, rest, absolute := bytes.Cut(target, []byte("://"))
	if !absolute {
		return target
	}
	if i := bytes.IndexByte(rest, '/'); i >= 0 {
		return rest[i:]
	}
	return nil
}

// Exchange is a question on its way to a reply. A listener takes one from [NewExchange],
// fills in the question, calls [Handler.Check], writes the reply, and calls Release.
type Exchange struct {
	Record
	Reply Reply
}

var exchanges = sync.Pool{New: func() any { return &Exchange{Reply: newReply()} }}

// NewExchange returns an exchange with an empty question. Exchanges are reused: one on the
// stack would be allocated for each request, because observers get a pointer to it.
func NewExchange() *Exchange { return exchanges.Get().(*Exchange) }

// Release gives an exchange back. Nothing of it may be used afterwards.
func (x *Exchange) Release() {
	x.Record = Record{}
	x.Reply.reset()
	exchanges.Put(x)
}
