package admin

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/valyala/fasthttp"

	"sidekey/auth/session"
)

// dialect is a form of the API: how errors look and which fields a session shows.
type dialect int

const (
	plain     dialect = iota // health and other pages of our own
	dashboard                // /api
	gateway                  // /tyk and /hello
)

func dialectOf(target []byte) dialect {
	path, _, _ := bytes.Cut(target, []byte("?"))
	switch {
	case bytes.HasPrefix(path, []byte("/api/")), string(path) == "/api":
		return dashboard
	case bytes.HasPrefix(path, []byte("/tyk/")), string(path) == "/tyk", string(path) == "/hello":
		return gateway
	}
	return plain
}

// status is Tyk Gateway's object for errors.
type status struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// message is Tyk Dashboard's object for errors and for done.
type message struct {
	Status  string         `json:"Status"`
	Message string         `json:"Message"`
	Meta    jsontext.Value `json:"Meta"`
}

func (d dialect) failure(text string) any {
	if d == dashboard {
		return message{Status: "Error", Message: text}
	}
	return status{"error", text}
}

// encoding is how answers are written: Tyk's clients expect null where a list is
// empty, and ? & < > as they are.
var encoding = json.JoinOptions(
	json.FormatNilSliceAsNull(true),
	json.Deterministic(true),
	jsontext.EscapeForHTML(false),
)

// send writes a JSON answer with a line end behind it, as Tyk does.
func (c *call) send(code int, body any, options ...json.Options) {
	text, err := session.MarshalSession(body, append([]json.Options{encoding}, options...)...)
	if err != nil {
		c.Log.Error("BUG: an answer cannot be written", "error", err)
		code, text = fasthttp.StatusInternalServerError, []byte(`{"status":"error","message":"internal error"}`)
	}
	c.ctx.SetStatusCode(code)
	c.ctx.SetContentType("application/json")
	c.ctx.Response.AppendBody(text)
	c.ctx.Response.AppendBodyString("\n")
}

const warningHeader = "X-Sidekey-Warning"

// mostWarnings are sent with one answer; clients have room for so many headers.
const mostWarnings = 20

// warn puts warnings into headers, one each, so that bodies stay Tyk's. A header is
// printable ASCII on one line whatever the text holds.
func (c *call) warn(warnings []string) {
	if more := len(warnings) - mostWarnings; more > 0 {
		warnings = append(slices.Clone(warnings[:mostWarnings]), fmt.Sprintf("and %d more warnings", more))
	}
	for _, w := range warnings {
		quoted := strconv.QuoteToASCII(w)
		text := bytes.ReplaceAll([]byte(quoted[1:len(quoted)-1]), []byte(`\"`), []byte(`"`))
		c.ctx.Response.Header.AddBytesV(warningHeader, text)
	}
}
