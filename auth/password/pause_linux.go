package password

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxTimers bounds the files that refusals may hold open at once.
const maxTimers = 64

// timers are the idle timers; nil stands for one that was not made yet. They are never closed.
var timers = func() chan *timer {
	free := make(chan *timer, maxTimers)
	for range maxTimers {
		free <- nil
	}
	return free
}()

// timer is a timer of the system (timerfd_create(2)).
type timer struct {
	fd   int
	file *os.File // for fd; reading from it waits without a thread
}

func newTimer() (*timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &timer{fd, os.NewFile(uintptr(fd), "timer")}, nil
}

// pauseExactly is [time.Sleep] until a moment, by a timer of the system. The runtime's own timers fire
// on a grid of milliseconds that starts when a processor goes idle, which is when a hash has ended, so
// they would show how long it took. If the system has no timer, or all are in use, pauseExactly falls
// back on time.Sleep.
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

// pause waits until a moment and returns the timer to use next time.
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
