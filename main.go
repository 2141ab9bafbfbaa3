// Sidekey is an authentication sidecar: for every request, a proxy asks it whether the credentials
// are valid, the API is granted, and the rate and the quota allow the request.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
		os.Exit(server.Verify(os.Args[2:], os.Stdout, os.Stderr))
	}
	root := command.New(command.Program{
		Version:       version.String(),
		Serve:         serve,
		Start:         start,
		Offline:       offline,
		Backup:        onDatabase(server.Backup),
		Restore:       onDatabase(server.Restore),
		CheckDatabase: onDatabase(server.CheckDatabase),
		Compact:       onDatabase(server.Compact),
	})
	os.Exit(command.Run(root, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// serve runs sidekey until a signal and returns the exit code.
func serve(path string, stderr io.Writer) int {
	// First, so that no signal is lost.
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE) // if the reader of the decision log on stdout ends, sidekey goes on

	cfg, err := config.Load(path)
	if err != nil {
		for _, line := range config.Lines(err) {
			fmt.Fprintln(stderr, "sidekey:", line)
		}
		return command.ExitUsage
	}
	log := cfg.Log.Logger(stderr)
	// A core file would contain passwords and the admin secret.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Warn("cannot disable core files", "error", err)
	}
	s, err := server.Start(path, cfg, log)
	if err != nil {
		fmt.Fprintln(stderr, "sidekey:", err)
		return command.ExitFailed
	}
	ended := s.Wait(stop, hangup)
	cancel() // a second signal ends the process at once
	if err := errors.Join(ended, s.Stop()); err != nil {
		log.Error("stopped with errors", "error", err)
		return command.ExitFailed
	}
	log.Info("stopped")
	return command.ExitDone
}

// start is [command.Program.Start].
func start(cfg config.Config, log *slog.Logger) (*command.Running, error) {
	s, err := server.Start("", cfg, log)
	if err != nil {
		return nil, err
	}
	return &command.Running{
		Check:  s.CheckAddr(),
		Admin:  s.AdminAddr(),
		Secret: s.AdminSecret(),
		Wait:   func(stop context.Context) error { return s.Wait(stop, nil) },
		Stop:   s.Stop,
	}, nil
}

// offline is [command.Program.Offline].
func offline(cfg config.Config, create bool, log *slog.Logger) (*command.Offline, error) {
	o, err := server.Open(cfg, create, log)
	return (*command.Offline)(o), err
}

// onDatabase makes a function of package server the function of a command.
func onDatabase(run func(server.DatabaseOptions) (server.DatabaseOutcome, error)) func(command.DatabaseOptions) (command.DatabaseOutcome, error) {
	return func(o command.DatabaseOptions) (command.DatabaseOutcome, error) {
		outcome, err := run(server.DatabaseOptions(o))
		return command.DatabaseOutcome(outcome), err
	}
}
