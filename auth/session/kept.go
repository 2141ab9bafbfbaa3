package session

import (
	"bytes"
	"crypto/rand"
	"errors"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Kept is a value that does not act here and is given back as it came, byte for byte:
// numbers as they were written, escapes, the order and spacing of members. T is what Tyk
// reads it as, and a value that is no T is refused. The zero value is for one that did
// not come; it shows the zero of T.
type Kept[T any] struct {
	text jsontext.Value
}

// keeper is what every [Kept] is.
type keeper interface {
	kept() jsontext.Value
}

func (k Kept[T]) kept() jsontext.Value {
	if k.text != nil {
		return k.text
	}
	var zero T
	text, err := json.Marshal(zero, json.FormatNilSliceAsNull(true))
	if err != nil {
		panic("BUG: a zero value cannot be written: " + err.Error())
	}
	return text
}

// UnmarshalJSONFrom reads a T and keeps its text.
func (k *Kept[T]) UnmarshalJSONFrom(in *jsontext.Decoder) error {
	value, err := in.ReadValue()
	if err != nil {
		return err
	}
	var read T
	if err := json.Unmarshal(value, &read, scalars); err != nil {
		if semantic := (*json.SemanticError)(nil); errors.As(err, &semantic) {
			semantic.JSONPointer = in.StackPointer() + semantic.JSONPointer
		}
		return err
	}
	k.text = value.Clone()
	return nil
}

// MarshalJSONTo writes the value as the encoder writes values. [MarshalSession] gives it
// back as it came.
func (k Kept[T]) MarshalJSONTo(out *jsontext.Encoder) error { return out.WriteValue(k.kept()) }

// marks are what one call of MarshalSession leaves in the place of kept values. They are
// used again: the encoder prepares itself for each new set of marshalers, which takes
// longer than to write a session.
type marks struct {
	mark       string
	values     []jsontext.Value
	marshalers *json.Marshalers
}

var pooledMarks = sync.Pool{New: func() any {
	m := &marks{}
	m.marshalers = json.MarshalToFunc(func(out *jsontext.Encoder, k keeper) error {
		value := k.kept()
		if !bytes.ContainsAny(value, " \t\r\n\\") {
			return errors.ErrUnsupported // the encoder writes it as it stands
		}
		if m.mark == "" {
			m.mark = rand.Text()
		}
		m.values = append(m.values, value)
		return out.WriteToken(jsontext.String(m.mark))
	})
	return m
}}

// MarshalSession is json.Marshal for whatever holds sessions or policies: kept values go
// in as they came. The encoder would write them anew, with its own spacing and escapes, so
// a mark that nobody can guess stands for each of them until it is done.
func MarshalSession(v any, options ...json.Options) ([]byte, error) {
	m := pooledMarks.Get().(*marks)
	defer func() {
		m.mark, m.values = "", nil
		pooledMarks.Put(m)
	}()
	text, err := json.Marshal(v, append(options, json.WithMarshalers(m.marshalers))...)
	if err != nil || len(m.values) == 0 {
		return text, err
	}
	marked := []byte(`"` + m.mark + `"`)
	whole := make([]byte, 0, len(text))
	for _, value := range m.values {
		before, after, _ := bytes.Cut(text, marked)
		whole = append(append(whole, before...), value...)
		text = after
	}
	return append(whole, text...), nil
}

// What Tyk reads some of the kept members as.
type (
	jwtData struct {
		Secret string `json:"secret"`
	}
	graphQLType struct {
		Name   string   `json:"name"`
		Fields []string `json:"fields"`
	}
	fieldAccess struct {
		TypeName  string `json:"type_name"`
		FieldName string `json:"field_name"`
		Limits    struct {
			MaxQueryDepth int64 `json:"max_query_depth"`
		} `json:"limits"`
	}
)
