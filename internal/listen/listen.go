package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// openListener listens on an address; a unix socket gets the permissions mode.
func Open(network, address string, mode fs.FileMode) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, address)
	}
	if err := removeStaleSocket(address); err != nil {
		return nil, err
	}
	before := syscall.Umask(0o177) // nobody else, until the mode is set
	l, err := net.Listen(network, address)
	syscall.Umask(before)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(address, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStaleSocket removes the socket of a process that is gone. One that somebody
// answers on is left alone.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("something that is no socket is there")
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		conn.Close()
		return errors.New("another process listens there")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}
