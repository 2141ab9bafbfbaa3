package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sidekey/internal/testutil"
)

// supervised are the system calls that wait for a supervisor, besides openat if it opens for
// writing, and write if that is requested.
var supervised = []uint32{
	unix.SYS_PWRITE64, unix.SYS_FDATASYNC, unix.SYS_FSYNC, unix.SYS_FTRUNCATE,
	unix.SYS_LINKAT, unix.SYS_UNLINKAT, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_MKDIRAT,
}

// call is a system call that is about to happen.
type call struct {
	name   string // as in the manual: "pwrite64"
	path   string // of the file, or of the name that is removed or created
	target string // the other name of linkat and renameat
	offset int64  // of pwrite64; size of ftruncate
	data   []byte // of pwrite64, if the supervisor requests it
}

func (c call) String() string {
	return fmt.Sprintf("%s %s %s %d", c.name, filepath.Base(c.path), filepath.Base(c.target), c.offset)
}

// answer is the fate of a call: 0 lets it happen; an error makes it fail.
type answer = syscall.Errno

// killed is the answer to a call of a process that has just been killed: it never happens.
const killed = answer(1 << 12)

// supervision is what a test does about the calls of a process.
type supervision struct {
	// decide may take its time: only the calling thread waits for it.
	decide func(call) answer
	// allowed gets the calls that happen, in their order.
	allowed func(call)
	// withData requests call.data.
	withData bool
	// writes also supervises write, which connections and logs use too.
	writes bool
	// about reports whether calls on a path are supervised; nil supervises none.
	about func(path string) bool
}

// supervisor supervises the calls of one process.
type supervisor struct {
	supervision
	listener int
	one      sync.Mutex    // held from when a call may happen until allowed has returned
	started  chan struct{} // closed when the process is known
	done     chan struct{} // closed when it has ended
	ended    chan struct{} // closed when no more calls come
}

// filter is the seccomp program: supervised calls wait, all others happen.
func filter(calls []uint32) []unix.SockFilter {
	const (
		load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		set   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret   = unix.BPF_RET | unix.BPF_K
		// Offsets in struct seccomp_data, whose arguments have 64 bits.
		number, argument = 0, 16
	)
	f := []unix.SockFilter{{Code: load, K: number}}
	for i, n := range calls {
		left := uint8(len(calls) - i - 1)
		f = append(f, unix.SockFilter{Code: equal, Jt: left + 4, K: n})
	}
	return append(f,
		unix.SockFilter{Code: equal, Jf: 2, K: unix.SYS_OPENAT},
		unix.SockFilter{Code: load, K: argument + 2*8},
		unix.SockFilter{Code: set, Jt: 1, K: unix.O_WRONLY | unix.O_RDWR},
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF},
	)
}

// start starts a process and supervises the calls of all its threads.
func (s *supervisor) start(t testing.TB, cmd *exec.Cmd) error {
	t.Helper()
	ready, result := make(chan error), make(chan error, 1)
	go func() {
		// The filter applies to this thread and what it starts. The thread ends with this function.
		runtime.LockOSThread()
		calls := supervised
		if s.writes {
			calls = append(slices.Clone(calls), unix.SYS_WRITE)
		}
		listener, err := install(filter(calls))
		s.listener = listener
		ready <- err
		if err == nil {
			result <- cmd.Start()
		}
	}()
	if err := <-ready; err != nil {
		testutil.CannotRun(t, fmt.Sprintf("this system has no seccomp user notification: %v", err))
	}
	s.started, s.done, s.ended = make(chan struct{}), make(chan struct{}), make(chan struct{})
	go s.serve()
	defer close(s.started)
	return <-result
}

func install(f []unix.SockFilter) (listener int, err error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// stop ends the supervision of a process that has ended.
func (s *supervisor) stop() {
	close(s.done)
	<-s.ended
}

// notification and response are structs of the kernel's linux/seccomp.h.
type notification struct {
	id          uint64
	pid, flags  uint32
	number      int32
	arch        uint32
	instruction uint64
	args        [6]uint64
}

type response struct {
	id    uint64
	value int64
	errno int32
	flags uint32
}

func (s *supervisor) serve() {
	defer close(s.ended)
	defer unix.Close(s.listener)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		poll := []unix.PollFd{{Fd: int32(s.listener), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 20)
		select {
		case <-s.done:
			return
		default:
		}
		if n == 0 || errors.Is(err, unix.EINTR) {
			continue
		}
		var got notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&got))); errno != 0 {
			if poll[0].Revents&unix.POLLHUP != 0 {
				<-s.done
				return
			}
			continue
		}
		running.Go(func() { s.answer(got) })
	}
}

func (s *supervisor) answer(got notification) {
	reply := func(errno syscall.Errno) bool {
		r := response{id: got.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if errno != 0 {
			r = response{id: got.id, errno: -int32(errno)}
		}
		_, _, failed := unix.Syscall(unix.SYS_IOCTL, uintptr(s.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&r)))
		return failed == 0
	}
	c, ok := s.describe(got)
	if !ok || s.about == nil || !s.about(c.path) {
		reply(0)
		return
	}
	<-s.started
	var a answer
	if s.decide != nil {
		a = s.decide(c)
	}
	if a == killed {
		return
	}
	s.one.Lock()
	defer s.one.Unlock()
	// A call that a signal interrupted is made, and supervised, again.
	if reply(a) && a == 0 && s.allowed != nil {
		s.allowed(c)
	}
}

// describe reads the arguments of a call from the process that makes it.
func (s *supervisor) describe(n notification) (c call, ok bool) {
	pid := strconv.Itoa(int(n.pid))
	file := func(fd uint64) string {
		name, _ := os.Readlink("/proc/" + pid + "/fd/" + strconv.Itoa(int(int32(fd))))
		return name
	}
	text := func(at uint64) string {
		b := memory(pid, at, 4096)
		name, _, _ := strings.Cut(string(b), "\x00")
		if !filepath.IsAbs(name) {
			dir, _ := os.Readlink("/proc/" + pid + "/cwd")
			name = filepath.Join(dir, name)
		}
		return name
	}
	switch n.number {
	case unix.SYS_PWRITE64:
		c = call{name: "pwrite64", path: file(n.args[0]), offset: int64(n.args[3])}
		if s.withData {
			c.data = memory(pid, n.args[1], int(n.args[2]))
		}
	case unix.SYS_WRITE:
		c = call{name: "write", path: file(n.args[0])}
	case unix.SYS_FDATASYNC:
		c = call{name: "fdatasync", path: file(n.args[0])}
	case unix.SYS_FSYNC:
		c = call{name: "fsync", path: file(n.args[0])}
	case unix.SYS_FTRUNCATE:
		c = call{name: "ftruncate", path: file(n.args[0]), offset: int64(n.args[1])}
	case unix.SYS_LINKAT:
		c = call{name: "linkat", path: text(n.args[1]), target: text(n.args[3])}
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		c = call{name: "renameat", path: text(n.args[1]), target: text(n.args[3])}
	case unix.SYS_UNLINKAT:
		c = call{name: "unlinkat", path: text(n.args[1])}
	case unix.SYS_MKDIRAT:
		c = call{name: "mkdirat", path: text(n.args[1])}
	case unix.SYS_OPENAT:
		c = call{name: "openat", path: text(n.args[1])}
	}
	return c, c.path != ""
}

// memory reads at most n bytes of a process at an address.
func memory(pid string, at uint64, n int) []byte {
	f, err := os.Open("/proc/" + pid + "/mem")
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, n)
	read, _ := f.ReadAt(b, int64(at))
	return b[:read]
}
