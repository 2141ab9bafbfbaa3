package proof

import (
	"strings"
	"testing"
)

// T-107: a proof holds for one secret, nonce, Host and address, and is not any other HMAC of the secret.
func TestT107Proof(t *testing.T) {
	nonce := strings.Repeat("5f", 32)
	key := NewKey("the-secret-of-the-tests")
	const want = "e83bfed828d5bdad4ab7dd4c27d0be3f1fe724a02f107b8a9936b1bcc3d83c29" // as Python computes it, from the description
	right := key.Of(nonce, "localhost", "127.0.0.1:9192")
	if right != want {
		t.Errorf("another proof than clients of this version know: %s, want %s", right, want)
	}
	if !key.IsProof(right, nonce, "localhost", "127.0.0.1:9192") {
		t.Error("the right proof is not taken")
	}
	for _, other := range []string{
		NewKey("the-secret-of-the-testz").Of(nonce, "localhost", "127.0.0.1:9192"),
		key.Of(strings.Repeat("5e", 32), "localhost", "127.0.0.1:9192"),
		key.Of(nonce, "localhost.", "127.0.0.1:9192"),
		key.Of(nonce, "localhost", "127.0.0.1:9193"),
		key.Of(nonce, "localhost1", "27.0.0.1:9192"),
		key.Of(nonce+"localhost", "", "127.0.0.1:9192"),
		"", right[:62], right + "00",
	} {
		if key.IsProof(other, nonce, "localhost", "127.0.0.1:9192") {
			t.Errorf("%q is taken for the right proof", other)
		}
	}
}

func TestNonce(t *testing.T) {
	a, b := NewNonce(), NewNonce()
	if a == b || !IsNonce(a) || !IsNonce(b) {
		t.Errorf("%s, %s", a, b)
	}
	for _, bad := range []string{"", a[2:], a + "00", strings.Repeat("x", NonceLength), strings.Repeat("é", NonceLength/2)} {
		if IsNonce(bad) {
			t.Errorf("%q is a nonce", bad)
		}
	}
}

func BenchmarkNewKey(b *testing.B) {
	for b.Loop() {
		NewKey("the-secret-of-the-tests")
	}
}
