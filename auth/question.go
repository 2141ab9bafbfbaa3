package auth

import "sidekey/auth/session"

// Question asks how a request would be decided: the body of POST /api/explain.
//
// A question with API "orders", User "ann", Password "pw" and Path "/orders/7" is answered as if
// NGINX had asked about a GET of /orders/7 with these credentials, for the API orders.
type Question struct {
	User     string            `json:"user"` // "": no credentials other than those in Headers
	Password string            `json:"password"`
	Org      string            `json:"org"` // "": any; otherwise the org that the API must have
	API      string            `json:"api"` // id; "": the API is found by host and path
	Method   string            `json:"method"`
	Host     string            `json:"host"`
	Path     string            `json:"path"`    // with query
	Dialect  string            `json:"dialect"` // "": "nginx"
	Headers  map[string]string `json:"headers"` // as the proxy sends them; one with "" is left out

	session.Undeclared
}

// DecodeQuestion reads a question from JSON. It returns the members that it does not know. Its
// errors hold nothing of the password.
func DecodeQuestion(body []byte) (q Question, unknownFields []string, err error) {
	if err := session.Decode(body, &q); err != nil {
		return Question{}, nil, err
	}
	return q, session.TakeUnknown(&q), nil
}
