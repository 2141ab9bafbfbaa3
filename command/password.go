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

// longestPassword is more than any hash reads.
const longestPassword = 4096

// passwordFlag adds -password-stdin.
func passwordFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one line end at its end is cut off")
}

// readPassword reads a password from standard input, or asks for it without showing what
// is typed; a new one is asked for twice.
func readPassword(cmd *cobra.Command, isNew bool) (string, error) {
	fromStdin, err := cmd.Flags().GetBool("password-stdin")
	must(err)
	if fromStdin {
		return passwordFrom(cmd.InOrStdin())
	}
	terminal, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(terminal.Fd())) {
		return "", usage("there is no terminal to ask for the password on: use -password-stdin")
	}
	password, err := ask(cmd, terminal, "Password: ")
	if err != nil || !isNew {
		return password, err
	}
	again, err := ask(cmd, terminal, "Again: ")
	if err == nil && again != password {
		err = errors.New("these are two passwords: nothing was changed")
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

// restoreOnInterrupt lets Ctrl-C end the program with a terminal that shows what is typed,
// until the function that it returns is called.
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

// passwordFrom reads all of in. A line end at its end is no part of a password: echo and
// editors put it there.
func passwordFrom(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), longestPassword+1))
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
	case len(text) > longestPassword:
		return "", fmt.Errorf("the password must be at most %d bytes", longestPassword)
	}
	return password, nil
}
