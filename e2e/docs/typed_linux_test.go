package docs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"golang.org/x/sys/unix"

	"sidekey/e2e/internal/proxytest"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// typedPassword is the password that the reader types at every prompt.
const typedPassword = "test123"

// goesOn matches commands that run until they are stopped: the reader types the next command in
// another terminal, once the program is ready. A command that replaces another one in front of the
// application stops it first.
var goesOn = regexp.MustCompile(`^(?:make run|(?:\./)?sidekey serve|(?:\./)?sidekey dev|nginx|envoy|caddy run|haproxy|traefik|prometheus)\b`)

// stopped are the documents whose first command expects that sidekey does not run.
var stopped = []string{"README.md", "docs/getting-started.md", "docs/operations.md"}

// brief are variables of the Makefile with which targets that take minutes to hours do a little of
// each thing. Nothing judges what they measure then.
var brief = []string{
	"SAMPLES=3", "COST=8", "TIMING=-kinds 8 -leaders 1 -judge=false",
	"FLOOD=-rounds 1 -time 500ms -rate 1000 -names 1000 -judge=false",
	"CHECKS=2000",
	"ROWS=^users/10/uniform", "BENCH=-stored 10,20 -active 10 -connections 2 -runs 1 -time 1s",
	"FAULTS=nochecksum:TestFlippedBit", "CRASH=-run TestFlippedBit", "SCHEDULES=100", "MUTANTS=300", "BACKUPS=2",
}

// makeFlags returns brief in the form in which make reads it from its environment, with a folder
// for the results.
func makeFlags(results string) string {
	var words []string
	for _, variable := range append([]string{"RESULTS=" + results}, brief...) {
		words = append(words, strings.ReplaceAll(variable, " ", `\ `))
	}
	return strings.Join(words, " ")
}

// The Makefile has each of these variables.
func TestDocsBrief(t *testing.T) {
	makefile := testutil.ReadFile(t, "Makefile")
	for _, variable := range append([]string{"RESULTS="}, brief...) {
		if name, _, _ := strings.Cut(variable, "="); !strings.Contains(makefile, "$("+name+")") {
			t.Errorf("the Makefile does not use %s", name)
		}
	}
}

// TestDocs types what README.md and docs/ show into a shell, document by document: in a folder with
// the files of the repository, on a terminal, with sidekey in the PATH and an application behind
// the proxy. It changes only addresses and folders of the machine, which are the test's own.
func TestDocs(t *testing.T) {
	for _, d := range documents(t) {
		if !slices.ContainsFunc(d.blocks, func(b block) bool {
			return b.language == "console" || b.language == "sh" && !allNotRun(b.text)
		}) {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(d.name), ".md"), func(t *testing.T) {
			r := newReader(t)
			if !slices.Contains(stopped, d.name) {
				r.types("sidekey serve >>sidekey.log 2>&1 &\n" + r.untilReady)
			}
			for _, b := range d.blocks {
				if wrong := r.follow(b); wrong != "" {
					t.Errorf("%s: %s", b.at, wrong)
				}
			}
			for _, m := range r.application.Take() {
				if user := m.Values("X-Auth-User"); !slices.Equal(user, []string{"alice"}) || len(m.Values("Authorization")) > 0 {
					t.Errorf("the application got X-Auth-User %q and Authorization %q", user, m.Values("Authorization"))
				}
			}
			if t.Failed() {
				for _, command := range slices.Sorted(maps.Keys(notRun)) {
					t.Logf("not run: %-18s %s", command, notRun[command])
				}
				for _, name := range []string{"sidekey.log", "proxy.log"} {
					log, _ := os.ReadFile(filepath.Join(r.dir, name))
					t.Logf("the end of %s:\n%s", name, log[max(0, len(log)-2000):])
				}
			}
		})
	}
}

// allNotRun reports whether a block has nothing to run.
func allNotRun(text string) bool {
	for line := range strings.Lines(text) {
		command, _, _ := strings.Cut(line, " #")
		if why(strings.TrimSpace(command)) == "" {
			return false
		}
	}
	return true
}

// reader is a person who follows a document.
type reader struct {
	t            *testing.T
	dir, machine string // the working directory, and the folder that stands for /
	places       *strings.Replacer
	names        *strings.Replacer // the reverse
	untilReady   string            // commands that wait for sidekey, for a proxy and for Prometheus
	untilProxy   string
	untilWatched string

	application *sidekeytest.Upstream

	shell    *exec.Cmd
	commands io.Writer     // names of files to run
	statuses chan string   // exit codes of files that have run
	ended    chan struct{} // closed when the shell has ended
	screen   *os.File      // receives the output
	keyboard *os.File      // the other end of the terminal
	from     int64         // offset up to which the output was read
	typed    int64         // offset up to which prompts were answered
	number   int
}

func newReader(t *testing.T) *reader {
	t.Helper()
	program, err := sidekeytest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	bash := testutil.NeedProgram(t, "bash")
	r := &reader{t: t, dir: t.TempDir(), machine: t.TempDir()}
	check, admin, client, events, prometheus := testutil.FreeAddr(t), testutil.FreeAddr(t), testutil.FreeAddr(t), testutil.FreeAddr(t), testutil.FreeAddr(t)
	r.application = sidekeytest.StartUpstream(t)
	application := r.application.Addr
	port := func(addr string) string { _, port, _ := net.SplitHostPort(addr); return port }
	pairs := [][2]string{
		{"127.0.0.1:9191", check}, {"127.0.0.1:9192", admin}, {"127.0.0.1:8080", application}, {"127.0.0.1:9000", events},
		{"127.0.0.1, port_value: 9191", "127.0.0.1, port_value: " + port(check)},
		{"127.0.0.1, port_value: 8080", "127.0.0.1, port_value: " + port(application)},
		{"0.0.0.0, port_value: 8000", "127.0.0.1, port_value: " + port(client)},
		{"localhost:8000", client}, {"listen      8000;", "listen " + client + ";"}, {"bind :8000", "bind " + client},
		{"web.address=:8000", "web.address=" + client},
		{"path=/tmp/prometheus", "path=" + r.machine + "/tmp/prometheus --web.listen-address=" + prometheus},
		{"\n:8000 {", "\n:" + port(client) + " {\n\tbind 127.0.0.1"}, {"abns@sidekey", "abns@sidekey-" + port(client)},
	}
	for _, folder := range []string{"/usr/local/bin", "/etc/sidekey", "/etc/systemd/system", "/var/lib/sidekey", "/var/backups", "/tmp/proxy"} {
		pairs = append(pairs, [2]string{folder, r.machine + folder})
	}
	var there, back []string
	for _, pair := range pairs {
		there, back = append(there, pair[0], pair[1]), append(back, pair[1], pair[0])
	}
	r.places, r.names = strings.NewReplacer(there...), strings.NewReplacer(append(back, r.dir, "…")...)
	r.untilReady = "until sidekey healthcheck >/dev/null 2>&1; do sleep 0.05; done\n"
	// Traefik listens before it knows its routes.
	r.untilProxy = fmt.Sprintf("while [[ $(curl -s -o /dev/null -w '%%{http_code}' http://%s/) =~ 000|404 ]]; do sleep 0.05; done\n", client)
	r.untilWatched = fmt.Sprintf("until curl -sf http://%s/-/ready >/dev/null; do kill -0 $! && sleep 0.05; done\n", prometheus)
	r.clone()
	r.furnish(program)
	r.start(bash)
	return r
}

// newTyping returns a reader in the repository itself whose commands are not changed. Programs in
// the folder bin of the machine take precedence.
func newTyping(t *testing.T, machine string) *reader {
	t.Helper()
	bash := testutil.NeedProgram(t, "bash")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, dir: here, machine: machine, places: strings.NewReplacer(), names: strings.NewReplacer()}
	r.start(bash)
	return r
}

// clone makes the folder look like a clone of the repository.
func (r *reader) clone() {
	r.t.Helper()
	here, err := os.Getwd()
	if err != nil {
		r.t.Fatal(err)
	}
	entries, err := os.ReadDir(here)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, entry := range entries {
		switch name := entry.Name(); name {
		case "examples", "sidecar.toml", "sidekey", "data", ".git":
		default:
			if err := os.Symlink(filepath.Join(here, name), filepath.Join(r.dir, name)); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	testutil.WriteFile(r.t, r.dir, "sidecar.toml", r.places.Replace(testutil.ReadFile(r.t, "sidecar.toml")))
	if err := os.Mkdir(filepath.Join(r.dir, "examples"), 0o755); err != nil {
		r.t.Fatal(err)
	}
	for _, file := range testutil.Glob(r.t, "examples/*") {
		testutil.WriteFile(r.t, r.dir, file, r.places.Replace(testutil.ReadFile(r.t, file)))
	}
}

// systemctl is a stand-in that starts, reloads and stops the program as the unit says.
const systemctl = `#!/bin/sh
unit=MACHINE/etc/systemd/system/sidekey.service
run() { sed -n "s/^$1=//p" "$unit"; }
case "$1 $2" in
"enable --now") [ "$3" = sidekey.socket ] && exit ;; # sockets are held in TestRestartRefusesNobody
esac
case "$1" in
start | enable)
	# As the unit's own user sees it: what it keeps is in its folder.
	mkdir -p -m 0700 MACHINE/var/lib/sidekey
	eval "$(run ExecStart) >>sidekey.log 2>&1 &"
	echo $! >MACHINE/pid
	until sidekey healthcheck -config MACHINE/etc/sidekey/sidecar.toml >/dev/null 2>&1; do sleep 0.05; done ;;
reload) MAINPID=$(cat MACHINE/pid) && eval "$(run ExecReload)" ;;
stop) kill "$(cat MACHINE/pid)" && while [ -e "/proc/$(cat MACHINE/pid)/exe" ]; do sleep 0.02; done ;; # it may be a zombie
restart) "$0" stop && "$0" start ;;
daemon-reload) ;;
*) echo "systemctl $1: unknown here" >&2; exit 1 ;;
esac
`

// furnish gives the machine its folders, sidekey and systemctl.
func (r *reader) furnish(program string) {
	r.t.Helper()
	for _, folder := range []string{"bin", "usr/local/bin", "etc/systemd/system", "var/lib", "var/backups"} {
		if err := os.MkdirAll(filepath.Join(r.machine, folder), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := os.Symlink(program, filepath.Join(r.machine, "bin", "sidekey")); err != nil {
		r.t.Fatal(err)
	}
	file := testutil.WriteFile(r.t, filepath.Join(r.machine, "bin"), "systemctl", strings.ReplaceAll(systemctl, "MACHINE", r.machine))
	if err := os.Chmod(file, 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// start starts a shell on a terminal. It runs one file after the other.
func (r *reader) start(bash string) {
	r.t.Helper()
	keyboard, terminal := openTerminal(r.t)
	screen, err := os.Create(filepath.Join(r.machine, "screen"))
	if err != nil {
		r.t.Fatal(err)
	}
	files, commands, err1 := os.Pipe()
	statuses, status, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		r.t.Fatal(err)
	}
	search := []string{filepath.Join(r.machine, "bin"), os.Getenv("PATH")}
	for _, p := range proxytest.Proxies {
		if found := p.Find(); found != "" {
			folder, err := filepath.Abs(filepath.Dir(found))
			if err != nil {
				r.t.Fatal(err)
			}
			search = append(search, folder)
		}
	}
	r.statuses, r.ended = make(chan string), make(chan struct{})
	r.screen, r.keyboard, r.commands = screen, keyboard, commands
	r.shell = exec.Command(bash, "--norc", "--noprofile", "-c", `while read -r -u 3 file; do source "$file" 3<&- 4>&-; echo "$?" >&4; done`)
	r.shell.Dir = r.dir
	r.shell.Env = append(os.Environ(), "PATH="+strings.Join(search, ":"), "HOME="+r.machine,
		"XDG_CONFIG_HOME="+r.machine, "XDG_DATA_HOME="+r.machine, "GOMODCACHE="+goEnv("GOMODCACHE"), "GOCACHE="+goEnv("GOCACHE"),
		"MAKEFLAGS="+makeFlags(filepath.Join(r.machine, "results")),
		// This way the build depends on no folder, so all readers share the build cache.
		"CGO_ENABLED=0", "GOFLAGS="+strings.TrimSpace(goEnv("GOFLAGS")+" -trimpath"))
	r.shell.Stdin, r.shell.Stdout, r.shell.Stderr = terminal, screen, screen
	r.shell.ExtraFiles = []*os.File{files, status}
	r.shell.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := r.shell.Start(); err != nil {
		r.t.Fatal(err)
	}
	for _, f := range []*os.File{terminal, files, status} {
		f.Close()
	}
	go func() {
		defer close(r.ended)
		var line string
		for {
			if _, err := fmt.Fscanln(statuses, &line); err != nil {
				return
			}
			r.statuses <- line
		}
	}()
	r.t.Cleanup(func() {
		// The shell waits for what it started; processes that a command left behind are killed.
		r.types("[ -z \"$(jobs -p)\" ] || kill $(jobs -p); wait\n")
		commands.Close()
		syscall.Kill(-r.shell.Process.Pid, syscall.SIGKILL)
		r.shell.Wait()
		statuses.Close()
		keyboard.Close()
		screen.Close()
	})
}

func goEnv(name string) string {
	out, _ := exec.Command("go", "env", name).Output()
	return string(bytes.TrimSpace(out))
}

// openTerminal returns both ends of a terminal.
func openTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		testutil.CannotRun(t, err.Error())
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return keyboard, terminal
}

// follow does what a block says and returns what went wrong.
func (r *reader) follow(b block) (wrong string) {
	switch {
	case b.language == "sh":
		printed, status := r.types("set -eE; trap 'echo \"this failed: $BASH_COMMAND\"' ERR\n" + r.script(b.text) + "trap - ERR; set +eE\n")
		if status != "0" {
			return fmt.Sprintf("exit code %s:\n%s", status, printed)
		}
	case b.language == "console":
		for command := range strings.SplitSeq("\n"+b.text, "\n$ ") {
			if command == "" {
				continue
			}
			lines := strings.SplitAfter(strings.TrimSuffix(command, "\n")+"\n", "\n")
			n := 1
			for ; n < len(lines) && (strings.HasSuffix(lines[n-1], "\\\n") || strings.HasPrefix(lines[n], "> ")); n++ {
				lines[n] = strings.TrimPrefix(lines[n], "> ")
			}
			typed, want := strings.Join(lines[:n], ""), strings.Join(lines[n:], "")
			printed, status := r.types(r.script(typed))
			if printed != "" && !strings.HasSuffix(printed, "\n") {
				printed += "\n" // which is not visible
			}
			if !looksLike(want, printed) || status != "0" && want == "" {
				return fmt.Sprintf("$ %sexit code %s, printed\n%swant\n%s", typed, status, printed, want)
			}
		}
	case b.language == "toml":
		return r.configure(b.text)
	case b.file != "":
		testutil.WriteFile(r.t, r.dir, b.file, r.places.Replace(b.text))
	}
	return ""
}

// script returns the commands for the shell: without those that are not run, and with those that go
// on running in the background.
func (r *reader) script(text string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		command, _, _ := strings.Cut(line, " #")
		command = strings.TrimSpace(command)
		switch {
		case why(command) != "":
			lines.WriteString(": not run\n")
		case goesOn.MatchString(command):
			log, wait := "sidekey.log", r.untilReady
			if i := slices.IndexFunc(proxytest.Proxies, func(p proxytest.Proxy) bool { return strings.HasPrefix(command, p.Name+" ") }); i >= 0 {
				if proxytest.Proxies[i].Find() == "" {
					testutil.CannotRun(r.t, proxytest.Proxies[i].Name+" is not installed")
				}
				lines.WriteString(`if [ -n "$PROXY" ]; then kill $PROXY; wait $PROXY; fi` + "\n")
				log, wait = "proxy.log", "PROXY=$!\n"+r.untilProxy+"kill -0 $PROXY\n"
			}
			if strings.HasPrefix(command, "prometheus ") {
				testutil.NeedProgram(r.t, "prometheus")
				wait = r.untilWatched
			}
			lines.WriteString(command + " >>" + log + " 2>&1 &\n" + wait)
		default:
			lines.WriteString(line)
		}
	}
	return lines.String()
}

// prompts match what a person answers with a password.
var prompts = regexp.MustCompile(`(?m)(Password: |Again: |Enter host password for user '[^']*':)\n?`)

// types lets the shell run commands. It returns their output as the document would show it, and the
// exit code of the last one.
func (r *reader) types(commands string) (printed, status string) {
	r.t.Helper()
	r.number++
	file := testutil.WriteFile(r.t, r.machine, fmt.Sprintf("typed-%d", r.number), r.places.Replace(commands))
	fmt.Fprintln(r.commands, file)
	for deadline := time.After(10 * testutil.Patience); status == ""; { // some compile first
		select {
		case status = <-r.statuses:
		case <-r.ended:
			r.shell.Wait()
			status = fmt.Sprint(r.shell.ProcessState.ExitCode())
		case <-time.After(5 * time.Millisecond):
			at := prompts.FindAllStringIndex(r.read(r.typed), -1)
			for range at {
				fmt.Fprintln(r.keyboard, typedPassword)
			}
			if len(at) > 0 {
				r.typed += int64(at[len(at)-1][1])
			}
		case <-deadline:
			status = "none: this does not end"
		}
	}
	printed = r.read(r.from)
	r.from += int64(len(printed))
	r.typed = r.from
	return r.names.Replace(strings.ReplaceAll(prompts.ReplaceAllString(printed, ""), "\r", "")), status
}

// read returns the output since an offset.
func (r *reader) read(from int64) string {
	text, err := os.ReadFile(r.screen.Name())
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text[from:])
}

// configure puts keys into sidecar.toml, and waits until a running sidekey has reloaded them.
func (r *reader) configure(text string) (wrong string) {
	file := filepath.Join(r.dir, "sidecar.toml")
	var whole, added map[string]any
	_, err1 := toml.DecodeFile(file, &whole)
	_, err2 := toml.Decode(r.places.Replace(text), &added)
	if err := errors.Join(err1, err2); err != nil {
		return err.Error()
	}
	merge(whole, added)
	var merged bytes.Buffer
	if err := toml.NewEncoder(&merged).Encode(whole); err != nil {
		return err.Error()
	}
	log := filepath.Join(r.dir, "sidekey.log")
	reloads := func() int {
		text, _ := os.ReadFile(log)
		return bytes.Count(text, []byte("reloaded the configuration"))
	}
	before := reloads()
	testutil.WriteFile(r.t, r.dir, "sidecar.toml", merged.String())
	if printed, status := r.types("sidekey check-config\n"); status != "0" {
		return printed
	}
	if _, status := r.types("sidekey healthcheck 2>/dev/null\n"); status != "0" {
		return "" // it reads the file when it starts
	}
	for deadline := time.Now().Add(testutil.Patience); reloads() == before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return "the configuration was not reloaded"
		}
	}
	return ""
}

// merge puts the values of from into a table, and appends the tables of its arrays.
func merge(into, from map[string]any) {
	for key, value := range from {
		table, isTable := value.(map[string]any)
		there, _ := into[key].(map[string]any)
		list, isList := value.([]map[string]any)
		listed, _ := into[key].([]map[string]any)
		switch {
		case isTable && there != nil:
			merge(there, table)
		case isList:
			into[key] = append(listed, list...)
		default:
			into[key] = value
		}
	}
}
