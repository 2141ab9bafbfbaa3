package http

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
	"sidekey/check"
	"sidekey/internal/problem"
)

// Explain decides about a question as the listener does about a request, from the proxy's
// headers on, and uses nothing up. An error is about the question.
func Explain(h *check.Handler, asked auth.Question) (auth.Explanation, error) {
	header, err := proxied(asked)
	if err != nil {
		return auth.Explanation{}, err
	}
	var q check.Question
	readQuestion(header, &q)
	return h.Explain(&q, asked.Org), nil
}

// proxied returns what a proxy of the dialect in q would send.
func proxied(q auth.Question) (*fasthttp.RequestHeader, error) {
	name, host, path, method := q.Dialect, q.Host, q.Path, q.Method
	for _, missing := range []struct {
		field *string
		value string
	}{{&name, check.NGINX.String()}, {&host, "localhost"}, {&path, "/"}, {&method, fasthttp.MethodGet}} {
		if *missing.field == "" {
			*missing.field = missing.value
		}
	}
	target := "/auth/" + name
	if d, _, _ := splitPath([]byte(target)); d == nil {
		return nil, problem.List{{Field: "dialect", Value: fmt.Sprintf("%q", name), Want: `must be "envoy", "nginx" or "forward"`}}
	}
	if !strings.HasPrefix(path, "/") {
		return nil, problem.List{{Field: "path", Value: fmt.Sprintf("%q", path), Want: "must be a path that begins with a slash"}}
	}
	if q.API != "" {
		target += "@" + q.API
	}
	header := new(fasthttp.RequestHeader)
	header.SetMethod(fasthttp.MethodGet)
	header.SetHost(host)
	header.Set("X-Forwarded-For", "127.0.0.1")
	switch name {
	case check.Envoy.String():
		header.SetMethod(method)
		target += path
	case check.NGINX.String():
		header.Set("X-Original-Method", method)
		header.Set("X-Original-URI", path)
	case check.Forward.String():
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
