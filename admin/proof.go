package admin

import (
	"sync"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/internal/proof"
)

// proofKeys returns a function that derives the keys of secrets once, when the first proof
// is asked for: a start or a reload does not wait for it.
func proofKeys(secrets []string) func() []proof.Key {
	return sync.OnceValue(func() (keys []proof.Key) {
		for _, secret := range secrets {
			keys = append(keys, proof.NewKey(secret))
		}
		return keys
	})
}

// proof answers a nonce, to show a client that has not sent the secret yet that this
// listener knows it. The answer depends on the request alone: nothing is kept, so there is
// nothing to fill up, and a nonce has one answer.
func (c *call) proof() error {
	nonce := c.params["nonce"]
	if !proof.IsNonce(nonce) {
		return failure(fasthttp.StatusBadRequest, "Request malformed: nonce = %.80q: must be %d hexadecimal digits", nonce, proof.NonceLength)
	}
	answer := api.Proof{Address: c.ctx.LocalAddr().String()}
	host := string(c.ctx.Request.Header.Host())
	for _, key := range (*c.proofs.Load())() {
		answer.Proofs = append(answer.Proofs, key.Of(nonce, host, answer.Address))
	}
	c.send(fasthttp.StatusOK, answer)
	return nil
}
