package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxPassword bounds a password, in bytes. No hash reads that much.
const maxPassword = 4096

// passwordFlag adds -password-stdin.
func passwordFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("password-stdin", false, "read the password from standard input, without one line end after it")
}

// readPassword reads a password from standard input, or prompts for it without an echo. It prompts for
// a new password twice.
func readPassword(cmd *cobra.Command, isNew bool) (string, error) {
	fromStdin, err := cmd.Flags().GetBool("password-stdin")
	must(err)
	if fromStdin {
		return passwordFrom(cmd.InOrStdin())
	}
	terminal, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", usage("cannot ask for the password without a terminal: use -password-stdin")
	}
	password, err := ask(cmd, terminal, "Password: ")
	if err != nil || !isNew {
		return password, err
	}
	again, err := ask(cmd, terminal, "Again: ")
	if err == nil && again != password {
		err = errors.New("the two passwords differ: nothing was changed")
	}
	return password, err
}

func ask(cmd *cobra.Command, terminal *os.File, prompt string) (string, error) {
	defer restoreOnInterrupt(int(terminal.Fd()))()
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	defer fmt.Fprintln(cmd.ErrOrStderr())
	text, err := term.ReadPassword(int(terminal.Fd()))
	if err == nil && len(text) == 0 {
		err = errNoPassword
	}
	return string(text), err
}

// restoreOnInterrupt makes Ctrl-C switch the echo of the terminal back on before it ends the program,
// until done is called.
func restoreOnInterrupt(terminal int) (done func()) {
	before, err := term.GetState(terminal)
	if err != nil {
		return func() {}
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		select {
		case <-interrupted:
			term.Restore(terminal, before)
			os.Exit(ExitFailed)
		case <-ended:
		}
	}()
	return func() {
		signal.Stop(interrupted)
		close(ended)
	}
}

var errNoPassword = errors.New("missing password")

// passwordFrom reads all of in. One line end after the password is not part of it: echo and editors
// add one.
func passwordFrom(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), maxPassword+1))
	if err != nil {
		return "", err
	}
	password, ended := strings.CutSuffix(string(text), "\n")
	if ended {
		password = strings.TrimSuffix(password, "\r")
	}
	switch {
	case password == "":
		return "", errNoPassword
	case len(text) > maxPassword:
		return "", fmt.Errorf("the password must be at most %d bytes", maxPassword)
	}
	return password, nil
}
