// Package tyktest compares answers with Tyk's own descriptions of its two APIs. Tests use
// it for every answer they get; the program does not.
//
// Tyk's descriptions require nothing and allow everything that they do not name. Here the
// members that clients rely on have to be there, and a member that is not described is
// wrong: Tyk's clients are programs in many languages, and some read strictly.
package tyktest

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

//go:embed dashboard.yml gateway.yml
var files embed.FS

// api is one of Tyk's two, with what is different here put in.
type api struct {
	doc     *openapi3.T
	failure string // the schema of its errors
}

var apis = sync.OnceValues(func() (dashboard, gateway api) {
	dashboard = load("dashboard.yml", "ApiResponse")
	gateway = load("gateway.yml", "ApiStatusMessage")
	dashboard.change(dashboardDifferences)
	gateway.change(gatewayDifferences)
	return dashboard, gateway
})

func load(name, failure string) api {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return api{doc, failure}
}

// change puts into the description what we answer otherwise, and makes it strict.
func (a api) change(d differences) {
	for _, route := range d.routes {
		a.add(route.method, route.path, http.StatusOK, route.schema)
		for _, status := range []int{400, 401, 403, 404, 500} {
			a.add(route.method, route.path, status, a.failure)
		}
	}
	for path, item := range a.doc.Paths.Map() {
		for method := range item.Operations() {
			for _, status := range d.statuses {
				a.add(method, path, status, a.failure)
			}
		}
	}
	for name, members := range d.members {
		schema := a.doc.Components.Schemas[name].Value
		for member, value := range members {
			schema.Properties[member] = openapi3.NewSchemaRef("", value)
		}
	}
	for name, members := range d.always {
		schema := a.doc.Components.Schemas[name].Value
		schema.Required = members
		if members == nil {
			for member := range schema.Properties {
				if !slices.Contains(d.rare, member) {
					schema.Required = append(schema.Required, member)
				}
			}
		}
	}
	for _, schema := range a.doc.Components.Schemas {
		strict(schema)
	}
}

func (a api) add(method, path string, status int, schema string) {
	item := a.doc.Paths.Value(path)
	if item == nil {
		item = &openapi3.PathItem{}
		a.doc.Paths.Set(path, item)
	}
	operation := item.GetOperation(method)
	if operation == nil {
		operation = &openapi3.Operation{Responses: openapi3.NewResponsesWithCapacity(1)}
		item.SetOperation(method, operation)
	}
	if operation.Responses.Status(status) != nil {
		return
	}
	response := openapi3.NewResponse().WithJSONSchemaRef(a.doc.Components.Schemas[schema])
	operation.Responses.Set(fmt.Sprint(status), &openapi3.ResponseRef{Value: response})
}

// strict allows no member but those that are named.
func strict(schema *openapi3.SchemaRef) {
	if schema == nil || schema.Value == nil {
		return
	}
	s := schema.Value
	if s.Type == nil {
		s.Nullable = true // whatever it is
	}
	strict(s.AdditionalProperties.Schema)
	if len(s.Properties) > 0 && s.AdditionalProperties.Has == nil && s.AdditionalProperties.Schema == nil {
		no := false
		s.AdditionalProperties.Has = &no
		for _, property := range s.Properties {
			strict(property)
		}
	}
}

// Check returns what is wrong with an answer to a request for a path with a query, as
// they were sent, or nil. Of what is no part of Tyk's APIs nothing is wrong.
func Check(method, target string, status int, header http.Header, body []byte) error {
	dashboard, gateway := apis()
	path, _, _ := strings.Cut(target, "?")
	var a api
	switch {
	case path == "/api" || strings.HasPrefix(path, "/api/"):
		a = dashboard
	case path == "/tyk" || strings.HasPrefix(path, "/tyk/"), path == "/hello":
		a = gateway
	default:
		return nil
	}
	if a.failure == gateway.failure && status == http.StatusUnauthorized {
		return fmt.Errorf("%s %s: 401, where Tyk Gateway answers 403", method, target)
	}
	if method == http.MethodHead {
		return nil // as GET, without a body
	}
	route := a.find(method, path)
	if route == nil {
		if Ours(method, path) && status < 400 {
			return nil
		}
		if status < 400 {
			return fmt.Errorf("%s %s: %d, of a request that neither Tyk nor this package describes", method, target, status)
		}
		return a.check(status, header, body, a.failure)
	}
	request, err := http.NewRequest(method, "http://localhost/", nil)
	if err != nil {
		return err
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 status,
		Header:                 header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		return fmt.Errorf("%s %s, answered with %d %.500s: %w", method, target, status, body, err)
	}
	return nil
}

// check compares a failure of no described request.
func (a api) check(status int, header http.Header, body []byte, schema string) error {
	responses := openapi3.NewResponsesWithCapacity(1)
	responses.Set("default", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithJSONSchemaRef(a.doc.Components.Schemas[schema])})
	return openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{
			Request: &http.Request{Method: http.MethodGet},
			Route:   &routers.Route{Spec: a.doc, Operation: &openapi3.Operation{Responses: responses}},
		},
		Status: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)),
	})
}

// find returns the operation that a request is for, or nil. A path that is written out
// comes before one with a parameter in its place.
func (a api) find(method, path string) *routers.Route {
	asked := strings.Split(strings.TrimSuffix(path, "/"), "/")
	var best *routers.Route
	for _, pattern := range a.doc.Paths.InMatchingOrder() {
		item := a.doc.Paths.Value(pattern)
		if operation := item.Operations()[method]; operation != nil && matches(strings.Split(pattern, "/"), asked) &&
			(best == nil || strings.Count(pattern, "{") < strings.Count(best.Path, "{")) {
			best = &routers.Route{Spec: a.doc, Path: pattern, PathItem: item, Method: method, Operation: operation}
		}
	}
	return best
}

// Ours reports whether a request is one of those below /api that Tyk does not have.
func Ours(method, path string) bool {
	return slices.ContainsFunc(ours, func(request string) bool {
		m, pattern, _ := strings.Cut(request, " ")
		return m == method && matches(strings.Split(pattern, "/"), strings.Split(strings.TrimSuffix(path, "/"), "/"))
	})
}

func matches(pattern, asked []string) bool {
	return slices.EqualFunc(pattern, asked, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}
