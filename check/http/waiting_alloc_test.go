//go:build !race

package http

import (
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"sidekey/auth/session"
)

// How much memory a held request keeps, and that requests beyond the bound are refused.
func TestAllocThrottled(t *testing.T) {
	const most = 8_000 // with both ends in this process, and 20,000 descriptors
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*most+500 {
		limit.Cur = max(limit.Cur, 2*most+500)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatalf("%d descriptors are needed: %v", limit.Cur, err)
		}
	}
	l := throttled(t, 2*most) // of which one user gets half
	l.add("ann", session.Session{Rate: 1, Per: 3600, ThrottleInterval: 3000, ThrottleRetryLimit: 10})
	l.ask("nginx", "GET", "/", login("ann"))
	question := request("nginx", "GET", "/some/path?with=a&query=string", login("ann"), "Cookie: "+strings.Repeat("c", 1000))

	var sockets []*os.File // as cheap as they come: the callers are not what is measured
	defer func() {
		for _, s := range sockets {
			s.Close()
		}
	}()
	probe := l.dial().(*net.TCPConn)
	address := probe.RemoteAddr().(*net.TCPAddr)
	probe.Close()
	before := inUse()
	for range most {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			sockets = append(sockets, os.NewFile(uintptr(fd), "caller"))
			err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte{127, 0, 0, 1}})
		}
		if err == nil {
			_, err = syscall.Write(fd, []byte(question))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l.waitFor(most)
	if a := l.ask("nginx", "GET", "/", login("ann")); a.get("X-Error-Status") != "429" {
		t.Errorf("one too many: %v", a)
	}
	each := (inUse() - before) / most
	t.Logf("%d bytes for each of %d held requests", each, most)
	if each > 64<<20/10_000 {
		t.Errorf("%d bytes each: 10,000 are to hold no more than 64 MiB", each)
	}
	l.handler.StopWaiting()
	l.waitFor(0)
}

func inUse() int {
	var m runtime.MemStats
	for range 3 { // pools let go at the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse + m.StackInuse)
}
