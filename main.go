// Sidekey is an authentication sidecar: proxies ask it for every request whether the
// credentials are good, the API is granted, and rate and quota are left.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"sidekey/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // failed or refused
	exitUsage  = 2 // wrong usage or bad configuration
)

// version is set by the linker for a release.
var version = ""

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// command is one word behind the program's name.
type command struct {
	name, help string
	run        func(args []string, stdout, stderr io.Writer) int
}

var commands = []command{
	{"serve", "answer proxies and the admin API (the default)", serve},
	{"check-config", "say what is wrong with a configuration", checkConfig},
	{"backup", "write a copy of the database to a file", databaseCommand("backup", 1, backup)},
	{"restore", "put a backup in the place of the database, which is kept", databaseCommand("restore", 1, restore)},
	{"check-db", "name every damaged record of the database, or of a backup", databaseCommand("check-db", 0, checkDatabase)},
	{"compact", "give the room of deleted records back to the disk", databaseCommand("compact", 0, compact)},
	{"version", "print the version", printVersion},
	{verifyCommand, "", verifyDatabase},
}

// run is main without its process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	for _, c := range commands {
		if c.name == name {
			return c.run(args, stdout, stderr)
		}
	}
	if name == "help" {
		usage(stdout)
		return exitDone
	}
	fmt.Fprintf(stderr, "sidekey: there is no command %q\n", name)
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: sidekey [command] [flags]")
	for _, c := range commands {
		if c.help != "" { // without: started by the program itself
			fmt.Fprintf(w, "  %-14s %s\n", c.name, c.help)
		}
	}
}

// configFlag reads the flags that every command has. ok is false when the command
// ends here with the exit code.
func configFlag(name string, args []string, stderr io.Writer) (path string, code int, ok bool) {
	flags := flag.NewFlagSet("sidekey "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&path, "config", "", "`file`; by default sidecar.toml in this folder where there is one, else the built-in defaults")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return "", exitDone, false
	case err != nil:
		return "", exitUsage, false
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "sidekey %s: %q is one argument too many\n", name, flags.Arg(0))
		return "", exitUsage, false
	}
	if path == "" {
		if _, err := os.Stat(defaultConfigFile); err == nil {
			path = defaultConfigFile
		}
	}
	return path, exitDone, true
}

const defaultConfigFile = "sidecar.toml"

func serve(args []string, _, stderr io.Writer) int {
	path, code, ok := configFlag("serve", args, stderr)
	if !ok {
		return code
	}
	// Before anything is read, so that no signal is lost.
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)

	cfg, err := config.Load(path)
	if err != nil {
		printProblems(stderr, err)
		return exitUsage
	}
	log := cfg.Log.Logger(stderr)
	p, err := startProgram(path, cfg, log)
	if err != nil {
		fmt.Fprintln(stderr, "sidekey:", err)
		return exitFailed
	}
	ended := p.wait(stop, hangup)
	cancel() // a second signal ends the process at once
	if err := errors.Join(ended, p.stop()); err != nil {
		log.Error("stopped, but not cleanly", "error", err)
		return exitFailed
	}
	log.Info("stopped")
	return exitDone
}

func checkConfig(args []string, stdout, stderr io.Writer) int {
	path, code, ok := configFlag("check-config", args, stderr)
	if !ok {
		return code
	}
	if _, err := config.Load(path); err != nil {
		printProblems(stderr, err)
		return exitUsage
	}
	if path == "" {
		path = "the built-in configuration"
	}
	fmt.Fprintln(stdout, path, "is good")
	return exitDone
}

// printProblems prints all that is wrong with a configuration, a line each.
func printProblems(w io.Writer, err error) {
	for _, line := range config.Lines(err) {
		fmt.Fprintln(w, "sidekey:", line)
	}
}

func printVersion(_ []string, stdout, _ io.Writer) int {
	fmt.Fprintln(stdout, "sidekey", buildVersion())
	return exitDone
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
