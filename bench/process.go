//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a process that is measured. It ends when this program ends, even if that is killed.
type process struct {
	cmd *exec.Cmd
}

func start(ctx context.Context, dir, path string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // NGINX then ends its workers
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true, // so that an interrupt from the keyboard reaches only this program
		Pdeathsig: syscall.SIGTERM,
	}
	return &process{cmd}, cmd.Start()
}

func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(p.cmd.WaitDelay, func() { p.cmd.Process.Kill() })
	defer late.Stop()
	p.cmd.Wait()
}

// memoryKiB returns a value of the process's status, such as RssAnon (resident memory without pages
// of files) or VmRSS (with them).
func (p *process) memoryKiB(line string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no line %s", p.cmd.Process.Pid, line)
}

// cpu returns the processor time, user and system, that the process and its children (NGINX's
// workers) have used so far.
func (p *process) cpu() (time.Duration, error) { return cpuOf(p.cmd.Process.Pid) }

func cpuOf(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	used, err := parseStat(string(text))
	if err != nil {
		return 0, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	for child := range strings.FieldsSeq(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		more, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		used += more
	}
	return used, nil
}

// tick is the unit of utime and stime in /proc/PID/stat.
const tick = 10 * time.Millisecond

// parseStat returns the sum of utime and stime in proc_pid_stat(5). The name of the program may
// contain spaces and parentheses; field 3 follows its last parenthesis.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("cannot parse /proc/PID/stat: %q", text)
	}
	user, err := strconv.ParseInt(fields[14-3], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[15-3], 10, 64)
	return time.Duration(user+system) * tick, err
}

// maxBusy bounds the time that a process may be busy without requests.
const maxBusy = 3 * time.Minute

// awaitIdle waits until the process uses no processor time. After its start, sidekey counts all
// password hashes in the background.
func (p *process) awaitIdle(ctx context.Context) error {
	const pause = 300 * time.Millisecond
	for deadline := time.Now().Add(maxBusy); time.Now().Before(deadline); {
		before, err := p.cpu()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		if after-before <= tick {
			return nil
		}
	}
	return fmt.Errorf("%s has been busy for %v without requests", filepath.Base(p.cmd.Path), maxBusy)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
