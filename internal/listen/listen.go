// Package listen opens listeners: addresses, unix sockets, inherited sockets, connection bounds,
// certificates.
package listen

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// Open listens on an address of network "tcp" or "unix". mode is the file mode of a unix socket;
// until it is set, only the user that runs the program can connect. Open removes a socket that a
// crashed process left behind.
func Open(network, address string, mode fs.FileMode) (net.Listener, error) {
	if network != "unix" {
		return net.Listen(network, address)
	}
	if err := removeStaleSocket(address); err != nil {
		return nil, err
	}
	before := syscall.Umask(0o177)
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

// removeStaleSocket removes the socket at path if no process listens on it. It returns an error
// if one does, or if the file is not a socket.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("must be a socket, or not exist")
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
