package admin

// metrics answers in Prometheus' text format (version 0.0.4).
func (c *call) metrics() error {
	c.ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	c.Metrics(c.ctx)
	return nil
}
