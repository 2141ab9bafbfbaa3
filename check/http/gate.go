package http

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// gate bounds the connections. fasthttp answers excess connections with 503, which a proxy
// may let through. Here, requests on excess connections are refused and existing connections
// keep working.
type gate struct {
	maxOpen int64
	open    atomic.Int64
	beyond  atomic.Int64 // number of entries in outside
	outside sync.Map     // set of net.Conn: the excess connections
}

// state is [fasthttp.Server.ConnState].
func (g *gate) state(c net.Conn, s fasthttp.ConnState) {
	switch s {
	case fasthttp.StateNew:
		if g.open.Add(1) > g.maxOpen {
			g.outside.Store(c, nil)
			g.beyond.Add(1)
		}
	case fasthttp.StateClosed: // StateHijacked does not count: a held request keeps its connection
		g.open.Add(-1)
		if _, was := g.outside.LoadAndDelete(c); was {
			g.beyond.Add(-1)
		}
	}
}

// wrap returns a handler that refuses requests on excess connections.
func (g *gate) wrap(handle fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		if g.beyond.Load() > 0 {
			if _, outside := g.outside.Load(ctx.Conn()); outside {
				deny(ctx)
				ctx.SetConnectionClose()
				return
			}
		}
		handle(ctx)
	}
}
