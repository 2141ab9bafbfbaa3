package http

import (
	"bufio"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/check"
)

// caller is the connection of a held request, as a [check.Caller]. It was taken from the
// server, so it costs no goroutine and no buffer, and is given back with the reply.
type caller struct {
	*server
	conn   net.Conn
	unread []byte                  // what the caller sent after the request
	header fasthttp.ResponseHeader // as the server prepared it
	http10 bool
	close  bool // the connection, after the reply
	noBody bool // the request was HEAD
}

// hold takes a request's connection from the server and starts to wait.
func (s *server) hold(ctx *fasthttp.RequestCtx, held *check.Held) {
	c := &caller{
		server: s,
		http10: !ctx.Request.Header.IsHTTP11(),
		close:  ctx.Request.Header.ConnectionClose(),
		noBody: ctx.IsHead(),
	}
	ctx.Response.Header.CopyTo(&c.header)
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(conn net.Conn) { // called when the server has let go of it
		c.conn, c.unread = unwrap(conn)
		held.Start(c)
	})
}

// unwrap returns the connection that the server had, and what the server's buffer holds of
// it.
func unwrap(c net.Conn) (conn net.Conn, unread []byte) {
	conn = c.(interface{ UnsafeConn() net.Conn }).UnsafeConn()
	// With a deadline in the past, only the buffer can be read.
	if conn.SetReadDeadline(time.Unix(1, 0)) == nil {
		unread, _ = io.ReadAll(c)
	}
	if before, ok := conn.(*resumed); ok {
		conn = before.Conn // all that it kept was read above
	}
	conn.SetReadDeadline(time.Time{})
	return conn, unread
}

// Left reports whether the connection was closed from the other side.
func (c *caller) Left() bool {
	raw, ok := c.conn.(syscall.Conn)
	if !ok {
		return false
	}
	control, err := raw.SyscallConn()
	if err != nil {
		return true
	}
	left := true // if the connection is closed on our side, the function below is not called
	_ = control.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		left = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
		return true
	})
	return left
}

// Answer writes the reply and gives the connection back to the server.
func (c *caller) Answer(r *check.Reply, last bool) {
	response := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(response)
	c.header.CopyTo(&response.Header)
	response.SkipBody = c.noBody
	write(response, r)
	last = last || c.close
	if last {
		response.Header.SetConnectionClose()
	} else if c.http10 {
		response.Header.Set("Connection", "keep-alive")
	}
	writer := bufio.NewWriter(c.conn)
	err := c.conn.SetWriteDeadline(time.Now().Add(c.fast.WriteTimeout))
	if err == nil {
		err = response.Write(writer)
	}
	if err == nil {
		err = writer.Flush()
	}
	if err != nil || last {
		c.Close()
		return
	}
	go c.fast.ServeConn(&resumed{Conn: c.conn, unread: c.unread})
}

// Close closes the connection.
func (c *caller) Close() {
	c.conn.Close()
	c.gate.state(c.conn, fasthttp.StateClosed)
}

// resumed is a connection that was held. It first returns the bytes that were read but not used.
type resumed struct {
	net.Conn
	unread []byte
}

func (r *resumed) Read(p []byte) (int, error) {
	if len(r.unread) > 0 {
		n := copy(p, r.unread)
		r.unread = r.unread[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}
