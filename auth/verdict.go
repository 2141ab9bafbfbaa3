package auth

import (
	"time"

	"sidekey/auth/route"
	"sidekey/auth/session"
	"sidekey/limiter"
)

// Verdict is the decision about a request. A refusal is a verdict, not an error.
//
// A user with a rate of 5 per second and a quota of 1000 who sends the second request of a
// second gets
//
//	Verdict{Reason: Pass, Account: …, Named: …, API: …, Remembered: true,
//		Rate: {Limit: 5, Remaining: 3, …}, Quota: {Limit: 1000, Remaining: 998, …}}
//
// and, with the sixth, Reason RateExceeded, its Message, and in Retry the time until one more
// request passes. A verdict about a wrong password has neither Account nor limits; Named says
// whose password it was.
type Verdict struct {
	Reason  Reason
	Message string     // of the error body; "" for Pass
	Account *Account   // the user that was recognised, or nil
	Named   *Account   // the user that the credentials name, right or wrong; nil if there is none. For logs only
	API     *route.API // nil if none was found

	Rate  limiter.RateState  // zero: no limit, or none was reached
	Quota limiter.QuotaState // zero: no limit, or none was reached
	Retry time.Duration      // how long to wait before trying again; 0: unknown
	At    limiter.Now        // the time that Rate and Quota are of

	Settings *Settings // by which the decision was made

	// Shadow is the reason that would have refused the request if its limit were not in shadow.
	// Pass: there is none.
	Shadow Reason
	// Remembered says that the password was right before and was not hashed for this request.
	Remembered bool
	// Throttle says how this request, which is over its rate, may be held; nil: it may not. See
	// [Checker.Hold].
	Throttle *session.Throttle
	// Reached lists the triggers of the quota, in percent, that this request reached. Callers
	// must not change it.
	Reached []float64
	// Excess says that the path was refused without being compared with all patterns of the
	// right, because that would have taken longer than a check may.
	Excess bool

	version string   // of API
	notices *notices // of the limits that were charged; see [Verdict.News]
}

// refuse makes v a refusal with nothing known but its reason and API, which may be nil.
func (v *Verdict) refuse(reason Reason, api *route.API) {
	*v = Verdict{Reason: reason, Message: reason.Message(), API: api}
}
