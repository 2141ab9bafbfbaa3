package admin

import (
	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// explain answers how a request would be decided, check by check. It uses up no rate, quota or login
// attempt.
func (c *call) explain() error {
	question, unknown, err := auth.DecodeQuestion(c.body())
	if err != nil {
		return err
	}
	if err := c.reportUnknown(unknown, "this request"); err != nil {
		return err
	}
	explanation, err := c.Explain(question)
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, explanation)
	return nil
}
