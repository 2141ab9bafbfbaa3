// Package api is the JSON of sidekey's own admin endpoints, for those who serve and those who call
// them.
//
// Package admin writes these types and package command reads them, so the two cannot drift apart.
// openapi.json describes the same objects for other programs, and tests compare every answer with
// it. Endpoints that sidekey shares with Tyk are not here: their bodies are Tyk's session and policy
// objects (package session) in the envelope of Tyk's Dashboard or Gateway (package admin). So are the
// question and the answer of POST /api/explain, which the decision itself fills in: see
// [sidekey/auth.Question] and [sidekey/auth.Explanation].
//
// Bodies of requests are decoded strictly: a member that a type does not have is reported to the
// caller, not dropped.
package api

// Alive is the answer of GET /healthz: the process runs.
type Alive struct {
	Status string `json:"status"` // "alive"
}

// Readiness is the answer of GET /readyz. Its HTTP status is 200 if sidekey can decide, else 503.
type Readiness struct {
	Status  string   `json:"status"`            // "ready" or "not ready"
	Store   string   `json:"store"`             // "ok", or why it cannot be used
	Damaged []string `json:"damaged,omitempty"` // ORG/USER of damaged records; only for callers with the secret
	Sealed  []string `json:"sealed,omitempty"`  // ORG/USER whose hmac_string cannot be opened; only for callers with the secret
	Config  string   `json:"config"`            // "ok", or that the file is not in force; the reason only for callers with the secret
	Loaded  string   `json:"config_loaded"`     // when the configuration in force was loaded, in RFC 3339
	Active  int      `json:"active_users"`      // users in memory
}

// Hello is the answer of GET /hello, in Tyk's form (draft-inadarei-api-health-check).
type Hello struct {
	Status      string               `json:"status"` // "pass" or "fail"
	Version     string               `json:"version"`
	Description string               `json:"description"`
	Details     map[string]Component `json:"details"` // by name: "store"
}

// Component is the state of one part of sidekey.
type Component struct {
	Status        string `json:"status"` // "pass" or "fail"
	ComponentType string `json:"componentType"`
	Output        string `json:"output,omitempty"` // why it failed
	Time          string `json:"time"`             // RFC 3339
}

// Proof is the answer of GET /api/proof/NONCE: for each secret in force, one or two, a proof that the
// listener knows it. See package proof.
type Proof struct {
	Address string   `json:"address"` // of the listener, as the proofs contain it
	Proofs  []string `json:"proofs"`
}

// Decisions is the answer of GET /api/decisions. A caller that asks twice knows what happened in
// between.
type Decisions struct {
	At        int64             `json:"at"`        // Unix milliseconds
	Decisions map[string]uint64 `json:"decisions"` // since the start, by the name of the reason
}

// APIs is the answer of GET /api/apis: the APIs of the configuration in force, in the order of
// their ids.
type APIs struct {
	APIs []API `json:"apis"`
}

// API is one API as it is configured.
type API struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	OrgID      string   `json:"org_id"`
	Hosts      []string `json:"hosts"`
	ListenPath string   `json:"listen_path"`
	Versions   []string `json:"versions"`
	Active     bool     `json:"active"`
	Rate       float64  `json:"rate"` // requests of all users together, per Per seconds; 0 = no limit
	Per        float64  `json:"per"`
}
