// Package tyktest compares answers with Tyk's own descriptions of its two APIs. Tests compare every
// answer; the program does not use the package.
//
// Tyk's descriptions require nothing and allow everything that they do not name. Here the members
// that clients rely on must be there, and a member that is not described is wrong: Tyk's clients are
// programs in many languages, and some read strictly.
package tyktest

import (
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"sidekey/internal/openapitest"
)

//go:embed dashboard.yml gateway.yml
var files embed.FS

// api is one of Tyk's two APIs, with our differences.
type api struct {
	*openapitest.Description
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
	return api{openapitest.Load(name, text), failure}
}

// change applies our differences to the description, and makes it strict.
func (a api) change(d differences) {
	for _, route := range d.routes {
		a.add(route.method, route.path, http.StatusOK, route.schema)
		for _, status := range []int{400, 401, 403, 404, 500} {
			a.add(route.method, route.path, status, a.failure)
		}
	}
	for path, item := range a.Paths.Map() {
		for method := range item.Operations() {
			for _, status := range d.statuses {
				a.add(method, path, status, a.failure)
			}
		}
	}
	for name, members := range d.members {
		schema := a.Components.Schemas[name].Value
		for member, value := range members {
			schema.Properties[member] = openapi3.NewSchemaRef("", value)
		}
	}
	for name, members := range d.always {
		schema := a.Components.Schemas[name].Value
		schema.Required = members
		if members == nil {
			for member := range schema.Properties {
				if !slices.Contains(d.rare, member) {
					schema.Required = append(schema.Required, member)
				}
			}
		}
	}
	for _, schema := range a.Components.Schemas {
		strict(schema)
	}
	a.Prepare()
}

func (a api) add(method, path string, status int, schema string) {
	item := a.Paths.Value(path)
	if item == nil {
		item = &openapi3.PathItem{}
		a.Paths.Set(path, item)
	}
	operation := item.GetOperation(method)
	if operation == nil {
		operation = &openapi3.Operation{Responses: openapi3.NewResponsesWithCapacity(1)}
		item.SetOperation(method, operation)
	}
	if operation.Responses.Status(status) != nil {
		return
	}
	response := openapi3.NewResponse().WithJSONSchemaRef(a.Components.Schemas[schema])
	operation.Responses.Set(fmt.Sprint(status), &openapi3.ResponseRef{Value: response})
}

// strict forbids members that are not described.
func strict(schema *openapi3.SchemaRef) {
	if schema == nil || schema.Value == nil {
		return
	}
	s := schema.Value
	if s.Type == nil {
		s.Nullable = true // whatever its type
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

// Ours reports whether a request has a path below Tyk's prefixes that Tyk does not have.
func Ours(method, path string) bool { return ours.MatchString(method + " " + path) }

// Check returns what is wrong with an answer, or nil. It accepts everything that is not part of
// Tyk's APIs.
func Check(x openapitest.Exchange) error {
	dashboard, gateway := apis()
	path, query, _ := strings.Cut(x.Target, "?")
	if x.Unreadable && x.Status == http.StatusBadRequest || x.Status == http.StatusRequestHeaderFieldsTooLarge {
		return nil // answered before the path is known
	}
	if Ours(x.Method, path) || strings.Contains("&"+query, "&raw=1") {
		return nil
	}
	var a api
	switch {
	case path == "/api" || strings.HasPrefix(path, "/api/"):
		a = dashboard
	case path == "/tyk" || strings.HasPrefix(path, "/tyk/"), path == "/hello":
		a = gateway
	default:
		return nil
	}
	if a.failure == gateway.failure && x.Status == http.StatusUnauthorized {
		return fmt.Errorf("%s %s: 401, where Tyk Gateway answers 403", x.Method, x.Target)
	}
	if x.Method == http.MethodHead {
		return nil // like GET, without a body
	}
	route := a.Find(x.Method, path)
	var err error
	switch {
	case route != nil:
		err = a.CheckAnswer(route, x)
	case x.Status < 400:
		err = fmt.Errorf("%s %s: %d, of a request that neither Tyk nor this package describes", x.Method, x.Target, x.Status)
	default:
		err = a.CheckFailure(a.failure, x)
	}
	if err != nil {
		return fmt.Errorf("not as Tyk describes it: %w", err)
	}
	return nil
}
