package session

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"sidekey/internal/problem"
)

// DecodeSession reads a session object. It refuses wrong types, duplicate members, numbers out of range,
// invalid UTF-8 and text after the object with a [problem.List] that names the member. Unknown members
// are not an error: their paths are returned, such as "access_rights.orders.lmit".
func DecodeSession(body []byte) (s Session, unknown []string, err error) {
	if err := Decode(body, &s); err != nil {
		return Session{}, nil, err
	}
	return s, TakeUnknown(&s), nil
}

// DecodePolicyUpdate reads Tyk's request to change the policies of a user:
// {"apply_policies": […]} or {"policy": "…"}.
func DecodePolicyUpdate(body []byte) (policies, unknownFields []string, err error) {
	var update struct {
		Policy        string   `json:"policy"`
		ApplyPolicies []string `json:"apply_policies"`

		Undeclared
	}
	if err := Decode(body, &update); err != nil {
		return nil, nil, err
	}
	if len(update.ApplyPolicies) == 0 && update.Policy != "" {
		update.ApplyPolicies = []string{update.Policy}
	}
	return update.ApplyPolicies, TakeUnknown(&update), nil
}

// Decode unmarshals one JSON object into v. The v2 decoder refuses duplicate names and invalid UTF-8 and
// matches names byte for byte; encoding/json would let the last duplicate win, merge names that differ
// in broken bytes, and ignore case. The error is a [problem.List] and holds no secret.
func Decode(body []byte, v any) error {
	if string(bytes.TrimSpace(body)) == "null" {
		return problem.List{{Value: "null", Want: "must be a JSON object"}}
	}
	err := json.Unmarshal(body, v, scalars)
	if err == nil {
		return checkValues(body)
	}
	var semantic *json.SemanticError
	if errors.As(err, &semantic) {
		return problem.List{semanticProblem(semantic, body)}
	}
	var syntactic *jsontext.SyntacticError
	if errors.As(err, &syntactic) {
		// The parser quotes a part of the input, which may be a password.
		field, what := fieldPath(syntactic.JSONPointer), quoted.ReplaceAllString(fmt.Sprint(syntactic.Err), "")
		if isSecret(field) && !errors.Is(syntactic.Err, jsontext.ErrDuplicateName) {
			what = "no valid JSON" // the error holds a part of the value
		}
		return problem.List{{Field: field, Want: fmt.Sprintf("%s at byte %d", what, syntactic.ByteOffset)}}
	}
	return problem.List{{Want: "JSON that cannot be read"}}
}

// maxDepth bounds how deep objects and lists are nested. A session needs ten levels.
const maxDepth = 64

// checkValues refuses numbers too large, and nesting too deep, for Tyk's clients, even in values that
// sidekey does not read: one user's metadata must not make a list unreadable. Merging a patch reads each
// level again, so depth costs time as well.
func checkValues(body []byte) error {
	in := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		token, err := in.ReadToken()
		if err != nil {
			return nil // the end: the whole text has been read before
		}
		if in.StackDepth() > maxDepth {
			return problem.List{{Field: problem.Clip(fieldPath(in.StackPointer())), Want: fmt.Sprintf("must not be nested more than %d levels deep", maxDepth)}}
		}
		if token.Kind() != '0' {
			continue
		}
		if _, err := strconv.ParseFloat(token.String(), 64); err != nil {
			return problem.List{{Field: fieldPath(in.StackPointer()), Value: token.String(), Want: "must be a finite number"}}
		}
	}
}

// scalars refuses null for a number or a bool, and a number that would be rounded to zero: both would
// silently mean "no limit" or "never".
var scalars = json.WithUnmarshalers(json.JoinUnmarshalers(
	json.UnmarshalFromFunc(notNull[int64]),
	json.UnmarshalFromFunc(notNull[bool]),
	json.UnmarshalFromFunc(readFloat),
))

var (
	errNull      = errors.New("null")
	errUnderflow = errors.New("too small to be told from zero")
)

func notNull[T any](in *jsontext.Decoder, _ *T) error {
	if in.PeekKind() == 'n' {
		return errNull
	}
	return errors.ErrUnsupported // let the decoder read it
}

func readFloat(in *jsontext.Decoder, to *float64) error {
	if err := notNull(in, to); in.PeekKind() != '0' {
		return err
	}
	text, err := in.ReadValue()
	if err != nil {
		return err
	}
	if *to, err = strconv.ParseFloat(string(text), 64); err != nil {
		return strconv.ErrRange
	}
	digits, _, _ := strings.Cut(strings.ToLower(string(text)), "e")
	if *to == 0 && strings.ContainsAny(digits, "123456789") {
		return errUnderflow
	}
	return nil
}

var quoted = regexp.MustCompile(" `[^`]*`")

func semanticProblem(e *json.SemanticError, body []byte) problem.Problem {
	p := problem.Problem{Field: fieldPath(e.JSONPointer), Want: "must be " + wantedKind(e.GoType)}
	value := valueAt(body, e.JSONPointer)
	if p.Field != "" && !isSecret(p.Field) && value.Kind() != '{' && value.Kind() != '[' {
		p.Value = string(value)
	}
	if value.Kind() != '0' || !isNumber(e.GoType) {
		p.Want += ", not " + kindName(value.Kind())
	}
	return p
}

func isNumber(t reflect.Type) bool {
	if t == nil {
		return false
	}
	switch base(t).Kind() {
	case reflect.Int64, reflect.Uint64, reflect.Float64:
		return true
	}
	return false
}

// base returns the element of a pointer type, and other types unchanged.
func base(t reflect.Type) reflect.Type {
	if t != nil && t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// valueAt returns the value that a pointer leads to, or nil if there is none. The body has been read up
// to that value.
func valueAt(body jsontext.Value, pointer jsontext.Pointer) jsontext.Value {
	for token := range pointer.Tokens() {
		switch body.Kind() {
		case '{':
			var members map[string]jsontext.Value
			if json.Unmarshal(body, &members, jsontext.AllowDuplicateNames(true)) != nil {
				return nil
			}
			body = members[token]
		case '[':
			var elements []jsontext.Value
			i, err := strconv.Atoi(token)
			if json.Unmarshal(body, &elements) != nil || err != nil || i >= len(elements) {
				return nil
			}
			body = elements[i]
		default:
			return nil
		}
	}
	return body
}

// isSecret reports whether the value of field must not be shown, in any spelling of its name.
func isSecret(field string) bool {
	field = strings.ToLower(field)
	for _, word := range []string{"basic_auth", "password", "jwt_data", "secret", "hmac_string", "hash"} {
		if strings.Contains(field, word) {
			return true
		}
	}
	return false
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "this"
}

func wantedKind(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	switch base(t).Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int64, reflect.Int:
		return "a whole number from -2^63 to 2^63-1"
	case reflect.Uint64:
		return "a whole number from 0 to 2^64-1"
	case reflect.Float64:
		return "a finite number"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

// fieldPath turns a JSON pointer into the path people write:
// access_rights.orders.allowed_urls[2].url.
func fieldPath(p jsontext.Pointer) string {
	var b strings.Builder
	for token := range p.Tokens() {
		if _, err := strconv.ParseUint(token, 10, 31); err == nil && b.Len() > 0 {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(problem.Clip(token))
	}
	return problem.ClipTo(b.String(), maxPathShown)
}

// maxPathShown is how much of a path is shown, in bytes. Objects can be nested deeply.
const maxPathShown = 200

// keptInRight are the beginnings of member names of an access right that gateways
// of other kinds use: they are kept and given back, not reported as unknown.
var keptInRight = []string{"json_rpc_methods", "mcp_"}

// TakeUnknown returns the sorted paths of the members under v that no type declares, and removes them.
func TakeUnknown(v any) []string {
	var paths []string
	walkUnknown(reflect.ValueOf(v), "", &paths)
	slices.Sort(paths)
	return paths
}

var (
	unknownType = reflect.TypeFor[Undeclared]()
	rightType   = reflect.TypeFor[Right]()
)

func walkUnknown(v reflect.Value, path string, paths *[]string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			walkUnknown(v.Elem(), path, paths)
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[jsontext.Value]() { // of a Kept, or of meta_data
			return
		}
		for i := range v.Len() {
			walkUnknown(v.Index(i), fmt.Sprintf("%s[%d]", path, i), paths)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			// The values of a map cannot be changed in place.
			entry := reflect.New(v.Type().Elem()).Elem()
			entry.Set(v.MapIndex(key))
			walkUnknown(entry, problem.Join(path, key.String()), paths)
			v.SetMapIndex(key, entry)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Type == unknownType {
				u := v.Field(i).Field(0).Addr().Interface().(*map[string]Kept[jsontext.Value])
				*u = splitUnknown(*u, v.Type() == rightType, path, paths)
				continue
			}
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			walkUnknown(v.Field(i), problem.Join(path, name), paths)
		}
	}
}

// splitUnknown adds the paths of unknown members to paths and returns the members that are kept.
func splitUnknown(members map[string]Kept[jsontext.Value], inRight bool, path string, paths *[]string) map[string]Kept[jsontext.Value] {
	for name := range members {
		kept := inRight && slices.ContainsFunc(keptInRight, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if !kept {
			*paths = append(*paths, problem.Escape(problem.Join(path, problem.Clip(name))))
			delete(members, name)
		}
	}
	if len(members) == 0 {
		return nil
	}
	return members
}
