package admin

import (
	"github.com/valyala/fasthttp"

	"sidekey/auth"
)

// explain answers what would become of a request, check by check. Nothing is used up.
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
