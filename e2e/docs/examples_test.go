package docs

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"sidekey/config"
	"sidekey/e2e/internal/sidekeytest"
	"sidekey/internal/testutil"
)

var (
	// questionIn matches the paths of checks, also in comments.
	questionIn = regexp.MustCompile(`/auth/(envoy|nginx|forward)(@orders)?`)
	addressIn  = regexp.MustCompile(`127\.0\.0\.1(?::|, port_value: )([0-9]+)`)
	// answerIn matches headers of sidekey's answers; NGINX writes them as variables.
	answerIn = regexp.MustCompile(`(?i)\b(?:upstream_http_)?(x[-_]auth[-_](?:user|org|alias|tags|policies|[a-z]+)|x[-_]ratelimit[-_][a-z]+|x[-_]error[-_][a-z]+|ratelimit(?:[-_]policy)?|retry[-_]after|x[-_]developer[-_]id|www-authenticate)\b`)
)

// Every example uses the address where sidekey listens and a path that it answers, and names
// headers that its answers have. Each example with a check passes every identity header on.
func TestExamplesAgree(t *testing.T) {
	defaults := config.Default()
	known := []string{"8080"} // the application
	for _, listen := range []string{defaults.Check.Listen, defaults.Admin.Listen} {
		_, port, err := net.SplitHostPort(listen)
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, port)
	}

	s := sidekeytest.Start(t, sidekeytest.StoryConfig)
	s.PutUser("ann", sidekeytest.Session("pw", sidekeytest.Grants("orders"), `"rate": 1, "per": 60`, `"quota_max": 9`, `"meta_data": {"developer_id": "d"}`))
	passed, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Asked("/auth/forward", "ann"))
	limited, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Asked("/auth/forward", "ann"))
	stranger, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Asked("/auth/forward", ""))
	if passed.Status != 200 || limited.Status != 429 || stranger.Status != 401 {
		t.Fatalf("asked: %v, %v, %v", passed, limited, stranger)
	}
	var identity []string
	for name := range passed.Header {
		if strings.HasPrefix(name, "X-Auth-") || name == "X-Developer-Id" {
			identity = append(identity, name)
		}
	}
	if len(identity) != 6 {
		t.Fatalf("identity headers: %q", identity)
	}
	s.PutUser("bob", sidekeytest.Session("pw", sidekeytest.Grants("orders")))

	for _, file := range testutil.Glob(t, "examples/*") {
		text := testutil.ReadFile(t, file)
		for _, m := range addressIn.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s: nothing listens at %s", file, m[0])
			}
		}
		for _, path := range questionIn.FindAllString(text, -1) {
			if got, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Asked(path, "bob")); got.Status != 200 {
				t.Errorf("%s: %s is answered %v", file, path, got)
			}
		}
		var named []string
		for _, m := range answerIn.FindAllStringSubmatch(text, -1) {
			name := http.CanonicalHeaderKey(strings.ReplaceAll(m[1], "_", "-"))
			named = append(named, name)
			if passed.Header[name] == nil && limited.Header[name] == nil && stranger.Header[name] == nil {
				t.Errorf("%s: no answer has a header %s", file, m[1])
			}
		}
		if prefix := "{ prefix: x-auth- }"; strings.Contains(text, prefix) {
			named = append(named, identity...)
		}
		asks := questionIn.MatchString(significant(text)) && filepath.Ext(file) != ".cfg" // haproxy.lua passes them on
		if asks || filepath.Ext(file) == ".lua" {
			for _, name := range identity {
				if !slices.Contains(named, name) {
					t.Errorf("%s: %s is not handed on", file, name)
				}
			}
		}
	}
}

// The Compose file fits sidekey, its image and NGINX.
func TestComposeExample(t *testing.T) {
	type service struct {
		Command     []string
		Ports       []string
		Volumes     []string
		NetworkMode string `yaml:"network_mode"`
		Build       struct{ Context string }
		ReadOnly    bool `yaml:"read_only"`
	}
	var file struct {
		Services map[string]service
		Volumes  map[string]any
	}
	testutil.ReadYAML(t, "examples/docker-compose.yaml", &file)
	sidekey, nginx, application := file.Services["sidekey"], file.Services["nginx"], file.Services["application"]
	conf := testutil.ReadFile(t, "examples/nginx.conf")
	dockerfile := testutil.ReadFile(t, "Dockerfile")

	for name, service := range map[string]service{"sidekey": sidekey, "application": application} {
		if service.NetworkMode != "service:nginx" || len(service.Ports) > 0 {
			t.Errorf("%s is not on the loopback of nginx: %q, %q", name, service.NetworkMode, service.Ports)
		}
	}
	if filepath.Clean(filepath.Join("examples", sidekey.Build.Context)) != "." {
		t.Errorf("sidekey is built from %s", sidekey.Build.Context)
	}
	// The root is read-only, so everything that is written must be in the volume: the image's
	// WORKDIR with the data_dir of the built-in configuration.
	if want := "sidekey:/" + config.Default().DataDir; !sidekey.ReadOnly || !slices.Contains(sidekey.Volumes, want) || !strings.Contains(dockerfile, "WORKDIR /\n") {
		t.Errorf("volumes of sidekey: %q, want %s", sidekey.Volumes, want)
	}
	if _, is := file.Volumes["sidekey"]; !is {
		t.Error("there is no volume sidekey")
	}
	if !slices.Equal(nginx.Ports, []string{"8000:8000"}) || !strings.Contains(conf, "listen      8000;") {
		t.Errorf("ports of nginx: %q", nginx.Ports)
	}
	if !slices.Equal(nginx.Volumes, []string{"./nginx.conf:/etc/nginx/nginx.conf:ro"}) {
		t.Errorf("volumes of nginx: %q", nginx.Volumes)
	}
	if !strings.Contains(strings.Join(application.Command, " "), " -p 127.0.0.1:8080 ") || !strings.Contains(conf, "server 127.0.0.1:8080;") {
		t.Errorf("command of the application: %q", application.Command)
	}
}

// pod is a pod of kubernetes.yaml, as far as sidekey is concerned.
type pod struct {
	SecurityContext struct {
		RunAsUser int `yaml:"runAsUser"`
		FSGroup   int `yaml:"fsGroup"`
	} `yaml:"securityContext"`
	Grace      int              `yaml:"terminationGracePeriodSeconds"`
	Volumes    []map[string]any // each has a name
	Containers []struct {
		Name          string
		Command, Args []string
		Ports         []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		StartupProbe struct {
			Exec    struct{ Command []string }
			Timeout int `yaml:"timeoutSeconds"`
		} `yaml:"startupProbe"`
		ReadinessProbe struct{ Exec struct{ Command []string } } `yaml:"readinessProbe"`
		Mounts         []struct {
			Name string
			Path string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
}

// The Kubernetes file fits sidekey, its image and NGINX, and sidekey runs with the configuration in
// it.
func TestKubernetesExample(t *testing.T) {
	var settings struct{ Data map[string]string }
	var deployment struct {
		Spec struct {
			Replicas int
			Strategy struct{ Type string }
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     pod
			}
		}
	}
	var service struct {
		Spec struct {
			Selector map[string]string
			Ports    []struct {
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	var kinds []string
	for document := range strings.SplitSeq(testutil.ReadFile(t, "examples/kubernetes.yaml"), "\n---\n") {
		var kind struct{ Kind string }
		err := yaml.Unmarshal([]byte(document), &kind)
		kinds = append(kinds, kind.Kind)
		switch kind.Kind {
		case "ConfigMap":
			err = errors.Join(err, yaml.Unmarshal([]byte(document), &settings))
		case "Deployment":
			err = errors.Join(err, yaml.Unmarshal([]byte(document), &deployment))
		case "Service":
			err = errors.Join(err, yaml.Unmarshal([]byte(document), &service))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(kinds, " "); got != "ConfigMap PersistentVolumeClaim Deployment Service" {
		t.Errorf("kubernetes.yaml has %s", got)
	}
	template := deployment.Spec.Template
	sidekey, proxy := template.Spec.Containers[0], template.Spec.Containers[1]
	mount := func(name string) string {
		for _, m := range sidekey.Mounts {
			if m.Name == name {
				return m.Path
			}
		}
		return ""
	}

	if deployment.Spec.Replicas != 1 || deployment.Spec.Strategy.Type != "Recreate" {
		t.Error("two pods could hold one database")
	}
	if user := fmt.Sprintf("USER %d:%d\n", template.Spec.SecurityContext.RunAsUser, template.Spec.SecurityContext.FSGroup); !strings.Contains(testutil.ReadFile(t, "Dockerfile"), user) {
		t.Errorf("the image has another user than %s", user)
	}
	if time.Duration(template.Spec.Grace)*time.Second <= config.Default().ShutdownTimeout {
		t.Errorf("it is killed after %d s", template.Spec.Grace)
	}
	file := filepath.Join(mount("config"), "sidecar.toml")
	for _, args := range [][]string{
		sidekey.Args, sidekey.StartupProbe.Exec.Command[1:], sidekey.ReadinessProbe.Exec.Command[1:],
	} {
		if err := parses(slices.Clone(args)); err != nil || !slices.Contains(args, file) {
			t.Errorf("%q: got %v, want %s", args, err, file)
		}
	}
	if sidekey.StartupProbe.Exec.Command[0] != "/sidekey" || sidekey.StartupProbe.Timeout < 5 {
		t.Errorf("startup probe: %+v", sidekey.StartupProbe)
	}
	for _, c := range template.Spec.Containers {
		for _, m := range c.Mounts {
			if !slices.ContainsFunc(template.Spec.Volumes, func(v map[string]any) bool { return v["name"] == m.Name }) {
				t.Errorf("%s: there is no volume %s", c.Name, m.Name)
			}
		}
	}
	if len(proxy.Ports) != 1 || !strings.Contains(testutil.ReadFile(t, "examples/nginx.conf"), fmt.Sprintf("listen      %d;", proxy.Ports[0].ContainerPort)) {
		t.Errorf("ports of the proxy: %+v", proxy.Ports)
	}
	if service.Spec.Ports[0].TargetPort != proxy.Ports[0].Name || !maps.Equal(service.Spec.Selector, template.Metadata.Labels) {
		t.Errorf("the service does not lead to the proxy: %+v", service.Spec)
	}

	text := settings.Data["sidecar.toml"]
	dataDir := fmt.Sprintf("data_dir = %q", mount("data"))
	if !strings.Contains(text, dataDir) {
		t.Fatalf("the database is not in the volume (%s):\n%s", dataDir, text)
	}
	s := sidekeytest.Start(t, "check.listen = \"CHECK\"\nadmin.listen = \"ADMIN\"\n"+strings.Replace(text, dataDir, `data_dir = "DATA"`, 1))
	s.PutUser("bob", sidekeytest.Session("pw"))
	if got, _ := sidekeytest.Send(t, s.CheckAddr, sidekeytest.Asked("/auth/nginx@orders", "bob")); got.Status != 200 {
		t.Errorf("asked: %v", got)
	}
}

// kubectl reads kubernetes.yaml with the types of Kubernetes, and drops a field that they do not
// have.
func TestKubernetesFields(t *testing.T) {
	kubectl := testutil.NeedProgram(t, "kubectl")
	read := 0
	for document := range strings.SplitSeq(testutil.ReadFile(t, "examples/kubernetes.yaml"), "\n---\n") {
		var want struct {
			Kind string
			Rest map[string]any `yaml:",inline"`
		}
		if err := yaml.Unmarshal([]byte(document), &want); err != nil {
			t.Fatal(err)
		}
		change, isChanged := map[string][]string{ // what kubectl can do with it without a cluster
			"Deployment": {"set", "serviceaccount", "--local", "-f", "-", "account", "-o", "yaml"},
			"Service":    {"set", "selector", "--local", "-f", "-", "app=orders", "-o", "yaml"},
		}[want.Kind]
		if !isChanged {
			continue
		}
		read++
		command := exec.Command(kubectl, change...)
		command.Stdin = strings.NewReader(document)
		command.Env = append(os.Environ(), "KUBECONFIG="+os.DevNull)
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		var got map[string]any
		if err := yaml.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		for _, field := range missing(want.Rest, got) {
			t.Errorf("%s: Kubernetes has no %s", want.Kind, field)
		}
	}
	if read != 2 {
		t.Errorf("%d documents were read", read)
	}
}

// missing returns the paths of the values that are in one document and not in the other.
func missing(from, in any) (paths []string) {
	below := func(name string, from, in any) {
		for _, path := range missing(from, in) {
			paths = append(paths, name+path)
		}
	}
	switch from := from.(type) {
	case map[string]any:
		in, _ := in.(map[string]any)
		for name, value := range from {
			below("."+name, value, in[name])
		}
	case []any:
		in, _ := in.([]any)
		for i, value := range from {
			if i < len(in) {
				below(fmt.Sprintf("[%d]", i), value, in[i])
			} else {
				paths = append(paths, fmt.Sprintf("[%d]", i))
			}
		}
	default:
		if from != in {
			paths = append(paths, fmt.Sprintf(" = %v", from))
		}
	}
	return paths
}
