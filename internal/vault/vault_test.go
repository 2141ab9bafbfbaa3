package vault

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSeal(t *testing.T) {
	key := New([KeySize]byte{1})
	for _, secret := range []string{"", "s", "a secret with ä, \x00 and \"", strings.Repeat("x", 4096)} {
		sealed := key.Seal("default", "ann", secret)
		if got, err := key.Open("default", "ann", sealed); got != secret || err != nil {
			t.Errorf("%q: opened %q, %v", secret, got, err)
		}
		if len(secret) > 1 && strings.Contains(sealed, secret) {
			t.Errorf("%q is in %q", secret, sealed)
		}
		if again := key.Seal("default", "ann", secret); again == sealed {
			t.Errorf("%q: sealed twice to the same", secret)
		}
	}
}

// A sealed secret opens only for its user, and only unchanged.
func TestOpenRefuses(t *testing.T) {
	key := New([KeySize]byte{1})
	sealed := key.Seal("default", "ann", "the-secret")
	f := func(what string, key *Key, org, user, sealed string) {
		t.Helper()
		got, err := key.Open(org, user, sealed)
		if got != "" || !errors.Is(err, ErrNotOpened) {
			t.Errorf("%s: opened %q, %v", what, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "the-secret") || len(sealed) > 20 && strings.Contains(err.Error(), sealed[12:])) {
			t.Errorf("%s: the error shows a secret: %v", what, err)
		}
	}
	f("another user", key, "default", "bob", sealed)
	f("another org", key, "acme", "ann", sealed)
	f("org and name run together", key, "defaulta", "nn", sealed)
	f("another key", New([KeySize]byte{2}), "default", "ann", sealed)
	f("nothing", key, "default", "ann", "")
	f("the secret itself", key, "default", "ann", "the-secret")
	f("cut short", key, "default", "ann", sealed[:len(sealed)-1])
	f("too short for a nonce", key, "default", "ann", sealed[:15])
	f("something behind", key, "default", "ann", sealed+".")
	f("another version", key, "default", "ann", "v2"+sealed[2:])
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		f("one bit changed", key, "default", "ann", string(changed))
	}
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "hmac.key")
	key, created, err := Load(path)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	sealed := key.Seal("default", "ann", "s")
	again, created, err := Load(path)
	if err != nil || created {
		t.Fatal(created, err)
	}
	if got, err := again.Open("default", "ann", sealed); got != "s" || err != nil {
		t.Errorf("opened %q, %v after loading again", got, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("in the folder: %v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}

	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "\n", "ab", string(good[:62]) + "\n", string(good[:64]) + "00", "x" + string(good[1:])} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", text, err)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != text {
			t.Errorf("the file was changed to %q, %v", after, err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o660} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %#o: %v", mode, err)
		}
	}
}
