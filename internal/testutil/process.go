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

// patience is how long anything may take that normally takes milliseconds.
const Patience = 20 * time.Second

// process is a program that a test started.
type Process struct {
	t      *testing.T
	name   string
	Cmd    *exec.Cmd
	Ends   syscall.Signal // on what it ends well
	Output LockedBuffer
	Done   chan struct{} // closed when it has ended
	Err    error         // how, once done is closed
}

// start runs a program until the test ends. Its output is shown when the test fails.
func Start(t *testing.T, path string, args ...string) *Process {
	t.Helper()
	return StartCommand(t, exec.Command(path, args...))
}

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

// stop ends the process, where it has not ended before, and returns how it ended.
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

// await looks until there is what is wanted, and fails the test when there is not.
func (p *Process) Await(what string, there func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); {
		if there() {
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

// awaitPort waits until somebody listens on addr.
func (p *Process) AwaitPort(addr string) {
	p.t.Helper()
	p.Await(addr+" is listened on", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

// residentKiB is VmRSS of the process: all its memory that is not paged out.
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
