package admin

import (
	"sync"

	"github.com/valyala/fasthttp"

	"sidekey/admin/api"
	"sidekey/internal/proof"
)

// proofKeys returns a function that derives the keys of secrets on its first call. Deriving takes
// time, so a start or a reload does not wait for it.
func proofKeys(secrets []string) func() []proof.Key {
	return sync.OnceValue(func() (keys []proof.Key) {
		for _, secret := range secrets {
			keys = append(keys, proof.NewKey(secret))
		}
		return keys
	})
}

// proof answers a nonce. The answer shows a client, before it sends the secret, that this listener
// knows it. The answer depends only on the request, and the listener remembers nothing, so requests
// cannot fill its memory.
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
