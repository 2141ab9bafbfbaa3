package main

import (
	"context"
	"os"
	"path/filepath"
)

// copyDatabase gives the folder to the database of another one.
func copyDatabase(to, from string) error {
	text, err := os.ReadFile(filepath.Join(from, "data", "sidekey.db"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "data"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(to, "data", "sidekey.db"), text, 0o600)
}

// measureDecisionLog compares a sidekey that logs every decision to a file in dir with
// the one at quietAddr, which logs none.
func measureDecisionLog(ctx context.Context, o options, dir, binary, quietAddr string) (row, error) {
	checkAddr, adminAddr := freeAddr(), freeAddr()
	p, err := start(ctx, dir, binary, "serve", "-config", writeConfig(dir, checkAddr, adminAddr, "all"))
	if err != nil {
		return row{}, err
	}
	defer p.stop()
	const path = "/auth/envoy/orders/1?x=2"
	if err := awaitRight(ctx, "http://"+checkAddr+path); err != nil {
		return row{}, err
	}
	return compare(ctx, o, `decision log "all" against "none"`, "http://"+checkAddr+path, "http://"+quietAddr+path, traffic{headers: []string{credentials, forwardedFor}})
}
