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

// dialect is one of the forms of the API. It decides the form of errors and of sessions.
type dialect int

const (
	plain     dialect = iota // health, metrics and the web page
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

// status is the object of Tyk's Gateway for errors, and for success without a result.
type status struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// message is the object of Tyk's Dashboard for errors, and for success without a result.
type message struct {
	Status  string         `json:"Status"`
	Message string         `json:"Message"`
	Meta    jsontext.Value `json:"Meta"`
}

// failure returns an error in the dialect's form.
func (d dialect) failure(text string) any {
	if d == dashboard {
		return message{Status: "Error", Message: text}
	}
	return status{"error", text}
}

// encoding holds the options of all answers. Tyk's clients expect null for a list that was never
// set, and the characters & < > unescaped.
var encoding = json.JoinOptions(
	json.FormatNilSliceAsNull(true),
	json.Deterministic(true),
	jsontext.EscapeForHTML(false),
)

// send writes a JSON answer with a line end after it, as Tyk does.
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

// maxWarnings bounds the warnings of one answer, because clients accept only so many headers.
const maxWarnings = 20

// warn adds a header for each warning, so that bodies stay Tyk's. The header is one line of printable
// ASCII whatever the warning contains.
func (c *call) warn(warnings []string) {
	if more := len(warnings) - maxWarnings; more > 0 {
		warnings = append(slices.Clone(warnings[:maxWarnings]), fmt.Sprintf("and %d more warnings", more))
	}
	for _, w := range warnings {
		quoted := strconv.QuoteToASCII(w)
		text := bytes.ReplaceAll([]byte(quoted[1:len(quoted)-1]), []byte(`\"`), []byte(`"`))
		c.ctx.Response.Header.AddBytesV(warningHeader, text)
	}
}
