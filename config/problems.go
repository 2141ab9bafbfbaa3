package config

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"sidekey/internal/problem"
)

// problems collects the problems of a configuration.
type problems []problem.Problem

// add adds a problem with a key. The value is shown in the form of TOML; nil is not shown.
func (ps *problems) add(key string, value any, want string, args ...any) {
	p := problem.Problem{Field: key, Want: fmt.Sprintf(want, args...)}
	if value != nil {
		p.Value = tomlText(value)
	}
	*ps = append(*ps, p)
}

// err returns the problems as a [problem.List], or nil if there are none.
func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return problem.List(ps)
}

// between requires minimum <= value <= maximum.
func between[T cmp.Ordered](ps *problems, key string, value, minimum, maximum T) {
	if value < minimum || value > maximum {
		ps.add(key, value, "must be between %s and %s", tomlText(minimum), tomlText(maximum))
	}
}

// oneOf requires one of the allowed values.
func oneOf[T comparable](ps *problems, key string, value T, allowed ...T) {
	texts := make([]string, len(allowed))
	for i, a := range allowed {
		if a == value {
			return
		}
		texts[i] = tomlText(a)
	}
	last := len(texts) - 1
	if last > 0 {
		texts[last-1] += " or " + texts[last]
		texts = texts[:last]
	}
	ps.add(key, value, "must be %s", strings.Join(texts, ", "))
}

// tomlText formats a value as TOML. It leaves out the content of tables, which may be long or secret.
func tomlText(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(v)
	case time.Duration:
		text := v.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return strconv.Quote(text)
	case []any:
		texts := make([]string, len(v))
		for i, element := range v {
			texts[i] = tomlText(element)
		}
		return "[" + strings.Join(texts, ", ") + "]"
	case []map[string]any:
		return "[{…}]"
	case map[string]any:
		return "{…}"
	default:
		return fmt.Sprint(v)
	}
}

// keyBelow returns the full name of a key in the table whose key is at.
func keyBelow(at, name string) string {
	if bare := (toml.Key{name}).String() == name; !bare {
		name = strconv.Quote(name)
	}
	if at == "" {
		return name
	}
	return at + "." + name
}

// elementOf returns the name of an element of an array.
func elementOf(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
