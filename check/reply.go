package check

import (
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/limiter"
)

// Names and constant values of the answer's headers, as they go over the wire.
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
)

// write is the one place where a verdict becomes an answer.
func (h *Handler) write(response *fasthttp.Response, d *dialect, v *auth.Verdict) {
	config := h.config.Load()
	header := &response.Header
	header.SetCanonical(nameCacheControl, noStore)
	if v.Reason == auth.Pass {
		response.SetStatusCode(fasthttp.StatusOK)
		for name, value := range v.Account.Identity {
			header.SetCanonical(name, value)
		}
		if d.removesAuthorization && config.StripAuthorization {
			header.SetCanonical(nameToRemove, authorization)
		}
		if v.Shadow != auth.Pass {
			header.SetCanonical(nameShadow, []byte(v.Shadow.String()))
		}
		writeLimits(header, config, v)
		return
	}

	intended := v.Reason.Status()
	if v.Reason == auth.QuotaExceeded {
		intended = config.QuotaStatus
	}
	status := d.status(v.Reason, intended)
	response.SetStatusCode(status)
	var number [20]byte
	header.SetCanonical(nameErrorStatus, strconv.AppendInt(number[:0], int64(intended), 10))
	header.SetCanonical(nameErrorMessage, []byte(v.Message))
	if status == fasthttp.StatusUnauthorized && v.API != nil {
		header.SetCanonical(nameWWWAuthenticate, v.API.Challenge())
	}
	if v.Retry > 0 && v.Retry != limiter.Forever {
		header.SetCanonical(nameRetryAfter, strconv.AppendInt(number[:0], seconds(v.Retry), 10))
	}
	switch v.Reason {
	case auth.RateExceeded, auth.QuotaExceeded, auth.APIRateExceeded:
		writeLimits(header, config, v)
	}
	header.SetCanonical(nameContentType, jsonType)
	response.AppendBodyString(`{"error": "`)
	response.AppendBodyString(v.Message) // a constant of package auth: nothing to escape
	response.AppendBodyString(`"}`)
}

// writeLimits writes what is left, in Tyk's headers and in those of
// draft-ietf-httpapi-ratelimit-headers (lists of structured-field items).
func writeLimits(header *fasthttp.ResponseHeader, config *Config, v *auth.Verdict) {
	limit, remaining, reset := quotaNumbers(v.Quota)
	if config.RateInHeaders {
		limit, remaining, reset = rateNumbers(v.Rate, v.At)
	}
	var number [20]byte
	header.SetCanonical(nameLimit, strconv.AppendInt(number[:0], limit, 10))
	header.SetCanonical(nameRemaining, strconv.AppendInt(number[:0], remaining, 10))
	header.SetCanonical(nameReset, strconv.AppendInt(number[:0], reset, 10))

	var policyBuf, stateBuf [128]byte
	policy, state := policyBuf[:0], stateBuf[:0]
	if v.Rate.Limit > 0 {
		policy = appendPolicy(policy, "rate", v.Rate.Limit, v.Rate.Per)
		state = appendState(state, "rate", v.Rate.Remaining, untilRate(v.Rate))
	}
	if v.Quota.Limit > 0 {
		policy = appendPolicy(policy, "quota", v.Quota.Limit, v.Quota.Period)
		var left time.Duration
		if v.Quota.Renews > 0 {
			left = time.Duration(v.Quota.Renews - v.At.Wall)
		}
		state = appendState(state, "quota", v.Quota.Remaining, left)
	}
	if len(policy) > 0 {
		header.SetCanonical(namePolicy, policy)
		header.SetCanonical(nameRateLimit, state)
	}
}

// quotaNumbers are Tyk's: a user without a quota has limit -1 and nothing to count.
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

// untilRate is when a client that waits has more than now: the next free place when
// there is none, else the whole window.
func untilRate(r limiter.RateState) time.Duration {
	if r.Remaining == 0 {
		return r.Retry
	}
	return r.Reset
}

// mostDigits is the largest integer of a structured field (RFC 9651, 3.3.1).
const mostDigits = 999_999_999_999_999

// appendPolicy appends "name";q=LIMIT;w=SECONDS. A window that is no whole number of
// seconds cannot be told in this format, so it is left out.
func appendPolicy(dst []byte, name string, limit int64, window time.Duration) []byte {
	dst = appendItem(dst, name)
	dst = strconv.AppendInt(append(dst, ";q="...), min(limit, mostDigits), 10)
	if window > 0 && window%time.Second == 0 {
		dst = strconv.AppendInt(append(dst, ";w="...), int64(window/time.Second), 10)
	}
	return dst
}

// appendState appends "name";r=REMAINING;t=SECONDS.
func appendState(dst []byte, name string, remaining int64, reset time.Duration) []byte {
	dst = appendItem(dst, name)
	dst = strconv.AppendInt(append(dst, ";r="...), min(remaining, mostDigits), 10)
	if reset > 0 {
		dst = strconv.AppendInt(append(dst, ";t="...), seconds(reset), 10)
	}
	return dst
}

func appendItem(dst []byte, name string) []byte {
	if len(dst) > 0 {
		dst = append(dst, ", "...)
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"')
}

// seconds rounds up: a client that comes back after that many is not too early.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
