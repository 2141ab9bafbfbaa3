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

// process is one that is measured. It ends with this program, however that ends.
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
		Setpgid:   true, // an interrupt from the keyboard comes from here alone
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

// memoryKiB is a line of the process's status: RssAnon, what it holds besides pages of
// files, or VmRSS, both.
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

// cpu is the processor time that the process and its children (NGINX's workers) have used
// until now, user and system.
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

// parseStat returns utime and stime of proc_pid_stat(5), together. The name of the program
// may hold spaces and parentheses; what follows its last parenthesis starts with field 3.
func parseStat(text string) (time.Duration, error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/PID/stat is not understood: %q", text)
	}
	user, err := strconv.ParseInt(fields[14-3], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[15-3], 10, 64)
	return time.Duration(user+system) * tick, err
}

// longestBusy is how long a process may have something to do that nobody asked for.
const longestBusy = 3 * time.Minute

// settle waits until the process has nothing left to do: after its start sidekey counts
// all password hashes in the background.
func (p *process) settle(ctx context.Context) error {
	const pause = 300 * time.Millisecond
	for deadline := time.Now().Add(longestBusy); time.Now().Before(deadline); {
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
	return fmt.Errorf("%s has been busy for %v without being asked", filepath.Base(p.cmd.Path), longestBusy)
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
