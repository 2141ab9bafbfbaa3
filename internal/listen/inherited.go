package listen

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
)

// Inherited holds the sockets that systemd passes to the program (sd_listen_fds(3)), by network
// and address. While the program restarts, connections wait in the queues of these sockets and
// are not refused.
type Inherited map[string]net.Listener

// TakeInherited takes the sockets that were passed to this process. It also removes them from
// the environment, so that child processes do not take them. Call it once.
func TakeInherited() (Inherited, error) {
	inherited := make(Inherited)
	var errs []error
	for _, file := range activation.Files(true) {
		l, err := net.FileListener(file)
		errs = append(errs, file.Close())
		if err != nil {
			errs = append(errs, fmt.Errorf("file %s of LISTEN_FDS must be a listening socket: %w", file.Name(), err))
			continue
		}
		inherited[key(l.Addr())] = l
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, inherited.Close())
	}
	return inherited, nil
}

func key(a net.Addr) string { return a.Network() + " " + a.String() }

// Take returns the socket of a configured address, which now belongs to the caller. It returns
// nil if there is none.
func (in Inherited) Take(network, address string) net.Listener {
	if len(in) == 0 {
		return nil // without resolving the name
	}
	name := "unix " + address
	if network != "unix" {
		addr, err := net.ResolveTCPAddr(network, address)
		if err != nil {
			return nil
		}
		name = key(addr)
	}
	l := in[name]
	delete(in, name)
	return l
}

// CheckTaken returns an error that names the sockets that no listener took. Clients would
// connect to them and get no answer.
func (in Inherited) CheckTaken() error {
	if len(in) == 0 {
		return nil
	}
	return fmt.Errorf("sockets were passed (LISTEN_FDS) that no listener is configured for: %s", strings.Join(slices.Sorted(maps.Keys(in)), ", "))
}

// Close closes the sockets that no listener took.
func (in Inherited) Close() error {
	var errs []error
	for _, l := range in {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
