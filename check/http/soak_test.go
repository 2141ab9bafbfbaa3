package http

import (
	"flag"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidekey/auth/session"
)

var soakChecks = flag.Int("soak", 20_000, "checks of TestT07PipelinedUsers")

// T-07, T-09: alternating users on each connection, pipelined, on many connections at once: each
// reply is for the user of its request, in order, and no byte of it is another's. make soak runs
// it with ten million checks.
func TestT07PipelinedUsers(t *testing.T) {
	l := start(t)
	const users, connections, window = 64, 16, 50
	var requests, wants [users]string
	for i := range users {
		// Of all lengths, so that the rest of another name would show.
		user := fmt.Sprintf("user-%d-%s", i, strings.Repeat("x", i*3%100))
		l.add(user, session.Session{Alias: strings.ToUpper(user), Tags: []string{user, "t"}})
		requests[i] = request(dialectNames[i%len(dialectNames)], "GET", "/"+user, login(user))
		if i%8 == 7 { // a wrong password, or none
			requests[i] = request(dialectNames[i%len(dialectNames)], "GET", "/"+user, basic(user, "pw of "+user[1:]))
		}
		if i%16 == 15 {
			requests[i] = request(dialectNames[i%len(dialectNames)], "GET", "/"+user)
		}
		wants[i] = l.send(strings.Replace(requests[i], "\r\n", "\r\nConnection: close\r\n", 1))
		wants[i] = strings.Replace(wants[i], "Connection: close\r\n", "", 1)
		if admitted := i%8 != 7; admitted != strings.Contains(wants[i], "X-Auth-User: "+user+"\r\n") || admitted != strings.HasPrefix(wants[i], "HTTP/1.1 200 ") {
			t.Fatalf("%s: %q", user, wants[i])
		}
	}
	var left atomic.Int64
	left.Store(int64(*soakChecks))
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			conn := l.dial()
			defer conn.Close()
			got := make([]byte, 0, 4096)
			for round := c; left.Add(-window) > -window; round++ {
				conn.SetDeadline(time.Now().Add(patience))
				var packet, want strings.Builder
				for i := range window {
					who := (round*31 + i*(2*c+1)) % users
					packet.WriteString(requests[who])
					want.WriteString(wants[who])
				}
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					io.WriteString(conn, packet.String())
				}()
				got = append(got[:0], make([]byte, want.Len())...)
				if _, err := io.ReadFull(conn, got); err != nil {
					t.Errorf("%v after %.300q", err, got)
					return
				}
				<-sent
				if string(got) != want.String() {
					i := 0
					for got[i] == want.String()[i] {
						i++
					}
					t.Errorf("at byte %d: %.300q, want %.300q", i, got[max(0, i-100):], want.String()[max(0, i-100):])
					return
				}
			}
		})
	}
	wg.Wait()
}
