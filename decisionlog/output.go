package decisionlog

import (
	"io"
	"os"
	"syscall"
)

// open opens a log file for appending. If it creates the file, the mode is 0600. "" is stdout,
// which is never closed.
func open(path string) (io.WriteCloser, error) {
	if path == "" {
		return stdout{}, nil
	}
	// O_NONBLOCK makes a FIFO without a reader an error instead of a wait.
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
}

type stdout struct{}

func (stdout) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (stdout) Close() error                { return nil }

// endLine ends a line that a crash or a full disk has cut.
func endLine(out io.WriteCloser) error {
	f, ok := out.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return err
	}
	r, err := os.Open(f.Name())
	if err != nil {
		return err
	}
	defer r.Close()
	var last [1]byte
	if _, err := r.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte{'\n'})
	return err
}
