package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
)

// Health is the state of the program.
type Health struct {
	Store   error     // why it cannot be used; nil: it can be read and written
	Damaged []string  // ORG/USER of records that do not match their checksums
	Sealed  []string  // ORG/USER of records whose hmac_string cannot be opened with the key in force
	Loaded  time.Time // when the configuration in force was loaded
	Reload  error     // why the current file is not in force; nil: it is
}

// ready reports whether sidekey can decide.
func (h Health) ready() bool { return h.Store == nil }

func (c *call) healthz() error {
	c.send(fasthttp.StatusOK, api.Alive{Status: "alive"})
	return nil
}

func (c *call) readyz() error {
	h := c.Health()
	answer := api.Readiness{
		Status: "ready",
		Store:  "ok",
		Config: "ok",
		Loaded: h.Loaded.UTC().Format(time.RFC3339),
		Active: c.Directory.Active(),
	}
	if c.trusted {
		answer.Damaged, answer.Sealed = h.Damaged, h.Sealed
	}
	code := fasthttp.StatusOK
	if h.Reload != nil {
		answer.Config = "the file is not in force"
		if c.trusted {
			answer.Config += ": " + h.Reload.Error()
		}
	}
	if !h.ready() {
		answer.Status, answer.Store = "not ready", h.Store.Error()
		code = fasthttp.StatusServiceUnavailable
	}
	c.send(code, answer)
	return nil
}

func (c *call) hello() error {
	h := c.Health()
	store := api.Component{Status: "pass", ComponentType: "datastore", Time: time.Now().UTC().Format(time.RFC3339)}
	overall := "pass"
	if !h.ready() {
		store.Status, store.Output = "fail", h.Store.Error()
		overall = "fail"
	}
	c.send(fasthttp.StatusOK, api.Hello{
		Status:      overall,
		Version:     c.Version,
		Description: "sidekey",
		Details:     map[string]api.Component{"store": store},
	})
	return nil
}
