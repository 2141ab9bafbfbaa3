package story

import (
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"

	"fmt"
	"net"
	"strings"
	"testing"
)

// With 0.0.0.0, each listener listens only on IPv4 addresses; with [::] or without a host, on IPv4
// and IPv6. A check listener on all addresses is logged and shown by check-config.
func TestListensEverywhere(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		testutil.CannotRun(t, "there is no IPv6: "+err.Error())
	} else {
		l.Close()
	}
	reached := func(host, port string) bool {
		c, err := net.Dial("tcp", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	for host, both := range map[string]bool{"0.0.0.0": false, "[::]": true, "": true} {
		_, check, _ := net.SplitHostPort(testutil.FreeAddr(t))
		_, admin, _ := net.SplitHostPort(testutil.FreeAddr(t))
		dir := t.TempDir()
		config := testutil.WriteFile(t, dir, "sidecar.toml", fmt.Sprintf("data_dir = %q\ncheck.listen = \"%s:%s\"\nadmin.listen = \"%s:%s\"\nadmin.allow_remote = true\n", dir+"/data", host, check, host, admin))
		const warning = "every machine that can reach this one can send checks and try passwords"
		if status, said := runIn(t, dir, nil, "check-config"); status != 0 || !strings.HasPrefix(said, `sidekey: warning: check.listen = "`+host+":"+check+`": `+warning) || !strings.HasSuffix(said, "\nsidecar.toml is good\n") {
			t.Errorf("%s: check-config: %d, %s", host, status, said)
		}
		path, err := sidekeytest.Binary()
		if err != nil {
			t.Fatal(err)
		}
		p := testutil.Start(t, path, "serve", "-config", config)
		p.AwaitPort("127.0.0.1:" + check)
		p.AwaitPort("127.0.0.1:" + admin)
		for _, port := range []string{check, admin} {
			if got := reached("::1", port); got != both {
				t.Errorf("%q: reached over IPv6: %t, want %t", host, got, both)
			}
		}
		if status, said := runIn(t, dir, nil, "user", "list"); status != 0 {
			t.Errorf("%q: user list: %d, %s", host, status, said)
		}
		if err := p.Stop(); err != nil {
			t.Errorf("%q: %v", host, err)
		}
		if got := strings.Count(p.Output.String(), warning); got != 1 {
			t.Errorf("%q: %d warnings in the log\n%s", host, got, p.Output.String())
		}
	}
}
