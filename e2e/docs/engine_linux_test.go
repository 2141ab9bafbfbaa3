package docs

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidekey/internal/testutil"
)

// engine runs containers with Podman on what looks like a machine of its own: its name spaces for
// files, network and processes end with the test, and so do all containers, mounts, bridges and
// firewall rules.
type engine struct {
	t       *testing.T
	dir     string // bin/docker, bin/kubectl, and the files of Podman
	process *testutil.Process
}

// engineMachine sets up the name spaces, in which Podman finds its configuration and its state
// in their usual places. It ends when its standard input does, also if the test is killed.
// A machine that has never run Podman lacks these places: an overlay that only the name space
// sees adds them. Mounts of others below /dev/shm are detached, because a file system that is
// still mounted somewhere cannot be mounted again.
const engineMachine = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /run
umount --recursive --lazy /dev/shm || :
mount -t tmpfs tmpfs /dev/shm
place() {
	if [ ! -d "$1/containers" ]; then
		mkdir -p "/run/overlay$1/upper" "/run/overlay$1/work"
		mount -t overlay overlay -o "lowerdir=$1,upperdir=/run/overlay$1/upper,workdir=/run/overlay$1/work" "$1"
		mkdir "$1/containers"
	fi
	mount --bind "$2" "$1/containers"
}
place /etc "$0/etc"
place /var/lib "$0/state"
ip link set lo up
exec catatonit -- cat
`

// engineConfig uses nothing that needs systemd, or more than a machine may allow.
const engineConfig = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
volumes = [%s]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
`

// enginePodman gives builds, and nothing else, the Go folders of this machine.
const enginePodman = `#!/bin/sh
export DISABLE_HC_SYSTEMD=true BUILDAH_FORMAT=docker
if [ "$1" = build ]; then export CONTAINERS_CONF=/etc/containers/build.conf; fi
exec PODMAN "$@"
`

// engineDocker is docker; "docker compose" is podman-compose.
const engineDocker = `#!/bin/sh
tool=podman
if [ "$1" = compose ]; then shift && tool=COMPOSE; fi
PATH=DIR/bin:$PATH exec nsenter --target PID --net --mount --pid --uts --ipc --wd="$PWD" "$tool" "$@"
`

// startEngine returns an engine without images. If none can run here, it skips the test.
func startEngine(t *testing.T) *engine {
	t.Helper()
	if os.Geteuid() != 0 {
		testutil.CannotRun(t, "only root can have name spaces of its own and run containers in them")
	}
	compose, err := filepath.Abs(testutil.NeedProgram(t, "podman-compose", "bin/podman-compose"))
	if err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"podman", "runc", "catatonit", "ip", "nsenter", "busybox", "ldd"} {
		testutil.NeedProgram(t, program)
	}
	e := &engine{t: t, dir: t.TempDir()}
	for _, folder := range []string{"bin", "etc", "state"} {
		if err := os.Mkdir(filepath.Join(e.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	etc := filepath.Join(e.dir, "etc")
	testutil.WriteFile(t, etc, "containers.conf", fmt.Sprintf(engineConfig, ""))
	testutil.WriteFile(t, etc, "build.conf", fmt.Sprintf(engineConfig, fmt.Sprintf(`"%s:/usr/local/go:ro", "%s:/go/pkg/mod", "%s:/root/.cache/go-build"`,
		goEnv("GOROOT"), goEnv("GOMODCACHE"), goEnv("GOCACHE"))))
	testutil.WriteFile(t, etc, "storage.conf", "[storage]\ndriver = \"overlay\"\ngraphroot = \"/var/lib/containers/storage\"\nrunroot = \"/run/containers/storage\"\n")
	testutil.WriteFile(t, etc, "policy.json", `{"default": [{"type": "insecureAcceptAnything"}]}`)
	testutil.WriteFile(t, etc, "registries.conf", `unqualified-search-registries = ["docker.io"]`) // whose images are made below

	before, _ := filepath.Glob("/sys/fs/cgroup/*/libpod_parent")
	t.Cleanup(func() { // what does not end with the name spaces
		after, _ := filepath.Glob("/sys/fs/cgroup/*/libpod_parent")
		for _, folder := range after {
			if !slices.Contains(before, folder) {
				removeGroups(folder)
			}
		}
	})
	machine := exec.Command("sh", "-c", engineMachine, e.dir)
	machine.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	if _, err := machine.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	e.process = testutil.StartCommand(t, machine)
	e.process.Ends = syscall.SIGKILL
	podman := testutil.NeedProgram(t, "podman")
	e.script("podman", enginePodman, "PODMAN", podman)
	e.script("docker", engineDocker, "COMPOSE", compose, "DIR", e.dir, "PID", fmt.Sprint(machine.Process.Pid))

	for deadline := time.Now().Add(testutil.Patience); ; time.Sleep(10 * time.Millisecond) {
		if program, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", machine.Process.Pid)); string(program) == "catatonit\n" {
			break
		}
		select {
		case <-e.process.Done:
			testutil.CannotRun(t, fmt.Sprintf("no name spaces: %v: %s", e.process.Err, e.process.Output.String()))
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("no name spaces within %v", testutil.Patience)
		}
	}
	e.image("probe", map[string]string{"/bin/busybox": testutil.NeedProgram(t, "busybox")})
	if out, err := e.docker("run", "--rm", "probe", "/bin/busybox", "true"); err != nil {
		testutil.CannotRun(t, fmt.Sprintf("the kernel runs no containers: %v: %s", err, out))
	}
	t.Cleanup(func() {
		e.docker("pod", "rm", "--all", "--force")
		e.docker("rm", "--all", "--force", "--time=0")
	})
	return e
}

// removeGroups removes a control group and those below, unless a process is in them.
func removeGroups(folder string) {
	below, _ := filepath.Glob(filepath.Join(folder, "*", "cgroup.procs"))
	for _, processes := range below {
		removeGroups(filepath.Dir(processes))
	}
	os.Remove(folder)
}

// script puts a program into bin.
func (e *engine) script(name, text string, places ...string) {
	e.t.Helper()
	file := testutil.WriteFile(e.t, filepath.Join(e.dir, "bin"), name, strings.NewReplacer(places...).Replace(text))
	if err := os.Chmod(file, 0o755); err != nil {
		e.t.Fatal(err)
	}
}

// docker runs a command and returns what it prints.
func (e *engine) docker(arguments ...string) (printed string, err error) {
	out, err := exec.Command(filepath.Join(e.dir, "bin", "docker"), arguments...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// mustDocker is docker for commands that must succeed.
func (e *engine) mustDocker(arguments ...string) (printed string) {
	e.t.Helper()
	printed, err := e.docker(arguments...)
	if err != nil {
		e.t.Fatalf("docker %s: %v\n%s", strings.Join(arguments, " "), err, printed)
	}
	return printed
}

// inside runs a program of this machine in the name spaces of the containers.
func (e *engine) inside(command ...string) (printed string, err error) {
	enter := []string{"--target", fmt.Sprint(e.process.Cmd.Process.Pid), "--net", "--mount", "--pid", "--"}
	out, err := exec.Command("nsenter", append(enter, command...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// image makes an image. files maps paths in it to files of this machine; "" makes a folder that
// everyone can write, and "->PATH" a link. settings are lines of a Dockerfile.
func (e *engine) image(name string, files map[string]string, settings ...string) {
	e.t.Helper()
	var layer bytes.Buffer
	archive := tar.NewWriter(&layer)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		header, source := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o755}, files[path]
		var content []byte
		switch link, isLink := strings.CutPrefix(source, "->"); {
		case isLink:
			header.Typeflag, header.Linkname = tar.TypeSymlink, link
		case source == "":
			header.Typeflag, header.Mode = tar.TypeDir, 0o1777
		default:
			content = []byte(testutil.ReadFile(e.t, source))
			header.Typeflag, header.Size = tar.TypeReg, int64(len(content))
		}
		if err := archive.WriteHeader(header); err != nil {
			e.t.Fatal(err)
		}
		if _, err := archive.Write(content); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		e.t.Fatal(err)
	}
	arguments := []string{"import", "--quiet", "--change", "ENV PATH=/usr/local/go/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, line := range settings {
		arguments = append(arguments, "--change", line)
	}
	load := exec.Command(filepath.Join(e.dir, "bin", "docker"), append(arguments, "-", name)...)
	load.Stdin = io.Reader(&layer)
	if out, err := load.CombinedOutput(); err != nil {
		e.t.Fatalf("docker import %s: %v\n%s", name, err, out)
	}
}

// baseImages makes stand-ins for the images of Docker Hub, which the test does not use: from
// programs of this machine, with the settings that our files rely on.
func (e *engine) baseImages() {
	e.t.Helper()
	shell := func(further map[string]string) map[string]string {
		files := map[string]string{"/tmp": "", "/bin/busybox": testutil.NeedProgram(e.t, "busybox")}
		applets, err := exec.Command("busybox", "--list").Output()
		if err != nil {
			e.t.Fatal(err)
		}
		for applet := range strings.FieldsSeq(string(applets)) {
			if applet != "busybox" {
				files["/bin/"+applet] = "->busybox"
			}
		}
		maps.Copy(files, further)
		return files
	}
	e.image("docker.io/library/busybox:1", shell(nil), `CMD ["sh"]`)
	// The build uses the modules of this machine and downloads none.
	e.image("docker.io/library/golang:1.26", shell(map[string]string{
		"/usr/local/go": "", "/go": "", "/root": "", "/etc/ssl/certs/ca-certificates.crt": "/etc/ssl/certs/ca-certificates.crt",
	}), "ENV GOPATH=/go", "ENV GOTOOLCHAIN=local", "ENV GOPROXY=off", "ENV HOME=/root")

	path := testutil.NeedProgram(e.t, "nginx")
	program := shell(map[string]string{
		"/usr/sbin/nginx": path, "/etc/nginx": "", "/usr/share/nginx": "", "/var/log/nginx": "", "/var/lib/nginx": "",
		"/etc/passwd": "/etc/passwd", "/etc/group": "/etc/group",
	})
	libraries, err := exec.Command("ldd", path).Output()
	if err != nil {
		e.t.Fatalf("ldd %s: %v", path, err)
	}
	for _, library := range regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1) {
		program[library] = library
	}
	e.image("docker.io/library/nginx:1", program, `CMD ["nginx", "-g", "daemon off;"]`)
	e.image("docker.io/nginxinc/nginx-unprivileged:1", program, `CMD ["nginx", "-g", "daemon off;"]`, "USER 101")
}
