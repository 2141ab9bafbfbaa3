package check

import (
	"fmt"
	"time"

	"sidekey/auth"
	"sidekey/limiter"
)

// Explain decides about a question as [Handler.Check] does, and uses nothing up: no rate, no
// quota, no failed login. org is the org that the asker expects the user in, or "".
func (h *Handler) Explain(q *Question, org string) auth.Explanation {
	step := auth.Step{Check: auth.ProxyConfig.String(), Passed: q.Missing == "", Value: "dialect " + q.Dialect.String()}
	if q.Missing != "" {
		step.Hint = "missing or repeated in the proxy's configuration: " + q.Missing
		v := auth.Verdict{Reason: auth.ProxyConfig, Message: auth.ProxyConfig.Message()}
		return h.explanation(v, []auth.Step{step})
	}
	v, steps := h.checker.Explain(limiter.At(time.Now()), &q.Request)
	if org != "" && v.API != nil && v.API.Org != org {
		for i := range steps {
			if steps[i].Check == auth.UnknownAPI.String() {
				steps[i].Hint = fmt.Sprintf("the request falls to an API of org_id %q: users of %q do not count there", v.API.Org, org)
			}
		}
	}
	return h.explanation(v, append([]auth.Step{step}, steps...))
}

func (h *Handler) explanation(v auth.Verdict, steps []auth.Step) auth.Explanation {
	e := auth.Explanation{Passed: v.Reason == auth.Pass, Reason: v.Reason.String(), Status: v.Reason.Status(), Message: v.Message, Steps: steps}
	if v.Reason == auth.QuotaExceeded {
		e.Status = h.replies(&v).QuotaStatus
	}
	if v.API != nil {
		e.API = v.API.ID
	}
	if v.Named != nil {
		e.User = v.Named.User()
	}
	return e
}
