package admin

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/valyala/fasthttp"

	"sidekey/auth/session"
)

// modified is the Gateway's answer to a write.
type modified struct {
	Key     string `json:"key"`
	Status  string `json:"status"`
	Action  string `json:"action"`
	KeyHash string `json:"key_hash,omitempty"`

	// HMACString is the secret that this write has generated, if any. Tyk also shows it later;
	// sidekey does not.
	HMACString string `json:"hmac_string,omitempty"`
}

func (c *call) gatewayCreate() error {
	u, withPassword, err := c.gatewayAdd(c.params["username"])
	if err != nil {
		return err
	}
	answer := modified{Status: "ok", Action: "added", KeyHash: u.Name().KeyHash(), HMACString: u.Session.HMACString}
	if !withPassword {
		// Tyk returns the token of a key without a password.
		answer.Key = u.Name().Token()
	}
	c.send(fasthttp.StatusOK, answer)
	return nil
}

// gatewayGenerate creates a user with a generated name, which is part of the token in the answer. It
// hashes a password in the body; Tyk stores it as plain text.
func (c *call) gatewayGenerate() error {
	name, err := generatedName()
	if err != nil {
		return err
	}
	u, _, err := c.gatewayAdd(name)
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, modified{Key: u.Name().Token(), Status: "ok", Action: "added", KeyHash: u.Name().KeyHash(), HMACString: u.Session.HMACString})
	return nil
}

// generatedName returns a random name: 32 hexadecimal digits.
func generatedName() (string, error) {
	var random [16]byte
	_, err := rand.Read(random[:])
	return hex.EncodeToString(random[:]), err
}

// gatewayPreview answers the session in the body with its policies applied. It stores nothing.
func (c *call) gatewayPreview() error {
	u, err := c.preview()
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, u.Session, json.OmitZeroStructFields(true))
	return nil
}

func (c *call) gatewayAdd(user string) (u found, withPassword bool, err error) {
	w, err := c.readSession(user)
	if err != nil {
		return found{}, false, err
	}
	withPassword = w.session.BasicAuth.Password != ""
	u, err = c.create(w)
	return u, withPassword, err
}

func (c *call) gatewayReplace() error {
	missing := failure(fasthttp.StatusNotFound, "Key is not found")
	name, err := c.gatewayName(missing)
	if err != nil {
		return err
	}
	w, err := c.readSession(name.User)
	if err != nil {
		return err
	}
	if name.User != c.params["username"] && name != w.name {
		return missing // as in Tyk, which looks for the user in the org of the body
	}
	u, err := c.replace(w, missing)
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, modified{Key: c.keyOf(u.Name()), Status: "ok", Action: "modified", HMACString: u.Session.HMACString})
	return nil
}

func (c *call) gatewayGet() error {
	missing := failure(fasthttp.StatusNotFound, "Key not found")
	name, err := c.gatewayName(missing)
	if err != nil {
		return err
	}
	u, err := c.fetch(name, missing)
	if err != nil {
		return err
	}
	c.send(fasthttp.StatusOK, u.Session, json.OmitZeroStructFields(true))
	return nil
}

var gatewayMissing = failure(fasthttp.StatusNotFound, "There is no such key found")

func (c *call) gatewayDelete() error {
	name, err := c.gatewayName(gatewayMissing)
	if err != nil {
		return err
	}
	return c.modified(c.keyOf(name), "deleted", c.remove(name, gatewayMissing))
}

func (c *call) gatewayReset() error {
	name, err := c.gatewayName(gatewayMissing)
	if err != nil {
		return err
	}
	return c.modified(c.keyOf(name), "modified", c.reset(name, gatewayMissing))
}

// keyOf returns the key of a user in answers: the key hash if the request has ?hashed=, else the
// token.
func (c *call) keyOf(name session.Name) string {
	if c.query("hashed") != "" {
		return name.KeyHash()
	}
	return name.Token()
}

// gatewayList lists key hashes, as Tyk does. ?api_id= selects the users of one API, ?filter= those
// whose hash begins with the text or whose key id contains it.
func (c *call) gatewayList() error {
	filter := c.query("filter")
	names, err := c.list(c.query("api_id"), func(name session.Name) (bool, error) {
		return filter == "" || strings.HasPrefix(name.KeyHash(), filter) || strings.Contains(name.KeyID(), filter), nil
	})
	if err != nil {
		return err
	}
	hashes := make([]string, 0, len(names))
	for _, name := range names {
		hashes = append(hashes, name.KeyHash())
	}
	c.send(fasthttp.StatusOK, map[string][]string{"keys": hashes})
	return nil
}

func (c *call) gatewayReload() error {
	if err := c.Reload(); err != nil {
		return failure(fasthttp.StatusBadRequest, "The configuration was not reloaded: %v", err)
	}
	c.send(fasthttp.StatusOK, status{Status: "ok"})
	return nil
}
