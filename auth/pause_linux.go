package auth

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// timers are used again: a refusal would make one and close it for each wrong password.
var timers sync.Pool // of *timer

// timer is one of the system's (timerfd_create(2)).
type timer struct {
	fd   int
	file *os.File // for fd; to read from it waits without a thread
}

func newTimer() (*timer, error) {
	if t, ok := timers.Get().(*timer); ok {
		return t, nil
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timer{fd, os.NewFile(uintptr(fd), "timer")}, nil
}

// pauseExactly is [time.Sleep] by a timer of the system, which is late by some microseconds.
// Those of the runtime are late by up to a millisecond, and how much depends on when a
// processor had nothing to do any more: after a hash, on how long that took. Where the system
// has none to give, it is time.Sleep.
func pauseExactly(d time.Duration) {
	if d <= 0 {
		return
	}
	until := time.Now().Add(d)
	t, err := newTimer()
	if err == nil {
		err = t.pause(d)
	}
	if err != nil {
		time.Sleep(time.Until(until))
	}
}

func (t *timer) pause(d time.Duration) error {
	err := unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
	if err == nil {
		var expirations [8]byte
		_, err = t.file.Read(expirations[:])
	}
	if err != nil {
		t.file.Close()
		return err
	}
	timers.Put(t)
	return nil
}
