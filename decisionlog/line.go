package decisionlog

import (
	"bytes"
	"strconv"
	"strings"

	"sidekey/auth"
	"sidekey/check"
)

// timeFormat is RFC 3339 in UTC, always with microseconds, so that lines sort as text.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// appendLine appends one decision as a JSON object and a line end. The members are always the
// same, except two: "shadow" if limits in shadow would have refused the request, and "headers"
// for users with detailed recording. unknownUsers also names users that do not exist.
func appendLine(dst []byte, r *check.Record, unknownUsers bool) []byte {
	v := &r.Verdict
	dst = append(dst, `{"time":"`...)
	dst = r.At.UTC().AppendFormat(dst, timeFormat)
	if v.Reason == auth.Pass {
		dst = append(dst, `","decision":"pass","reason":`...)
	} else {
		dst = append(dst, `","decision":"refuse","reason":`...)
	}
	dst = appendText(dst, v.Reason.String())
	if v.Shadow != auth.Pass {
		dst = appendText(append(dst, `,"shadow":`...), v.Shadow.String())
	}
	dst = appendText(append(dst, `,"dialect":`...), r.Dialect.String())
	api, org := "", ""
	if v.API != nil {
		api, org = v.API.ID, v.API.Org
	}
	dst = appendText(append(dst, `,"api":`...), api)
	dst = appendUser(dst, r, org, unknownUsers)
	dst = appendText(append(dst, `,"method":`...), r.Request.Method)
	dst = appendText(append(dst, `,"path":`...), r.Path())
	dst = appendText(append(dst, `,"client":`...), r.Request.Client)
	dst = strconv.AppendFloat(append(dst, `,"ms":`...), float64(r.Took.Microseconds())/1000, 'f', 3, 64)
	dst = appendLeft(append(dst, `,"rate_left":`...), v.Rate.Limit, v.Rate.Remaining)
	dst = appendLeft(append(dst, `,"quota_left":`...), v.Quota.Limit, v.Quota.Remaining)
	if v.Named != nil && v.Named.Detailed() && r.Headers != nil {
		dst = appendHeaders(append(dst, `,"headers":`...), r.Headers)
	}
	return append(dst, '}', '\n')
}

// appendUser appends the user that the credentials name. The name of a user that does not exist
// is left out unless the configuration asks for it: people type passwords into the name field.
func appendUser(dst []byte, r *check.Record, org string, unknownUsers bool) []byte {
	a := r.Verdict.Named
	if a == nil {
		dst = append(dst, `,"user":`...)
		if unknownUsers && r.Verdict.Reason == auth.BadCredentials {
			dst = appendAttempted(dst, r.Request.Authorization)
		} else {
			dst = append(dst, `""`...)
		}
		dst = appendText(append(dst, `,"org":`...), org)
		return append(dst, `,"alias":"","tags":[],"policies":[]`...)
	}
	dst = appendText(append(dst, `,"user":`...), a.User())
	dst = appendText(append(dst, `,"org":`...), a.Org())
	dst = appendText(append(dst, `,"alias":`...), a.Alias())
	dst = appendTexts(append(dst, `,"tags":`...), a.Tags())
	return appendTexts(append(dst, `,"policies":`...), a.Policies())
}

func appendAttempted(dst, authorization []byte) []byte {
	var buf auth.CredentialBuffer
	credentials, _ := auth.ParseBasic(authorization, &buf)
	return appendText(dst, credentials.User)
}

// appendLeft appends what is left of a limit, or null if there is no limit or the request was
// refused before it was checked.
func appendLeft(dst []byte, limit, left int64) []byte {
	if limit == 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, left, 10)
}

// maxHeaders is how many bytes of a request's headers are recorded, names included.
const maxHeaders = 8192

// appendHeaders appends the headers of a request as an object. Several headers of one name are
// joined, as RFC 9110, section 5.3, allows.
func appendHeaders(dst []byte, headers check.Headers) []byte {
	dst = append(dst, '{')
	seen := make(map[string]bool)
	left := maxHeaders
	for name, value := range headers.All() {
		if seen[string(name)] || secretHeader(string(name)) {
			continue
		}
		if all := headers.Values(name); len(all) > 1 {
			value = bytes.Join(all, []byte(", "))
		}
		if string(name) == "Referer" {
			value, _, _ = bytes.Cut(value, []byte("?"))
		}
		if left -= len(name) + len(value); left < 0 {
			break
		}
		if len(seen) > 0 {
			dst = append(dst, ',')
		}
		seen[string(name)] = true
		dst = appendText(dst, name)
		dst = appendText(append(dst, ':'), value)
	}
	return append(dst, '}')
}

// secretHeader reports whether a header may hold a credential: Authorization, Cookie,
// Proxy-Authorization, X-Tyk-Authorization, and the names that services give their own. So may
// the two in which proxies report the target, because of its query; the path is a member of the
// line anyway.
func secretHeader(name string) bool {
	name = strings.ToLower(name)
	if name == "x-original-uri" || name == "x-forwarded-uri" {
		return true
	}
	for _, word := range []string{"auth", "cookie", "token", "secret", "passw", "api-key", "apikey", "credential", "signature", "session"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
