package openapitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"sidekey/admin/web"
)

// Sidekey returns the description that sidekey serves.
func Sidekey() *Description { return own().strict }

var own = sync.OnceValue(func() (d struct{ strict, lenient *Description }) {
	const name = "/openapi.json"
	d.strict, d.lenient = Load(name, web.Files[name].Body), Load(name, web.Files[name].Body)
	for _, schema := range d.lenient.Components.Schemas {
		openUp(schema.Value, make(map[*openapi3.Schema]bool))
	}
	d.strict.Prepare()
	d.lenient.Prepare()
	return d
})

// openUp adds to a schema what the document says in words about all bodies: members that are not
// listed are ignored, and null stands for an empty text, list or object.
func openUp(s *openapi3.Schema, done map[*openapi3.Schema]bool) {
	if done[s] {
		return
	}
	done[s] = true
	s.AdditionalProperties.Has = nil
	if s.Type.Is("string") || s.Type.Is("array") || s.Type.Is("object") {
		s.Nullable = true
	}
	for _, under := range s.Properties {
		openUp(under.Value, done)
	}
	for _, under := range s.AllOf {
		openUp(under.Value, done)
	}
	for _, under := range []*openapi3.SchemaRef{s.Items, s.AdditionalProperties.Schema} {
		if under != nil {
			openUp(under.Value, done)
		}
	}
}

// elsewhere are the statuses of requests without an operation.
var elsewhere = []int{400, 401, 403, 404, 405, 413, 429, 431}

// Check returns how an exchange with the admin listener differs from sidekey's own description, or
// nil: the status, type or body of the answer, or the body of a request that was carried out
// although the description does not allow it.
func Check(x Exchange) error {
	d := own()
	method := x.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route := d.strict.Find(method, x.Path())
	unread := x.Unreadable && x.Status == http.StatusBadRequest
	if route == nil || unread {
		failure := "GatewayError"
		if path := x.Path(); !unread && (path == "/api" || strings.HasPrefix(path, "/api/")) {
			failure = "DashboardError"
		}
		switch {
		case !slices.Contains(elsewhere, x.Status):
			return fmt.Errorf("%s %s: %d, of a request that openapi.json does not have", x.Method, x.Target, x.Status)
		case x.Method == http.MethodHead:
			return nil
		}
		return wrong(d.strict.CheckFailure(failure, x))
	}
	if x.Method == http.MethodHead { // without a body
		if route.Operation.Responses.Status(x.Status) == nil {
			return fmt.Errorf("HEAD %s: %d, which openapi.json does not have", x.Target, x.Status)
		}
		return nil
	}
	if err := d.strict.CheckAnswer(route, x); err != nil {
		return wrong(err)
	}
	if sent := d.lenient.Find(method, x.Path()).Operation.RequestBody; sent != nil && x.Status < 300 {
		if err := checkSent(sent.Value, x); err != nil {
			return wrong(fmt.Errorf("%s %s was carried out with the body %.500s: %w", x.Method, x.Target, x.Sent, err))
		}
	}
	return nil
}

func wrong(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("not as openapi.json has it: %w", err)
}

func checkSent(body *openapi3.RequestBody, x Exchange) error {
	if media := body.Content["application/x-ndjson"]; media != nil {
		if x.Target != x.Path() {
			return nil // lines may be wrong: ?skip_bad=1, ?dry_run=1
		}
		for line := range bytes.Lines(x.Sent) {
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			if err := checkJSON(own().lenient.Components.Schemas["ImportLine"].Value, line, false); err != nil {
				return err
			}
		}
		return nil
	}
	return checkJSON(body.Content["application/json"].Schema.Value, x.Sent, x.Method == http.MethodPatch)
}

// checkJSON compares a body with its schema. In a merge patch null removes a member, whatever its
// type.
func checkJSON(schema *openapi3.Schema, text []byte, patch bool) error {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	if patch {
		takeOut(value)
	}
	return schema.VisitJSON(value, openapi3.MultiErrors())
}

func takeOut(value any) {
	object, _ := value.(map[string]any)
	for name, member := range object {
		if member == nil {
			delete(object, name)
		}
		takeOut(member)
	}
}
