package admin

import (
	"time"

	"github.com/valyala/fasthttp"
)

// Health is what the program knows about its own state.
type Health struct {
	Store   error     // nil: it can be read and written
	Damaged []string  // users whose records do not match their checksums, as ORG/USER
	Sealed  []string  // users whose hmac_string cannot be opened with the key in force, as ORG/USER
	Loaded  time.Time // when the configuration in force was loaded
	Reload  error     // why the file as it stands now is not in force; nil: it is
}

// ready reports whether decisions can be made.
func (h Health) ready() bool { return h.Store == nil }

func (c *call) healthz() error {
	c.send(fasthttp.StatusOK, map[string]string{"status": "alive"})
	return nil
}

type readiness struct {
	Status  string   `json:"status"`
	Store   string   `json:"store"`
	Damaged []string `json:"damaged,omitempty"`
	Sealed  []string `json:"sealed,omitempty"`
	Config  string   `json:"config"`
	Loaded  string   `json:"config_loaded"`
	Active  int      `json:"active_users"`
}

func (c *call) readyz() error {
	h := c.Health()
	answer := readiness{
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

// component is one part of a health answer in Tyk's form
// (draft-inadarei-api-health-check).
type component struct {
	Status        string `json:"status"`
	ComponentType string `json:"componentType"`
	Output        string `json:"output,omitempty"`
	Time          string `json:"time"`
}

func (c *call) hello() error {
	h := c.Health()
	store := component{Status: "pass", ComponentType: "datastore", Time: time.Now().UTC().Format(time.RFC3339)}
	overall := "pass"
	if !h.ready() {
		store.Status, store.Output = "fail", h.Store.Error()
		overall = "fail"
	}
	c.send(fasthttp.StatusOK, struct {
		Status      string               `json:"status"`
		Version     string               `json:"version"`
		Description string               `json:"description"`
		Details     map[string]component `json:"details"`
	}{overall, c.Version, "sidekey", map[string]component{"store": store}})
	return nil
}
