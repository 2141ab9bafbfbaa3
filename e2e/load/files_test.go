package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// T-98: with at most 64 open files the program keeps working: existing connections are answered,
// further ones are refused or wait, and no client gets a wrong answer or a 5xx.
func TestT98FewFiles(t *testing.T) {
	s := sidekeytest.Start(t, sidekeytest.Listeners, "64")
	s.PutUser("ann", `{"basic_auth_data":{"password":"pw"}}`)
	request := "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-For: 192.0.2.1\r\n"
	ann, unknown := request+sidekeytest.Basic("ann", "pw")+"\r\n\r\n", request+sidekeytest.Basic("unknown", "pw")+"\r\n\r\n"
	type client struct {
		net.Conn
		in *bufio.Reader
	}
	dial := func() client {
		c, err := net.Dial("tcp", s.CheckAddr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return client{c, bufio.NewReader(c)}
	}
	ask := func(c client, request string, patience time.Duration) (status int, err error) {
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, request)
		answer, err := http.ReadResponse(c.in, nil)
		if err != nil {
			return 0, err
		}
		defer answer.Body.Close()
		_, err = io.Copy(io.Discard, answer.Body)
		if user := answer.Header.Get("X-Auth-User"); (user == "ann") != (answer.StatusCode == 200) {
			t.Errorf("%d for %q", answer.StatusCode, user)
		}
		return answer.StatusCode, err
	}
	good := dial()
	if status, err := ask(good, ann, testutil.Patience); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	statuses := make(map[string]int)
	var crowd []client
	for range 200 {
		crowd = append(crowd, dial())
	}
	for i, c := range crowd {
		request, wanted := ann, "200 403"
		if i%2 == 1 {
			request, wanted = unknown, "401 403 429"
		}
		status, err := ask(c, request, 100*time.Millisecond)
		if err != nil {
			statuses["waits"]++
			continue
		}
		statuses[fmt.Sprint(status)]++
		if !strings.Contains(wanted, fmt.Sprint(status)) {
			t.Errorf("connection %d: %d, want %s", i, status, wanted)
		}
		if status, err := ask(good, ann, testutil.Patience); status != 200 || err != nil {
			t.Fatalf("an existing connection, after %d others: %d, %v", i, status, err)
		}
	}
	t.Log(statuses)
	for _, c := range crowd {
		c.Close()
	}
	// There is room for all of them again.
	s.Process.Await("a connection is served", func() bool {
		status, err := ask(dial(), ann, time.Second)
		return status == 200 && err == nil
	})
	s.PutUser("bob", `{"basic_auth_data":{"password":"pw"}}`)
	if output := s.Process.Output.String(); !strings.Contains(output, "serving fewer connections than configured") || strings.Contains(output, "panic") {
		t.Errorf("the log:\n%s", output)
	}
}
