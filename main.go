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
	"runtime/debug"
	"syscall"

	"sidekey/command"
	"sidekey/config"
)

// version is set by the linker for a release.
var version = ""

func main() {
	if len(os.Args) > 1 && os.Args[1] == verifyCommand { // started by the program itself
		os.Exit(verifyDatabase(os.Args[2:], os.Stdout, os.Stderr))
	}
	root := command.New(commands())
	os.Exit(command.Run(root, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// commands is what the command line needs of the program.
func commands() command.Program {
	return command.Program{
		Version: buildVersion(),
		Serve:   serve,
		Start:   startHere,
		Offline: openOffline,
		Database: []command.DatabaseCommand{
			{Use: "backup FILE", Short: "write a copy of the database to a file", Run: backup},
			{Use: "restore FILE", Short: "put a backup in the place of the database, which is kept", Run: restore},
			{Use: "check-db [FILE]", Short: "name every damaged record of the database, or of a backup", Run: checkDatabase},
			{Use: "compact", Short: "give the room of deleted records back to the disk", Run: compact},
		},
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
	p, err := startProgram(path, cfg, log)
	if err != nil {
		fmt.Fprintln(stderr, "sidekey:", err)
		return command.ExitFailed
	}
	ended := p.wait(stop, hangup)
	cancel() // a second signal ends the process at once
	if err := errors.Join(ended, p.stop()); err != nil {
		log.Error("stopped, but not cleanly", "error", err)
		return command.ExitFailed
	}
	log.Info("stopped")
	return command.ExitDone
}

// buildVersion is the release's version, or what the module's build knows of itself.
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
