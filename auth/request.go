package auth

import "strings"

// Request is a question: may this request pass? The caller lends the bytes until
// [Checker.Check] returns; the checker keeps none of them.
//
// A GET of /orders/7 that NGINX has received for api.example.org is
//
//	Request{Method: "GET", Host: "api.example.org", URI: "/orders/7?x=1", Client: "203.0.113.9",
//		Authorization: "Basic YW5uOnB3", AuthorizationCount: 1, Headers: …}
type Request struct {
	APIID  []byte // the API that the proxy's configuration names; nil: it is found by host and path
	Method []byte
	Host   []byte // the Host header
	URI    []byte // path and query as the client sent them
	Client []byte // the client's address, with or without a port; empty: the proxy reports none

	Authorization      []byte // the first Authorization header
	AuthorizationCount int    // how many Authorization headers there were

	// OtherUpgrade says that the client asks for an upgrade to anything but WebSocket, or
	// to something else besides it.
	OtherUpgrade bool

	Headers Headers
}

// Headers are the headers of the client's request that the proxy passed on.
type Headers interface {
	// Header returns the first header with that name, lent like [Request], and the number of
	// headers with that name.
	Header(name string) (value []byte, count int)
	// Values returns all headers with that name. They are valid until the next call.
	Values(name []byte) [][]byte
}

// opensTunnel reports whether the application may answer with a tunnel. Further requests would
// pass through it without a check: CONNECT, and upgrades such as h2c. WebSocket is the
// exception, because its frames carry no requests. The method is compared
// in any case, because some applications write methods in capitals before they read them.
func (r *Request) opensTunnel() bool {
	const connect = "CONNECT"
	return r.OtherUpgrade || len(r.Method) == len(connect) && strings.EqualFold(string(r.Method), connect)
}
