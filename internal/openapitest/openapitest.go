// Package openapitest compares requests and their answers with OpenAPI descriptions:
// sidekey's own (admin/web/openapi.json), and, for package tyktest, Tyk's. Tests use it for
// everything that the admin listener answers them; the program does not.
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

// Exchange is a request as it was sent and its answer.
type Exchange struct {
	Method, Target string // the path as it stood in the request, with its query
	Sent           []byte // the body of the request
	Status         int
	Header         http.Header
	Body           []byte
	Unreadable     bool // the request is no HTTP
}

// Read takes a request and an answer apart. It returns an error where the answer is none.
func Read(request string, answer []byte) (Exchange, error) {
	line, behind, _ := strings.Cut(request, "\r\n")
	method, rest, _ := strings.Cut(line, " ")
	target, _, _ := strings.Cut(rest, " ")
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(answer)), &http.Request{Method: method})
	if err != nil {
		return Exchange{}, err
	}
	x := Exchange{Method: method, Target: target, Status: response.StatusCode, Header: response.Header}
	// The target is read by sidekey's own rules.
	sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " / HTTP/1.1\r\n" + behind)))
	if x.Unreadable = err != nil; !x.Unreadable {
		x.Sent, _ = io.ReadAll(sent.Body) // of one that is broken off, what came
	}
	x.Body, err = io.ReadAll(response.Body)
	return x, err
}

// Path is the path without the query.
func (x Exchange) Path() string {
	path, _, _ := strings.Cut(x.Target, "?")
	return path
}

// Description is an OpenAPI document.
type Description struct {
	*openapi3.T
	patterns []string // of paths
}

// Load reads a document, which may be changed until [Description.Find] is called.
func Load(name string, text []byte) *Description {
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return &Description{T: doc}
}

// Prepare is called once all changes are made.
func (d *Description) Prepare() { d.patterns = d.Paths.InMatchingOrder() }

// Find returns the operation that a request is for, or nil. A path that is written out
// comes before one with a parameter in its place.
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

// CheckAnswer returns what of an answer is not as the operation says it, or nil.
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

// CheckFailure compares an answer to a request that no operation is for with the schema
// of failures.
func (d *Description) CheckFailure(schema string, x Exchange) error {
	responses := openapi3.NewResponsesWithCapacity(1)
	responses.Set("default", &openapi3.ResponseRef{Value: openapi3.NewResponse().WithJSONSchemaRef(d.Components.Schemas[schema])})
	return d.CheckAnswer(&routers.Route{Spec: d.T, Operation: &openapi3.Operation{Responses: responses}}, x)
}
