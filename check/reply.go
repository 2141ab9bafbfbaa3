package check

import (
	"strconv"
	"time"

	"sidekey/auth"
	"sidekey/limiter"
)

// Reply is what goes back to a proxy. A listener writes it as its protocol has it: every
// header once, in this order, and the body.
//
// Its bytes are valid until the exchange that it belongs to is released, and must not be
// changed: some belong to the user's account, some to the program.
type Reply struct {
	Status  int // an HTTP status
	Headers []Header
	Body    []byte // JSON; empty if the request may pass

	text []byte // values made for this reply; Headers and Body point into it
}

// Header is one header of a reply. The name is spelled as it goes over HTTP/1.1.
type Header struct {
	Name, Value []byte
}

// newReply returns an empty reply with room for all that an ordinary reply has.
func newReply() Reply {
	return Reply{Headers: make([]Header, 0, 32), text: make([]byte, 0, 512)}
}

func (r *Reply) reset() {
	clear(r.Headers)
	r.Status, r.Headers, r.Body, r.text = 0, r.Headers[:0], nil, r.text[:0]
}

func (r *Reply) add(name, value []byte) { r.Headers = append(r.Headers, Header{name, value}) }

func (r *Reply) addText(name []byte, value string) {
	start := len(r.text)
	r.text = append(r.text, value...)
	r.addMade(name, start)
}

func (r *Reply) addNumber(name []byte, value int64) {
	start := len(r.text)
	r.text = strconv.AppendInt(r.text, value, 10)
	r.addMade(name, start)
}

// addMade adds a header whose value is the end of r.text. If r.text moves later, what was
// taken of it before stays valid.
func (r *Reply) addMade(name []byte, start int) { r.add(name, r.text[start:len(r.text):len(r.text)]) }

// fail sets the body of a refusal. message is a constant of package auth or of this one, so
// there is nothing to escape.
func (r *Reply) fail(message string) {
	start := len(r.text)
	r.text = append(r.text, `{"error": "`...)
	r.text = append(r.text, message...)
	r.text = append(r.text, `"}`...)
	r.Body = r.text[start:len(r.text):len(r.text)]
}

// HTTP statuses.
const (
	statusOK           = 200
	statusUnauthorized = 401
	statusForbidden    = 403
)

// Names and constant values of the headers of replies, as they go over the wire.
var (
	nameCacheControl    = []byte("Cache-Control")
	nameContentType     = []byte("Content-Type")
	nameErrorMessage    = []byte("X-Error-Message")
	nameErrorStatus     = []byte("X-Error-Status")
	nameLimit           = []byte("X-RateLimit-Limit")
	nameRemaining       = []byte("X-RateLimit-Remaining")
	nameReset           = []byte("X-RateLimit-Reset")
	namePolicy          = []byte("RateLimit-Policy")
	nameRateLimit       = []byte("RateLimit")
	nameRetryAfter      = []byte("Retry-After")
	nameShadow          = []byte("X-Sidekey-Shadow")
	nameWWWAuthenticate = []byte("WWW-Authenticate")
	nameToRemove        = []byte("X-Envoy-Auth-Headers-To-Remove")

	noStore       = []byte("no-store")
	jsonType      = []byte("application/json")
	authorization = []byte("authorization")
	forbidden     = []byte("403")
)

const notUnderstood = "Request not understood"

// Deny makes r the refusal of a request that could not be understood, or whose check
// panicked. It is 403, the one status that every proxy passes on as a refusal: a client may
// have found the input that panics, and with failure_mode_allow Envoy lets a request
// through on 5xx.
func (r *Reply) Deny() {
	r.reset()
	r.Status = statusForbidden
	r.add(nameErrorStatus, forbidden)
	r.addText(nameErrorMessage, notUnderstood)
	r.add(nameCacheControl, noStore)
	r.add(nameContentType, jsonType)
	r.fail(notUnderstood)
}

// write makes r, which is empty, the reply to a verdict. It is the one place where that
// happens.
func (r *Reply) write(config *auth.Replies, d *Dialect, v *auth.Verdict) {
	r.add(nameCacheControl, noStore)
	if v.Reason == auth.Pass {
		r.Status = statusOK
		for name, value := range v.Account.Identity {
			r.add(name, value)
		}
		if d.removesAuthorization && config.StripAuthorization {
			r.add(nameToRemove, authorization)
		}
		if v.Shadow != auth.Pass {
			r.addText(nameShadow, v.Shadow.String())
		}
		r.addLimits(config, v)
		return
	}

	intended := v.Reason.Status()
	if v.Reason == auth.QuotaExceeded {
		intended = config.QuotaStatus
	}
	r.Status = d.status(v.Reason, intended)
	r.addNumber(nameErrorStatus, int64(intended))
	r.addText(nameErrorMessage, v.Message)
	if r.Status == statusUnauthorized && v.API != nil {
		r.add(nameWWWAuthenticate, v.API.Challenge())
	}
	if v.Retry > 0 && v.Retry != limiter.Forever {
		r.addNumber(nameRetryAfter, seconds(v.Retry))
	}
	switch v.Reason {
	case auth.RateExceeded, auth.QuotaExceeded, auth.APIRateExceeded:
		r.addLimits(config, v)
	}
	r.add(nameContentType, jsonType)
	r.fail(v.Message)
}

// addLimits adds what is left, in Tyk's headers and in those of
// draft-ietf-httpapi-ratelimit-headers (lists of structured-field items).
func (r *Reply) addLimits(config *auth.Replies, v *auth.Verdict) {
	limit, remaining, reset := quotaNumbers(v.Quota)
	if config.RateInHeaders {
		limit, remaining, reset = rateNumbers(v.Rate, v.At)
	}
	r.addNumber(nameLimit, limit)
	r.addNumber(nameRemaining, remaining)
	r.addNumber(nameReset, reset)
	if v.Rate.Limit <= 0 && v.Quota.Limit <= 0 {
		return
	}
	start := len(r.text)
	if v.Rate.Limit > 0 {
		r.text = appendPolicy(r.text, false, "rate", v.Rate.Limit, v.Rate.Per)
	}
	if v.Quota.Limit > 0 {
		r.text = appendPolicy(r.text, v.Rate.Limit > 0, "quota", v.Quota.Limit, v.Quota.Period)
	}
	r.addMade(namePolicy, start)

	start = len(r.text)
	if v.Rate.Limit > 0 {
		r.text = appendState(r.text, false, "rate", v.Rate.Remaining, untilRate(v.Rate))
	}
	if v.Quota.Limit > 0 {
		var left time.Duration
		if v.Quota.Renews > 0 {
			left = time.Duration(v.Quota.Renews - v.At.Wall)
		}
		r.text = appendState(r.text, v.Rate.Limit > 0, "quota", v.Quota.Remaining, left)
	}
	r.addMade(nameRateLimit, start)
}

// quotaNumbers returns Tyk's numbers: a user without a quota has limit -1 and nothing to
// count.
func quotaNumbers(q limiter.QuotaState) (limit, remaining, reset int64) {
	if q.Limit == 0 {
		return -1, 0, 0
	}
	return q.Limit, q.Remaining, seconds(time.Duration(q.Renews))
}

func rateNumbers(r limiter.RateState, now limiter.Now) (limit, remaining, reset int64) {
	if r.Limit == 0 {
		return -1, 0, 0
	}
	return r.Limit, r.Remaining, seconds(time.Duration(now.Wall) + untilRate(r))
}

// untilRate returns how long a client must wait to have more left than now: until the next
// free place if none is free, and otherwise the whole window.
func untilRate(r limiter.RateState) time.Duration {
	if r.Remaining == 0 {
		return r.Retry
	}
	return r.Reset
}

// maxInteger is the largest integer of a structured field (RFC 9651, 3.3.1).
const maxInteger = 999_999_999_999_999

// appendPolicy appends "name";q=LIMIT;w=SECONDS, as the next item of a list or the first.
// The format cannot express a window that is not a whole number of seconds: it is left out.
func appendPolicy(dst []byte, next bool, name string, limit int64, window time.Duration) []byte {
	dst = appendItem(dst, next, name)
	dst = strconv.AppendInt(append(dst, ";q="...), min(limit, maxInteger), 10)
	if window > 0 && window%time.Second == 0 {
		dst = strconv.AppendInt(append(dst, ";w="...), int64(window/time.Second), 10)
	}
	return dst
}

// appendState appends "name";r=REMAINING;t=SECONDS, as the next item of a list or the first.
func appendState(dst []byte, next bool, name string, remaining int64, reset time.Duration) []byte {
	dst = appendItem(dst, next, name)
	dst = strconv.AppendInt(append(dst, ";r="...), min(remaining, maxInteger), 10)
	if reset > 0 {
		dst = strconv.AppendInt(append(dst, ";t="...), seconds(reset), 10)
	}
	return dst
}

func appendItem(dst []byte, next bool, name string) []byte {
	if next {
		dst = append(dst, ", "...)
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"')
}

// seconds rounds up, so that a client that comes back after that time is not too early.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
