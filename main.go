// Sidekey is an authentication sidecar: proxies ask it for every request whether the
// credentials are good, the API is granted, and rate and quota are left.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"sidekey/command"
	"sidekey/config"
	"sidekey/internal/version"
	"sidekey/server"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == server.VerifyCommand { // started by the program itself
		os.Exit(server.VerifyDatabase(os.Args[2:], os.Stdout, os.Stderr))
	}
	root := command.New(commands())
	os.Exit(command.Run(root, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// commands is what the command line needs of the program.
func commands() command.Program {
	return command.Program{
		Version: version.String(),
		Serve:   serve,
		Start:   server.StartHere,
		Offline: server.OpenOffline,
		Backup:  server.Backup, Restore: server.Restore, CheckDatabase: server.CheckDatabase, Compact: server.Compact,
	}
}

// serve runs the program until a signal, and returns the exit code.
func serve(path string, stderr io.Writer) int {
	// Before anything is read, so that no signal is lost.
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // the reader of stdout may go: the decision log is not worth the decisions

	cfg, err := config.Load(path)
	if err != nil {
		for _, line := range config.Lines(err) {
			fmt.Fprintln(stderr, "sidekey:", line)
		}
		return command.ExitUsage
	}
	log := cfg.Log.Logger(stderr)
	// A core file would hold passwords and the admin secret.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Warn("core files are not switched off", "error", err)
	}
	p, err := server.Start(path, cfg, log)
	if err != nil {
		fmt.Fprintln(stderr, "sidekey:", err)
		return command.ExitFailed
	}
	ended := p.Wait(stop, hangup)
	cancel() // a second signal ends the process at once
	if err := errors.Join(ended, p.Stop()); err != nil {
		log.Error("stopped, but not cleanly", "error", err)
		return command.ExitFailed
	}
	log.Info("stopped")
	return command.ExitDone
}
