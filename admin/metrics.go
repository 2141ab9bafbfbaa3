package admin

// metrics answers in Prometheus' text format (version 0.0.4). APIs are part of the
// configuration, so only a caller with the secret is told their ids.
func (c *call) metrics() error {
	c.ctx.SetContentType("text/plain; version=0.0.4; charset=utf-8")
	c.Metrics(c.ctx, c.trusted)
	return nil
}
