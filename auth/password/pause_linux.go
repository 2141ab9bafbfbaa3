package password

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// mostTimers bounds the files that refusals may hold open at once.
const mostTimers = 64

// timers are those that nobody waits for; nil: not made yet. They are never closed.
var timers = func() chan *timer {
	free := make(chan *timer, mostTimers)
	for range mostTimers {
		free <- nil
	}
	return free
}()

// timer is one of the system's (timerfd_create(2)).
type timer struct {
	fd   int
	file *os.File // for fd; to read from it waits without a thread
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timer{fd, os.NewFile(uintptr(fd), "timer")}, nil
}

// pauseExactly is [time.Sleep] by a timer of the system. The runtime's own timers fire on a
// grid of milliseconds that starts when a processor goes idle, that is when a hash has ended,
// so they would show how long it took. Where the system has no timer to give, or all are in
// use, it is time.Sleep.
func pauseExactly(until time.Time) {
	select {
	case t := <-timers:
		t, err := t.pause(until)
		timers <- t
		if err == nil {
			return
		}
	default:
	}
	time.Sleep(time.Until(until))
}

// pause waits until then, and returns the timer to use the next time.
func (t *timer) pause(until time.Time) (next *timer, err error) {
	if t == nil {
		if t, err = newTimer(); err != nil {
			return nil, err
		}
	}
	d := time.Until(until)
	if d <= 0 {
		return t, nil // the timer takes zero for never
	}
	if err := unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return t, os.NewSyscallError("timerfd_settime", err)
	}
	var expirations [8]byte
	_, err = t.file.Read(expirations[:])
	return t, err
}
