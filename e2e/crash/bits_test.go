package crash

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// A record with a flipped bit is never served: its user is refused, and all others are served. (The
// store's tests flip, zero and swap at random; this tests the whole program.)
func TestFlippedBit(t *testing.T) {
	v := newVictim(t, memoryDir(t), "")
	if !v.start() {
		t.Fatal("sidekey does not start")
	}
	createUser(t, v, "victim", 1234)
	createUser(t, v, "other", 4321)
	v.stop()
	content, err := os.ReadFile(v.database())
	must(t, err)
	good, bad := []byte(`"quota_max":1234`), []byte(`"quota_max":9234`)
	if !bytes.Contains(content, good) {
		t.Fatal("the record is not found in the file")
	}
	must(t, os.WriteFile(v.database(), bytes.ReplaceAll(content, good, bad), 0o600))

	if !v.start() {
		t.Fatalf("sidekey does not start:\n%s", v.output.Tail(2000))
	}
	c, admin := v.check(), v.admin()
	defer c.close()
	defer admin.close()
	if status, text, err := c.ask("victim", password); status != 401 || err != nil {
		t.Errorf("SERVED WRONG: a user whose record is damaged is answered %d %s, %v", status, text, err)
	}
	if status, text, err := admin.do("GET", "/tyk/keys/victim", ""); status != 409 || err != nil {
		t.Errorf("SERVED WRONG: the damaged record is shown: %d %s, %v", status, text, err)
	}
	if _, text, err := admin.do("GET", "/readyz", ""); err != nil || !strings.Contains(text, "default/victim") {
		t.Errorf("readiness does not name the user: %s, %v", text, err)
	}
	if err := wantOK(c.ask("other", password)); err != nil {
		t.Errorf("another user: %v", err)
	}
	v.stop()
}
