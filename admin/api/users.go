package api

import "sidekey/auth/session"

// Users is the answer of GET /api/users: a part of all users, in the order of org and name.
type Users struct {
	Users []User `json:"users"`
	Next  *Place `json:"next"` // where the next part begins; null: this was the last one
}

// Place is the user after which the next part of a list begins: the parameters after_org and after.
type Place struct {
	OrgID    string `json:"org_id"`
	Username string `json:"username"`
}

// User is one user of a list.
type User struct {
	OrgID    string          `json:"org_id"`
	Username string          `json:"username"`
	KeyHash  string          `json:"key_hash"`
	State    string          `json:"state"` // "active", "expired", "damaged", or why it is inactive
	Session  session.Session `json:"session"`
}

// FoundUsers is the answer of GET /api/users/search.
type FoundUsers struct {
	Users  []User  `json:"users"`
	Next   *string `json:"next"`      // the parameter after of the next part; null: this was the last one
	Looked int     `json:"looked_at"` // users that were looked at for this answer
}

// UserLimits is the answer of GET /api/users/NAME/limits.
type UserLimits struct {
	Limits []UserLimit `json:"limits"`
}

// UserLimit is what is left of the limits of one scope at the moment of the answer.
type UserLimit struct {
	Scope string `json:"scope"` // as in [sidekey/auth.LiveLimit]
	Rate  Rate   `json:"rate"`
	Quota Quota  `json:"quota"`
}

// Rate is what is left of a rate. {100, 60, 98, 12.5} is a rate of 100 requests per minute, of which
// 98 are left; all 100 are free again in 12.5 seconds.
type Rate struct {
	Limit     int64   `json:"limit"` // requests per window; 0 = no limit
	Per       float64 `json:"per"`   // seconds
	Remaining int64   `json:"remaining"`
	Reset     float64 `json:"reset"` // seconds until the whole rate is free again
}

// Quota is what is left of a quota.
type Quota struct {
	Limit     int64 `json:"limit"`  // requests per period; 0 = no limit
	Period    int64 `json:"period"` // seconds; 0 = never renews
	Remaining int64 `json:"remaining"`
	Renews    int64 `json:"renews"` // Unix seconds; 0 = no period has begun, or it never ends
}

// Verify is the body of POST /api/verify: is this the user's password?
type Verify struct {
	OrgID    string `json:"org_id"` // "": admin.org_id
	Username string `json:"username"`
	Password string `json:"password"`

	session.Undeclared
}

// DecodeVerify decodes a [Verify] strictly. Its errors never contain the password.
func DecodeVerify(body []byte) (v Verify, unknownFields []string, err error) {
	if err := session.Decode(body, &v); err != nil {
		return Verify{}, nil, err
	}
	return v, session.TakeUnknown(&v), nil
}

// Verified is the answer of POST /api/verify. It does not reveal whether there is such a user.
type Verified struct {
	Right bool `json:"right"`
}
