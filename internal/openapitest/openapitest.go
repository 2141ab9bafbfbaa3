// Package openapitest compares requests and their answers with OpenAPI descriptions: sidekey's own
// (admin/web/openapi.json) and, for package tyktest, Tyk's. Tests compare every answer of the admin
// listener; the program does not use the package.
//
// # Choices
//
// We prove openapi.json and do not generate it. A generator would know types, but not what is refused.
// It costs writing the description by hand. Tests compare router and description with each other, send
// each example and both sides of each limit, and compare every exchange of every test.
package openapitest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

func init() {
	for _, kind := range []string{"text/html", "text/css", "text/javascript", "image/svg+xml"} {
		openapi3filter.RegisterBodyDecoder(kind, openapi3filter.FileBodyDecoder)
	}
}

// Exchange is a request as it was sent, and its answer.
type Exchange struct {
	Method, Target string // the path as in the request, with its query
	Sent           []byte // the body of the request
	Status         int
	Header         http.Header
	Body           []byte
	Unreadable     bool // the request is not valid HTTP
}

// Read parses a request and an answer. It returns an error if the answer is not valid.
func Read(request string, answer []byte) (Exchange, error) {
	line, behind, _ := strings.Cut(request, "\r\n")
	method, rest, _ := strings.Cut(line, " ")
	target, _, _ := strings.Cut(rest, " ")
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: method})
	if err != nil {
		return Exchange{}, err
	}
	x := Exchange{Method: method, Target: target, Status: response.StatusCode, Header: response.Header}
	// sidekey parses the target by its own rules.
	sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " / HTTP/1.1\r\n" + behind)))
	if x.Unreadable = err != nil; !x.Unreadable {
		x.Sent, _ = io.ReadAll(sent.Body) // if it is incomplete, the part that was sent
	}
	x.Body, err = io.ReadAll(response.Body)
	return x, err
}

// Path returns the path without the query.
func (x Exchange) Path() string {
	path, _, _ := strings.Cut(x.Target, "?")
	return path
}

// Description is an OpenAPI document.
type Description struct {
	*openapi3.T
	patterns []string // of paths
}

// Load reads a document. It may be changed until [Description.Find] is called.
func Load(name string, text []byte) *Description {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return &Description{T: doc}
}

// Prepare must be called after the last change.
func (d *Description) Prepare() { d.patterns = d.Paths.InMatchingOrder() }

// Find returns the operation of a request, or nil. A literal path takes precedence over one with a
// parameter.
func (d *Description) Find(method, path string) *routers.Route {
	asked := strings.Split(strings.TrimSuffix(path, "/"), "/")
	var best *routers.Route
	for _, pattern := range d.patterns {
		item := d.Paths.Value(pattern)
		if operation := item.GetOperation(method); operation != nil && matches(strings.Split(strings.TrimSuffix(pattern, "/"), "/"), asked) &&
			(best == nil || strings.Count(pattern, "{") < strings.Count(best.Path, "{")) {
			best = &routers.Route{Spec: d.T, Path: pattern, PathItem: item, Method: method, Operation: operation}
		}
	}
	return best
}

func matches(pattern, asked []string) bool {
	return slices.EqualFunc(pattern, asked, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}

// CheckAnswer returns how an answer differs from its operation, or nil.
func (d *Description) CheckAnswer(route *routers.Route, x Exchange) error {
	request, err := http.NewRequest(http.MethodGet, "http://localhost/", nil)
	if err != nil {
		return err
	}
	err = openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, Route: route},
		Status:                 x.Status,
		Header:                 x.Header,
		Body:                   io.NopCloser(bytes.NewReader(x.Body)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	})
	if err != nil {
		return fmt.Errorf("%s %s, answered with %d %.500s: %w", x.Method, x.Target, x.Status, x.Body, err)
	}
	return nil
}

// CheckFailure compares an answer to a request without an operation with the schema of failures.
func (d *Description) CheckFailure(schema string, x Exchange) error {
	responses := openapi3.NewResponsesWithCapacity(1)
	responses.Set("default", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithJSONSchemaRef(d.Components.Schemas[schema])})
	return d.CheckAnswer(&routers.Route{Spec: d.T, Operation: &openapi3.Operation{Responses: responses}}, x)
}
