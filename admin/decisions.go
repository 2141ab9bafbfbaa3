package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/auth"
)

// decisions answers how many decisions were made since the start, by reason. A reason that no
// decision has had is 0.
func (c *call) decisions() error {
	totals := make(map[string]uint64)
	for _, reason := range auth.Reasons() {
		totals[reason.String()] = 0
	}
	if c.Decisions != nil {
		for reason, total := range c.Decisions() {
			totals[reason] = total
		}
	}
	c.send(fasthttp.StatusOK, api.Decisions{At: time.Now().UnixMilli(), Decisions: totals})
	return nil
}
