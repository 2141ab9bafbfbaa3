package session

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// PatchSession puts the members of a JSON object into a stored session as RFC 7396 has
// it: objects are merged, everything else is replaced, null removes. What is not named
// stays. A password in the result is a new one; the stored hash never is.
func PatchSession(stored Session, patch []byte) (s Session, unknownFields []string, err error) {
	var changes map[string]jsontext.Value
	if err := Decode(patch, &changes); err != nil {
		return Session{}, nil, err
	}
	stored.BasicAuth = BasicAuth{}
	text, err := json.Marshal(stored, json.OmitZeroStructFields(true))
	if err != nil {
		return Session{}, nil, err
	}
	merged, err := mergePatch(text, patch)
	if err != nil {
		return Session{}, nil, err
	}
	return DecodeSession(merged)
}

// mergePatch is MergePatch of RFC 7396 over values that have been read before.
func mergePatch(target, patch jsontext.Value) (jsontext.Value, error) {
	if patch.Kind() != '{' {
		return patch, nil
	}
	var changes map[string]jsontext.Value
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, err
	}
	members := make(map[string]jsontext.Value)
	if target.Kind() == '{' {
		if err := json.Unmarshal(target, &members); err != nil {
			return nil, err
		}
	}
	for name, change := range changes {
		if change.Kind() == 'n' {
			delete(members, name)
			continue
		}
		merged, err := mergePatch(members[name], change)
		if err != nil {
			return nil, err
		}
		members[name] = merged
	}
	return json.Marshal(members, json.Deterministic(true))
}
