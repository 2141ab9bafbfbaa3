package session

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Import is one user from another program: a line of POST /api/import. Unlike a session's password,
// Hash is stored as it is; nothing else can store a hash.
//
//	{"org_id": "default", "username": "ann", "hash": "$2b$10$…", "session": {"rate": 5, "per": 1}}
type Import struct {
	OrgID    string         `json:"org_id"`
	Username string         `json:"username"`
	Hash     string         `json:"hash,omitzero"`    // see [password.HashKind]; "": none, or the session's password
	Session  jsontext.Value `json:"session,omitzero"` // nil: the user keeps the stored session, or gets an empty one

	Undeclared
}

// DecodeImport reads one line as strictly as [DecodeSession] reads a session, but leaves the session
// itself undecoded. It returns the paths of unknown members. Its errors hold nothing of the hash.
func DecodeImport(line []byte) (i Import, unknownFields []string, err error) {
	if err := Decode(line, &i); err != nil {
		return Import{}, nil, err
	}
	return i, TakeUnknown(&i), nil
}

// PatchSession merges a JSON object into a stored session (RFC 7396): objects are merged, other values
// replaced, null removes a member, and members that the patch does not name stay. A password in the
// result is a new one; the stored hash is never part of it. Errors and unknownFields are those of
// [DecodeSession].
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

// mergePatch is MergePatch of RFC 7396, for values that have been read before.
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

// Verify asks whether Password is the password of a user: the body of POST /api/verify.
type Verify struct {
	OrgID    string `json:"org_id"`
	Username string `json:"username"`
	Password string `json:"password"`

	Undeclared
}

// DecodeVerify reads a [Verify] and returns the paths of unknown members. Its errors hold nothing of the
// password.
func DecodeVerify(body []byte) (v Verify, unknownFields []string, err error) {
	if err := Decode(body, &v); err != nil {
		return Verify{}, nil, err
	}
	return v, TakeUnknown(&v), nil
}
