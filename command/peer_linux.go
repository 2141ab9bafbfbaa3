package command

import (
	"net"

	"golang.org/x/sys/unix"
)

// peerUser returns the user id of the process that called listen(2) on a unix socket (SO_PEERCRED,
// unix(7)). For a socket of systemd, that is root.
func peerUser(conn net.Conn) (uid int, known bool) {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	var peer *unix.Ucred
	if controlErr := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); controlErr != nil || err != nil {
		return 0, false
	}
	return int(peer.Uid), true
}
