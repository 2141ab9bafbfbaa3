package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

// kubectl is a stand-in for the kubectl of a cluster: it does with Podman what the lines of the
// documents say, and nothing else. It lets the real kubectl make the configuration. There is no
// cluster, so the test proves nothing about rights in it, the network between pods, the service,
// probes, the group of the volume and its access mode. Podman would build an image from a file with
// the image's name, so it runs in another folder.
const kubectl = `#!/bin/sh
KUBE=DIR/configmaps
case "$*" in
"create configmap "*" --from-file="*)
	KUBECTL "$@" --dry-run=client --output=yaml >"$KUBE/$3.yaml" && echo "configmap/$3 created" ;;
"apply -f "*)
	for map in "$KUBE"/*.yaml; do [ ! -e "$map" ] || set -- "$@" "--configmap=$map"; done
	shift 2 && file=$PWD/$1 && shift && cd "$KUBE" && DIR/bin/docker play kube "$@" "$file" ;;
"exec -it deploy/"*" -c "*" -- "*)
	pod=${3#deploy/}-pod-0 container=$5 && shift 6 && DIR/bin/docker exec -it "$pod-$container" "$@" ;;
*) echo "kubectl $*: unknown here" >&2; exit 64 ;;
esac
`

// TestContainers types the commands for containers that docs/proxies.md shows, in a folder with the
// unchanged files, and checks the effect of each. docker is Podman, with images of Docker Hub made
// from the programs of this machine.
func TestContainers(t *testing.T) {
	t.Parallel()
	if _, err := sidekeytest.Binary(); err != nil { // compiled once for this test and for the image
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "mod", "download").CombinedOutput(); err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	e := startEngine(t)
	e.baseImages()
	c := &containers{engine: e, reader: newTyping(t, e.dir)}
	c.kubectl()

	var shown []string
	for _, b := range readDocument(t, "docs/proxies.md").blocks {
		for line := range strings.Lines(b.text) {
			if strings.HasPrefix(line, "docker ") || strings.HasPrefix(line, "kubectl ") {
				shown = append(shown, strings.TrimSpace(line))
			}
		}
	}
	const compose = "docker compose -f examples/docker-compose.yaml "
	steps := []struct {
		typed string
		then  func()
	}{
		{"docker build -t sidekey .", c.built},
		{compose + "up", c.up},
		{compose + "exec sidekey /sidekey user add alice", func() {
			c.admits("examples_nginx_1", "examples_sidekey_1")
			c.restarts("examples_sidekey_1")
			c.types(compose + "restart nginx")
			c.awaits("503", "-u", "alice:"+typedPassword)
			c.types(compose + "restart sidekey application")
			c.awaits("200", "-u", "alice:"+typedPassword)
			c.keeps(compose)
		}},
		{"kubectl create configmap proxy --from-file=examples/nginx.conf", func() {}},
		{"kubectl apply -f examples/kubernetes.yaml", c.deployed},
		{"kubectl exec -it deploy/orders -c sidekey -- /sidekey user add alice", func() {
			c.admits("orders-pod-0-proxy", "orders-pod-0-sidekey")
		}},
	}
	for i, step := range steps {
		if i >= len(shown) || shown[i] != step.typed {
			t.Fatalf("docs/proxies.md shows %q; it must show %q at %d", shown, step.typed, i)
		}
		c.types(step.typed)
		step.then()
		if t.Failed() {
			return
		}
	}
	if len(shown) > len(steps) {
		t.Errorf("no step types %q", shown[len(steps):])
	}
}

// containers checks the effects of the commands.
type containers struct {
	*engine
	reader *reader
}

// kubectl installs the stand-in.
func (c *containers) kubectl() {
	c.t.Helper()
	if err := os.Mkdir(filepath.Join(c.dir, "configmaps"), 0o755); err != nil {
		c.t.Fatal(err)
	}
	program := testutil.NeedProgram(c.t, "kubectl")
	c.script("kubectl", kubectl, "DIR", c.dir, "KUBECTL", program)
}

// types types a command as the reader of a document does. One that goes on running is typed in
// another terminal.
func (c *containers) types(command string) {
	c.t.Helper()
	if strings.HasSuffix(command, " up") {
		command += " >>" + filepath.Join(c.dir, "up.log") + " 2>&1 &"
	}
	if printed, status := c.reader.types(command + "\n"); status != "0" {
		c.t.Fatalf("$ %s: exit code %s\n%s", command, status, printed)
	}
}

// asks sends a request as a client on the machine and returns the status.
func (c *containers) asks(options ...string) (status string) {
	command := append([]string{"curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://localhost:8000/orders"}, options...)
	status, _ = c.inside(command...)
	return status
}

// awaits waits until a client gets that status.
func (c *containers) awaits(status string, options ...string) {
	c.t.Helper()
	var got string
	for deadline := time.Now().Add(testutil.Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = c.asks(options...); got == status {
			return
		}
	}
	log, _ := os.ReadFile(filepath.Join(c.dir, "up.log"))
	all, _ := c.docker("ps", "--all")
	c.t.Fatalf("a client gets %s, want %s\n%s\n%s", got, status, all, log)
}

// built checks the image: it runs without anything else, and prints the version it was built with.
func (c *containers) built() {
	c.t.Helper()
	if got, _ := c.docker("run", "--rm", "--network=none", "sidekey", "version"); got != "sidekey unknown" {
		c.t.Errorf("version: %q", got)
	}
	c.mustDocker("build", "--build-arg", "VERSION=v1.2.3", "-t", "named", ".")
	if got, _ := c.docker("run", "--rm", "--network=none", "named", "version"); got != "sidekey v1.2.3" {
		c.t.Errorf("version of the named one: %q", got)
	}
	files, err := c.docker("run", "--rm", "--network=none", "--entrypoint", "/bin/sh", "sidekey", "-c", "ls")
	if err == nil {
		c.t.Errorf("there is a shell: %s", files)
	}
}

// up checks what Compose started, before there is a user.
func (c *containers) up() {
	c.t.Helper()
	c.awaits("401")
	c.mustDocker("healthcheck", "run", "examples_sidekey_1")
	if got := c.mustDocker("inspect", "--format", "{{.State.Health.Status}}", "examples_sidekey_1"); got != "healthy" {
		c.t.Errorf("sidekey is %s", got)
	}
	if got := c.mustDocker("port", "examples_nginx_1"); got != "8000/tcp -> 0.0.0.0:8000" {
		c.t.Errorf("published: %s", got)
	}
	c.alone("examples_nginx_1")
	c.locked("examples_sidekey_1", true)
}

// deployed checks the pod, in which every container gave up the rights that it does not need.
func (c *containers) deployed() {
	c.t.Helper()
	c.awaits("401")
	c.locked("orders-pod-0-sidekey", true)
	c.locked("orders-pod-0-proxy", true)
	c.locked("orders-pod-0-application", false)
	infra := c.mustDocker("ps", "--all", "--filter", "name=-infra", "--format", "{{.Names}}")
	c.alone(infra)
}

// alone checks that others on the network of a container reach NGINX and nothing else there.
func (c *containers) alone(container string) {
	c.t.Helper()
	addr := c.mustDocker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container)
	for port, want := range map[string]string{"8000": "401 0", "9191": "000 7", "9192": "000 7", "8080": "000 7"} { // 7: refused
		got, _ := c.inside("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{exitcode}", "http://"+addr+":"+port+"/orders")
		if got != want {
			c.t.Errorf("%s:%s from outside: %s, want %s", addr, port, got, want)
		}
	}
}

// locked checks that the program of a container runs as an unprivileged user, cannot become another
// one, and cannot write its root if readOnly.
func (c *containers) locked(container string, readOnly bool) {
	c.t.Helper()
	process := "/proc/" + c.mustDocker("inspect", "--format", "{{.State.Pid}}", container)
	status, err := c.inside("cat", process+"/status")
	if err != nil {
		c.t.Fatal(err)
	}
	for _, line := range []string{
		"Uid:\t65532\t65532\t65532\t65532", "CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
	} {
		if !strings.Contains(status, "\n"+line+"\n") {
			c.t.Errorf("%s: no %q in\n%s", container, line, status)
		}
	}
	mounts, err := c.inside("cat", process+"/mounts")
	if err != nil {
		c.t.Fatal(err)
	}
	root, _, _ := strings.Cut(mounts, "\n")
	if options := strings.Split(strings.Fields(root)[3], ","); slices.Contains(options, "ro") != readOnly {
		c.t.Errorf("%s: the root is mounted %q", container, options)
	}
}

// admits checks that alice gets through with the typed password, and that the client gets sidekey's
// refusals.
func (c *containers) admits(proxy, sidekey string) {
	c.t.Helper()
	alice := []string{"-u", "alice:" + typedPassword}
	if got := c.asks(alice...); got != "200" {
		log, _ := c.docker("logs", proxy)
		c.t.Errorf("alice gets %s\n%s", got, log)
	}
	if got := c.asks("-u", "alice:wrong"); got != "401" {
		c.t.Errorf("with a wrong password alice gets %s", got)
	}
	bob := exec.Command(filepath.Join(c.dir, "bin", "docker"), "exec", "-i", sidekey, "/sidekey", "user", "add", "bob", "-rate", "1/60s", "-password-stdin")
	bob.Stdin = strings.NewReader("pw-of-bob\n")
	if out, err := bob.CombinedOutput(); err != nil {
		c.t.Fatalf("bob: %v\n%s", err, out)
	}
	if got := c.asks("-u", "bob:pw-of-bob") + " " + c.asks("-u", "bob:pw-of-bob"); got != "200 429" {
		c.t.Errorf("bob, with a rate of one: %s", got)
	}
	body, _ := c.inside("curl", "-s", "-u", "alice:"+typedPassword, "http://localhost:8000/orders")
	if body != "welcome" {
		c.t.Errorf("the application says %q", body)
	}
}

// restarts checks that a program that is killed is started again, with its users.
func (c *containers) restarts(container string) {
	c.t.Helper()
	pid := func() string { return c.mustDocker("inspect", "--format", "{{.State.Pid}}", container) }
	before := pid()
	if out, err := c.inside("kill", "-KILL", before); err != nil {
		c.t.Fatalf("kill: %v\n%s", err, out)
	}
	for deadline := time.Now().Add(testutil.Patience); pid() == before || pid() == "0"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal("it was not started again")
		}
	}
	c.awaits("200", "-u", "alice:"+typedPassword)
}

// keeps checks that users outlive the containers, which are gone at the end.
func (c *containers) keeps(compose string) {
	c.t.Helper()
	c.types(compose + "down")
	if got := c.asks(); got != "000" {
		c.t.Errorf("after down a client gets %s", got)
	}
	c.types(compose + "up")
	c.awaits("200", "-u", fmt.Sprintf("alice:%s", typedPassword))
	c.types(compose + "down")
}
