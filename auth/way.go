package auth

import (
	"time"

	"sidekey/auth/route"
)

// way is one way to be recognised: Basic credentials ([basicLogin]) or a signature
// ([signedLogin]). A decision asks its ways in order; the first that a request uses decides
// about it. A way holds the credentials that it has read until forget.
type way interface {
	// recognise reads the request's credentials. mine is false if the request uses another way.
	// Otherwise refusal is Pass, or the reason to refuse the request because nothing can be
	// verified; message replaces that of the reason unless it is "". It looks at nothing but the
	// request, so an answer reveals nothing about users.
	recognise(r *Request, api *route.API) (mine bool, refusal Reason, message string)

	// verify finds the account that the credentials belong to. It is called again if the account
	// was edited in the meantime, and moves d.now on if it has to wait.
	verify(d *decision) outcome

	// explain tells how the request was recognised, and reports whether it was.
	explain(e *explainer) bool

	// forget drops the credentials that recognise has read.
	forget()
}

// outcome is the result of verifying credentials.
type outcome struct {
	reason  Reason        // Pass: the credentials are right
	account *Account      // with Pass the user's; with BadCredentials the one that they name, or nil
	message string        // replaces that of reason unless it is ""
	retry   time.Duration // how long to wait before trying again; 0: unknown

	remembered bool // the password was right before and was not hashed
	hashed     bool // the refusal took the time of a wrong password
}
