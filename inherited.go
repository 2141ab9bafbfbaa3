package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"sidekey/config"
)

// inherited are sockets that systemd holds for the program (sd_listen_fds(3)), by network
// and address. While the program is restarted, who connects waits in their queues and is
// not refused.
type inherited map[string]net.Listener

// firstInherited is the number of the first file that is handed over.
const firstInherited = 3

// takeInherited takes what was handed over to this process, once: the processes that it
// starts get neither the sockets nor the variables.
func takeInherited() (inherited, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil // for somebody else, or for nobody
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 {
		return nil, fmt.Errorf("LISTEN_FDS = %q: a number is wanted", count)
	}
	held := make(inherited)
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		syscall.CloseOnExec(fd)
		file := os.NewFile(uintptr(fd), "socket "+strconv.Itoa(fd))
		l, err := net.FileListener(file)
		file.Close()
		if err != nil {
			return nil, errors.Join(fmt.Errorf("file %d of LISTEN_FDS is no socket that listens: %w", fd, err), held.close())
		}
		held[l.Addr().Network()+" "+l.Addr().String()] = l
	}
	return held, nil
}

// take returns the socket of a configured address, or nil.
func (h inherited) take(where string) net.Listener {
	a, err := config.ParseAddress(where)
	if err != nil {
		return nil
	}
	key := "unix " + a.Where
	if a.Network != "unix" {
		addr, err := net.ResolveTCPAddr(a.Network, a.Where)
		if err != nil {
			return nil
		}
		key = "tcp " + addr.String()
	}
	l := h[key]
	delete(h, key)
	return l
}

// rest is an error where sockets were not taken: nobody would answer on them.
func (h inherited) rest() error {
	if len(h) == 0 {
		return nil
	}
	return fmt.Errorf("sockets were handed over (LISTEN_FDS) that no listener is configured for: %s", strings.Join(slices.Sorted(maps.Keys(h)), ", "))
}

func (h inherited) close() error {
	var errs []error
	for _, l := range h {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
