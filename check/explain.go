package check

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/limiter"
)

// Explanation is what would become of a request, check by check.
type Explanation struct {
	Passed  bool        `json:"passed"`
	Reason  string      `json:"reason"` // name of the [auth.Reason]; "pass"
	Status  int         `json:"status"` // what the client would see
	Message string      `json:"message"`
	API     string      `json:"api"`
	User    string      `json:"user"`
	Steps   []auth.Step `json:"steps"`
}

// Explain decides about a question as [Handler.Handle] does about a request, from the
// proxy's headers on, and uses nothing up. An error is about the question.
func (h *Handler) Explain(q auth.Question) (Explanation, error) {
	header, err := proxied(q)
	if err != nil {
		return Explanation{}, err
	}
	d, request, missing := readQuestion(header)
	step := auth.Step{Check: auth.ProxyConfig.String(), Passed: missing == "", Value: "dialect " + d.name}
	if missing != "" {
		step.Hint = "missing, or there twice, in the proxy's configuration: " + missing
		v := auth.Verdict{Reason: auth.ProxyConfig, Message: auth.ProxyConfig.Message()}
		return h.explanation(v, []auth.Step{step}), nil
	}
	v, steps := h.checker.Explain(limiter.At(time.Now()), &request)
	if q.Org != "" && v.API != nil && v.API.Org != q.Org {
		for i := range steps {
			if steps[i].Check == auth.UnknownAPI.String() {
				steps[i].Hint = fmt.Sprintf("the request falls to an API of org_id %q: users of %q do not count there", v.API.Org, q.Org)
			}
		}
	}
	return h.explanation(v, append([]auth.Step{step}, steps...)), nil
}

func (h *Handler) explanation(v auth.Verdict, steps []auth.Step) Explanation {
	e := Explanation{Passed: v.Reason == auth.Pass, Reason: v.Reason.String(), Status: v.Reason.Status(), Message: v.Message, Steps: steps}
	if v.Reason == auth.QuotaExceeded {
		e.Status = h.config.Load().QuotaStatus
	}
	if v.API != nil {
		e.API = v.API.ID
	}
	if v.Named != nil {
		e.User = v.Named.User()
	}
	return e
}

// proxied returns what a proxy of the question's dialect would send.
func proxied(q auth.Question) (*fasthttp.RequestHeader, error) {
	name, host, path, method := q.Dialect, q.Host, q.Path, q.Method
	for _, unsaid := range []struct {
		field *string
		value string
	}{{&name, nginx.name}, {&host, "localhost"}, {&path, "/"}, {&method, fasthttp.MethodGet}} {
		if *unsaid.field == "" {
			*unsaid.field = unsaid.value
		}
	}
	target := "/auth/" + name
	if d, _, _ := splitPath([]byte(target)); d == nil {
		return nil, auth.Problems{{Field: "dialect", Value: fmt.Sprintf("%q", name), Want: `"envoy", "nginx" or "forward" is wanted`}}
	}
	if !strings.HasPrefix(path, "/") {
		return nil, auth.Problems{{Field: "path", Value: fmt.Sprintf("%q", path), Want: "a path that begins with a slash is wanted"}}
	}
	if q.API != "" {
		target += "@" + q.API
	}
	header := new(fasthttp.RequestHeader)
	header.SetMethod(fasthttp.MethodGet)
	header.SetHost(host)
	header.Set("X-Forwarded-For", "127.0.0.1")
	switch name {
	case envoy.name:
		header.SetMethod(method)
		target += path
	case nginx.name:
		header.Set("X-Original-Method", method)
		header.Set("X-Original-URI", path)
	case forward.name:
		header.Set("X-Forwarded-Method", method)
		header.Set("X-Forwarded-Uri", path)
		header.Set("X-Forwarded-Host", host)
	}
	header.SetRequestURI(target)
	if q.User != "" {
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(q.User+":"+q.Password)))
	}
	for name, value := range q.Headers {
		switch {
		case value == "" && strings.EqualFold(name, "Host"):
			header.SetHost("")
		case value == "":
			header.Del(name)
		default:
			header.Set(name, value)
		}
	}
	return header, nil
}
