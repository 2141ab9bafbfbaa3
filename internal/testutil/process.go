package testutil

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience bounds everything that normally takes milliseconds.
const Patience = 20 * time.Second

// Process is a program that a test started.
type Process struct {
	t      *testing.T
	name   string
	Cmd    *exec.Cmd
	Ends   syscall.Signal // ends it with exit code 0, or is SIGKILL
	Output LockedBuffer
	Done   chan struct{} // closed when it has ended
	Err    error         // of its end, once Done is closed
}

// Start starts a program that runs until the test ends. If the test fails, it logs the output.
func Start(t *testing.T, path string, args ...string) *Process {
	t.Helper()
	return StartCommand(t, exec.Command(path, args...))
}

// StartCommand is [Start] for a command.
func StartCommand(t *testing.T, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{t: t, name: filepath.Base(cmd.Path), Cmd: cmd, Ends: syscall.SIGTERM, Done: make(chan struct{})}
	p.Cmd.Stdout, p.Cmd.Stderr = &p.Output, &p.Output
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Err = p.Cmd.Wait()
		close(p.Done)
	}()
	t.Cleanup(func() {
		if err := p.Stop(); err != nil && p.Ends != syscall.SIGKILL {
			t.Errorf("%s after %v: %v", p.name, p.Ends, err)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.Output.String())
		}
	})
	return p
}

// Stop ends the process, unless it has ended, and returns the error of its end.
func (p *Process) Stop() error {
	p.Cmd.Process.Signal(p.Ends) // an error means that it has ended
	select {
	case <-p.Done:
		return p.Err
	case <-time.After(Patience):
		p.Cmd.Process.Kill()
		<-p.Done
		return errors.New("had to be killed")
	}
}

// Await waits until a condition holds. If it does not within Patience, or the process ends, the
// test fails.
func (p *Process) Await(what string, holds func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
		if holds() {
			return
		}
		select {
		case <-p.Done:
			p.t.Fatalf("%s ended before %s: %v\n%s", p.name, what, p.Err, p.Output.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	p.t.Fatalf("%s: not within %v: %s\n%s", p.name, Patience, what, p.Output.String())
}

// AwaitPort waits until a process listens on addr.
func (p *Process) AwaitPort(addr string) {
	p.t.Helper()
	p.Await("a process listens on "+addr, func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// ResidentKiB returns VmRSS of the process: all its memory that is not swapped out.
func (p *Process) ResidentKiB() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				p.t.Fatal(err)
			}
			return kib
		}
	}
	p.t.Fatal("no VmRSS")
	return 0
}
