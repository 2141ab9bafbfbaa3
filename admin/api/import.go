package api

import (
	"github.com/go-json-experiment/json/jsontext"

	"sidekey/auth/session"
)

// Import is one user that comes from elsewhere: a line of the body of POST /api/import. Unlike the
// password of a session, Hash is stored as it is; no other endpoint takes a hash.
type Import struct {
	OrgID    string         `json:"org_id"` // "": admin.org_id
	Username string         `json:"username"`
	Hash     string         `json:"hash,omitzero"`    // see [sidekey/auth/password.HashKind]; "": none, or the session has a password
	Session  jsontext.Value `json:"session,omitzero"` // nil: the user keeps the stored session, or gets an empty one

	session.Undeclared
}

// DecodeImport decodes a line as strictly as [session.DecodeSession] decodes a session. It does not
// decode the line's own session. Its errors never contain the hash.
func DecodeImport(line []byte) (i Import, unknownFields []string, err error) {
	if err := session.Decode(line, &i); err != nil {
		return Import{}, nil, err
	}
	return i, session.TakeUnknown(&i), nil
}

// Imported is the answer of POST /api/import: what became of the lines of one request. Its HTTP
// status is 400 if lines were refused and nothing was written.
type Imported struct {
	Valid    int          `json:"valid"` // lines that were written, or could be
	Added    int          `json:"added"`
	Changed  int          `json:"changed"`
	Refused  []ImportNote `json:"refused"`
	Warnings []ImportNote `json:"warnings"` // about valid lines
}

// ImportNote says what is wrong with one line of an import.
type ImportNote struct {
	Line     int    `json:"line"`     // of the request, counted from 1
	Username string `json:"username"` // "": the line has none that can be read
	Message  string `json:"message"`
}
