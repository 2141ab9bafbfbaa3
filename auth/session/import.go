package session

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Import is one user on the way in from elsewhere: a line of POST /api/import. Unlike a
// session's own password, Hash is stored as it stands, which nothing else can ask for.
type Import struct {
	OrgID    string         `json:"org_id"`
	Username string         `json:"username"`
	Hash     string         `json:"hash,omitzero"`    // see [HashKind]; "": none, or the session's password
	Session  jsontext.Value `json:"session,omitzero"` // nil: the user keeps what is stored, or gets an empty one

	Undeclared
}

// DecodeImport reads one line as strictly as [DecodeSession] reads a session, which it
// leaves unread. Its errors hold nothing of the hash.
func DecodeImport(line []byte) (i Import, unknownFields []string, err error) {
	if err := Decode(line, &i); err != nil {
		return Import{}, nil, err
	}
	return i, TakeUnknown(&i), nil
}

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

// Verify asks whether Password is a user's.
type Verify struct {
	OrgID    string `json:"org_id"`
	Username string `json:"username"`
	Password string `json:"password"`

	Undeclared
}

// DecodeVerify reads one. Its errors hold nothing of the password.
func DecodeVerify(body []byte) (v Verify, unknownFields []string, err error) {
	if err := Decode(body, &v); err != nil {
		return Verify{}, nil, err
	}
	return v, TakeUnknown(&v), nil
}
