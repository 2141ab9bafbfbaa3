package session

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Kept is a value that does not act here and is given back as it came: numbers and escapes as
// they were written, members in their order. White space between them is not kept. T is the type
// that Tyk reads it as, and a value that is no T is refused. The zero Kept is for a value that was
// not sent; it shows the zero of T.
type Kept[T any] struct {
	text jsontext.Value
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

// UnmarshalJSONFrom reads a value, refuses it unless it is a T, and keeps its text.
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

// MarshalJSONTo writes the value. [MarshalSession] keeps its escapes.
func (k Kept[T]) MarshalJSONTo(out *jsontext.Encoder) error { return out.WriteValue(k.kept()) }

// MarshalSession is json.Marshal for everything that holds sessions or policies. Kept values keep
// the spelling of their numbers and strings; the encoder would otherwise write "\u0061" as "a".
func MarshalSession(v any, options ...json.Options) ([]byte, error) {
	return json.Marshal(v, append(options, jsontext.PreserveRawStrings(true))...)
}

// The types that Tyk reads some of the kept members as.
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
