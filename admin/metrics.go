package admin

// metrics answers in Prometheus' text format (version 0.0.4). The ids of APIs are part of the
// configuration, so only callers with the secret get them.
func (c *call) metrics() error {
	c.ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	c.Metrics(c.ctx, c.trusted)
	return nil
}
