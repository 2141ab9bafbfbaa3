package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// The bounds in openapi.json are the bounds of the program: of every parameter and member, a value just
// within is accepted, and a value beyond or of another type is refused.
func TestDocumentedBounds(t *testing.T) {
	var bodies sync.Map
	var tried atomic.Int64
	bound := func(t *testing.T, method, pattern string, o *openapi3.Operation) {
		t.Parallel()
		l := documented(t)
		target := exampleOf(t, pattern, o)
		body, schema := sentExample(t, o)
		ask := func(what, target, body string, taken bool) {
			t.Helper()
			tried.Add(1)
			a := l.ask(method, target, body)
			if taken && a.status != 200 || !taken && a.status != 400 {
				t.Errorf("%.100s: %.300v", what, a)
			}
		}
		for _, p := range o.Parameters {
			within, beyond := bounds(p.Value.Schema.Value)
			for _, value := range beyond {
				// Every value in a query or a path is a string.
				text, isText := value.(string)
				switch {
				case p.Value.In == "query" && isText:
					ask(p.Value.Name+"="+text, target+"?"+url.Values{p.Value.Name: {text}}.Encode(), body, text == "")
				case p.Value.In == "query" && !p.Value.Schema.Value.Type.Is("string"):
					number, _ := json.Marshal(value)
					ask(p.Value.Name+"="+string(number), target+"?"+p.Value.Name+"="+string(number), body, false)
				case p.Value.In == "path" && isText && text != "":
					ask(p.Value.Name+" "+text, strings.Replace(pattern, "{"+p.Value.Name+"}", url.PathEscape(text), 1), body, false)
				}
			}
			for _, value := range within {
				if p.Value.In == "query" {
					ask(fmt.Sprint(p.Value.Name, "=", value), target+"?"+p.Value.Name+"="+fmt.Sprint(value), body, true)
				}
			}
		}
		if _, done := bodies.LoadOrStore(method+body, true); done || schema == nil {
			return // the same is read the same way
		}
		if lines := strings.Split(body, "\n"); pattern == "/api/import" {
			body = lines[0]
		}
		visit(schema, nil, func(at []string, value any, taken bool) {
			var changed any
			if err := json.Unmarshal([]byte(body), &changed); err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(put(schema, changed, at, value))
			if err != nil {
				t.Fatal(err)
			}
			name := strings.Join(at, ".")
			switch {
			case taken && (named.MatchString(name) || method == "PUT" && name == "id"):
				return
			case value == nil && method == "PATCH" && !slices.Contains(at, "0"):
				taken = true // takes the member out
			case strings.HasSuffix(pattern, "/policies"):
				l.ask("DELETE", "/tyk/policies/silver", "")
			}
			ask(name+" = "+fmt.Sprint(value), target, string(text), taken)
		})
	}
	t.Run("all", func(t *testing.T) { described(t, bound) }) // returns when all are done
	if n := tried.Load(); n < 1000 {
		t.Errorf("%d requests", n)
	}
}

// named are members whose value must exist already or fit the rest of the body.
var named = regexp.MustCompile(`(^|\.)(org_id|apply_policies\.0|session\..*|smoothing\.enabled|per_api)$`)

// bounds returns values that a schema just allows, and values that it does not allow.
func bounds(s *openapi3.Schema) (within, beyond []any) {
	number := func(n float64) json.Number { return json.Number(strconv.FormatFloat(n, 'f', -1, 64)) }
	switch {
	case s.Type.Is("string"):
		beyond = append(beyond, 5, true, []any{}, map[string]any{})
		if s.MaxLength != nil {
			within = append(within, strings.Repeat("a", int(*s.MaxLength)))
			beyond = append(beyond, strings.Repeat("a", int(*s.MaxLength)+1))
		}
		if s.MinLength > 0 {
			beyond = append(beyond, strings.Repeat("a", int(s.MinLength)-1))
		}
		if s.Enum != nil {
			within = append(within, s.Enum...)
			beyond = append(beyond, "something else")
		}
		for _, text := range []string{",", "/", ":", "a b", "a"} {
			if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(text) {
				beyond = append(beyond, text)
			}
		}
	case s.Type.Is("integer"):
		beyond = append(beyond, 1.5, "x", true, json.Number("9223372036854775808"))
		if s.Min != nil {
			within, beyond = append(within, number(*s.Min)), append(beyond, number(*s.Min-1))
		}
		if s.Max != nil {
			within, beyond = append(within, number(*s.Max)), append(beyond, number(*s.Max+1))
		}
	case s.Type.Is("number"):
		within, beyond = append(within, 0.5, -1), append(beyond, "x", true, nil)
	case s.Type.Is("boolean"):
		within, beyond = append(within, true, false), append(beyond, 0, "true")
		if !s.Nullable {
			beyond = append(beyond, nil)
		}
	case s.Type.Is("array"):
		beyond = append(beyond, "x", 5, map[string]any{})
		for i := range s.MinItems {
			beyond = append(beyond, slices.Repeat([]any{sample(s.Items.Value)}, int(i)))
		}
		if s.MaxItems != nil {
			within = append(within, slices.Repeat([]any{sample(s.Items.Value)}, int(*s.MaxItems)))
			beyond = append(beyond, slices.Repeat([]any{sample(s.Items.Value)}, int(*s.MaxItems)+1))
		}
	case s.Type.Is("object"):
		beyond = append(beyond, "x", 5, []any{})
	}
	if s.Nullable {
		within = append(within, nil)
	}
	return within, beyond
}

// visit calls f with values for every member below a schema, accepted and refused ones.
func visit(s *openapi3.Schema, at []string, f func(at []string, value any, taken bool)) {
	if len(s.AllOf) > 0 { // a schema and what it is for
		one := *s.AllOf[0].Value
		one.Nullable = s.Nullable
		visit(&one, at, f)
		return
	}
	if len(at) > 0 {
		within, beyond := bounds(s)
		for _, value := range within {
			f(at, value, true)
		}
		for _, value := range beyond {
			f(at, value, false)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		visit(s.Properties[name].Value, append(slices.Clone(at), name), f)
	}
	if s.Items != nil {
		visit(s.Items.Value, append(slices.Clone(at), "0"), f)
	}
	if under := s.AdditionalProperties.Schema; under != nil {
		visit(under.Value, append(slices.Clone(at), "orders"), f)
	}
}

// sample returns a small value that a schema allows.
func sample(s *openapi3.Schema) any {
	switch {
	case s.Example != nil:
		return s.Example
	case s.Type.Is("string"):
		return "GET"
	case s.Type.Is("number"), s.Type.Is("integer"):
		return 1
	case s.Type.Is("array"):
		return []any{sample(s.Items.Value)}
	}
	object := make(map[string]any)
	for _, name := range s.Required {
		object[name] = sample(s.Properties[name].Value)
	}
	return object
}

// put returns in with value at a place, which it creates if needed. Members beside it are those of the
// example, or those that the schema requires.
func put(s *openapi3.Schema, in any, at []string, value any) any {
	if len(at) == 0 {
		return value
	}
	if len(s.AllOf) > 0 {
		s = s.AllOf[0].Value
	}
	if in == nil {
		in = sample(s)
	}
	if list, ok := in.([]any); ok {
		return []any{put(s.Items.Value, list[0], at[1:], value)}
	}
	under := s.Properties[at[0]]
	if under == nil {
		under = s.AdditionalProperties.Schema
	}
	object := in.(map[string]any)
	object[at[0]] = put(under.Value, object[at[0]], at[1:], value)
	return object
}
