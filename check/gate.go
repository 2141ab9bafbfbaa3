package check

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// gate bounds the connections. fasthttp answers one too many with 503, which a proxy may
// let through; here its requests are refused as any other, and those who are in go on.
type gate struct {
	most    int64
	open    atomic.Int64
	beyond  atomic.Int64 // how many entries outside has
	outside sync.Map     // net.Conn of those who came when it was full
}

// state is [fasthttp.Server.ConnState].
func (g *gate) state(c net.Conn, s fasthttp.ConnState) {
	switch s {
	case fasthttp.StateNew:
		if g.open.Add(1) > g.most {
			g.outside.Store(c, nil)
			g.beyond.Add(1)
		}
	case fasthttp.StateClosed: // a held request's connection is still one (StateHijacked)
		g.open.Add(-1)
		if _, was := g.outside.LoadAndDelete(c); was {
			g.beyond.Add(-1)
		}
	}
}

// wrap returns a handler that refuses those outside.
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
