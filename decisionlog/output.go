package decisionlog

import (
	"io"
	"os"
	"syscall"

	"sidekey/internal/ownership"
)

// open opens a log file for appending. If it creates the file, the mode is 0600. "" is stdout,
// which is never closed. It does not write to a link or file of another user, see
// [ownership.OpenAppend].
func open(path string) (io.WriteCloser, error) {
	if path == "" {
		return stdout{}, nil
	}
	return ownership.OpenAppend(path, 0o600)
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
	r, err := os.OpenFile(f.Name(), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	if same, err := r.Stat(); err != nil || !os.SameFile(info, same) {
		return err // the name has moved on to another file
	}
	var last [1]byte
	if _, err := r.ReadAt(last[:], info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = f.Write([]byte{'\n'})
	return err
}
