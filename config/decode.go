package config

import (
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// This file decodes the tables of the TOML library into structs. It accepts only exact keys and exact
// types, and reports all problems at once. The package doc says why.

// decodeTable sets the fields of the struct that to points to from a table, by their toml tags. at is
// the key of the table, "" for the whole file. A field without a key in the table, or with a wrong
// value, keeps its value; a wrong value is also a problem.
func decodeTable(ps *problems, at string, table map[string]any, to any) {
	target := reflect.ValueOf(to).Elem()
	var known []string
	for i := range target.NumField() {
		name := target.Type().Field(i).Tag.Get("toml")
		known = append(known, name)
		if value, ok := table[name]; ok {
			decodeValue(ps, keyBelow(at, name), value, target.Field(i).Addr().Interface())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if slices.Contains(known, name) {
			continue
		}
		value := table[name]
		if maybeSecret(name, value) {
			value = nil
		}
		ps.add(keyBelow(at, name), value, "unknown key: must be one of %s", strings.Join(known, ", "))
	}
}

// decodeValue sets the variable that to points to from one value.
func decodeValue(ps *problems, key string, value, to any) {
	switch to := to.(type) {
	case *string:
		assign(ps, key, value, to, "a string")
	case *bool:
		assign(ps, key, value, to, "true or false")
	case *int:
		var n int64
		if assign(ps, key, value, &n, "a whole number") {
			*to = int(max(math.MinInt, min(n, math.MaxInt)))
		}
	case *float64:
		if n, ok := value.(int64); ok {
			value = float64(n)
		}
		assign(ps, key, value, to, "a number")
	case *time.Duration:
		decodeDuration(ps, key, value, to)
	case *[]string:
		decodeList(ps, key, value, to, "an array of strings", zero[string])
	case *[]API:
		decodeList(ps, key, value, to, "an array of tables", defaultAPI)
	case *[]map[string]any:
		decodeList(ps, key, value, to, "an array of tables", zero[map[string]any])
	case *map[string]any:
		assign(ps, key, value, to, "a table")
	case *map[string]string:
		var table map[string]any
		if assign(ps, key, value, &table, "a table of strings") {
			*to = make(map[string]string, len(table))
			for _, name := range slices.Sorted(maps.Keys(table)) {
				var text string
				if assign(ps, keyBelow(key, name), table[name], &text, "a string") {
					(*to)[name] = text
				}
			}
		}
	default:
		var table map[string]any
		if assign(ps, key, value, &table, "a table") {
			decodeTable(ps, key, table, to)
		}
	}
}

// assign sets the variable that to points to if the value has its type, else it adds a problem.
func assign[T any](ps *problems, key string, value any, to *T, want string) bool {
	v, ok := value.(T)
	if !ok {
		ps.add(key, value, "must be %s", want)
		return false
	}
	*to = v
	return true
}

func decodeDuration(ps *problems, key string, value any, to *time.Duration) {
	text, ok := value.(string)
	d, err := time.ParseDuration(text)
	if !ok || err != nil {
		ps.add(key, value, `must be a duration, such as "500ms", "5s", "2m" or "1h30m"`)
		return
	}
	*to = d
}

// decodeList sets the list that to points to from an array. Each element starts with the value that
// fresh returns.
func decodeList[T any](ps *problems, key string, value any, to *[]T, want string, fresh func() T) {
	var elements []any
	switch v := value.(type) {
	case []any: // of values, or of inline tables
		elements = v
	case []map[string]any: // an array of tables, under [[…]]
		for _, table := range v {
			elements = append(elements, table)
		}
	default:
		ps.add(key, value, "must be %s", want)
		return
	}
	list := make([]T, len(elements))
	for i, element := range elements {
		list[i] = fresh()
		decodeValue(ps, elementOf(key, i), element, &list[i])
	}
	*to = list
}

func zero[T any]() (t T) { return }

// maybeSecret reports whether the value of an unknown key may be a secret, which must not appear in a
// log.
func maybeSecret(name string, value any) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"secret", "passw", "token", "key", "cred"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	// A URL can contain a password: redis://user:password@host.
	text, isText := value.(string)
	return isText && strings.Contains(text, "://")
}
