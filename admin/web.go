package admin

import (
	"github.com/valyala/fasthttp"

	"sidekey/admin/web"
)

// contentPolicy lets the web page load its own files and send requests to this listener, and nothing
// else: no inline scripts or styles, no frames, no submitted forms.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// sendPage answers with a file of the web page.
func (c *call) sendPage(file web.File) error {
	header := &c.ctx.Response.Header
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	c.ctx.SetStatusCode(fasthttp.StatusOK)
	c.ctx.SetContentType(file.Type)
	c.ctx.SetBody(file.Body)
	return nil
}
