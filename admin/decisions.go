package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// decisions answers how many decisions were made since the start, by reason. Who asks
// twice knows what happened in between.
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
	c.send(fasthttp.StatusOK, struct {
		At        int64             `json:"at"` // Unix milliseconds
		Decisions map[string]uint64 `json:"decisions"`
	}{time.Now().UnixMilli(), totals})
	return nil
}
