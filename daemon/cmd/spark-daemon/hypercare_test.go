package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
)

// tokenFile is a configuration file beside a file with a token.
func tokenFile(config string) func(string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		switch path {
		case "spark.yaml":
			return []byte(config), nil
		case "/run/secrets/grafana-token":
			return []byte("glsa_very-secret\n"), nil
		case "/empty":
			return []byte("\n"), nil
		}
		return noFile(path)
	}
}

var withConfig = env(map[string]string{wire.EnvConfig: "spark.yaml"})

func TestTheExampleOfTheDocumentationIsRead(t *testing.T) {
	o, values, err := resolve(nil, withConfig, tokenFile("LOG_LEVEL: debug\n"+hypercareExample))
	if err != nil {
		t.Fatal(err)
	}
	got := o.Hypercare
	for _, k := range got.Operators {
		if name, err := chain.KeyName(k.Key); err != nil || name != k.Name {
			t.Errorf("the key of %s is that of %q (%v)", k.Name, name, err)
		}
	}
	want := daemon.HypercareOptions{
		Plan: "/etc/spark/hypercare.md", Profile: "compose",
		Operators: []wire.OperatorKey{{Name: "alice", Roles: []string{"operations-lead"}}, {Name: "bob", Roles: []string{"development-lead"}}},
		Targets:   []daemon.ScrapeTarget{{URL: "http://redis-exporter:9121/metrics", Labels: map[string]string{"job": "redis", "instance": "spark-redis"}}},
		Commands:  map[string]daemon.NamedCommand{"disk-free": {Run: []string{"/bin/df", "-h", "/data"}, Timeout: 10 * time.Second}},
		Grafana:   &daemon.GrafanaOptions{URL: "http://grafana:3000", Token: "glsa_very-secret"},
		Docker:    &daemon.DockerOptions{Host: "unix:///var/run/docker.sock"},
	}
	for i := range want.Operators {
		want.Operators[i].Key = got.Operators[i].Key
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the example (-want +got):\n%s", d)
	}
	if o.LogLevel != "debug" || len(values) != len(settings()) {
		t.Errorf("the settings beside the section: level %q, %d values", o.LogLevel, len(values))
	}
}

func TestMistakesInTheSectionNameLineAndKey(t *testing.T) {
	line := func(prefix string) string { // of the example, with its indentation
		for l := range strings.Lines(hypercareExample) {
			if strings.HasPrefix(strings.TrimSpace(l), prefix) {
				return l
			}
		}
		t.Fatalf("the example has no line %q", prefix)
		return ""
	}
	alice := line("key: alice")
	tests := []struct{ name, old, new, want string }{
		{"unknown key", "  profile:", "  profil:", "line 8: hypercare: unknown key \"profil\": there are commands, docker"},
		{"set twice", "  profile: compose\n", "  profile: compose\n  profile: compose\n", "line 9: hypercare: profile is set twice"},
		{"profile", "profile: compose", "profile: swarm", "line 8: hypercare.profile: \"swarm\": want one of all-in-one, compose, kubernetes"},
		{"relative plan", "/etc/spark/hypercare.md\n", "hypercare.md\n", "hypercare.plan: \"hypercare.md\": want an absolute path"},
		{"empty plan", "/etc/spark/hypercare.md\n", "\n", "hypercare.plan: want a plain value"},
		{"no key at all", "key: alice+", "key: malice", "hypercare.operators[0].key"},
		{"somebody else's key", "- name: alice", "- name: carol", "hypercare.operators[0]: the key is that of \"alice\", not of \"carol\""},
		{"two people, one key", line("key: bob"), strings.Replace(alice, "alice+", "alice+", 1), "hypercare.operators[1]: the key is that of \"alice\""},
		{"the same person twice", line("key: bob"), alice, "hypercare.operators[1]"},
		{"no roles", line("roles: [dev"), "", "hypercare.operators[1]: roles is missing"},
		{"empty roles", "[development-lead]", "[]", "hypercare.operators[1].roles: want a list"},
		{"role", "[development-lead]", "[Boss!]", "hypercare.operators[1].roles[0]: \"Boss!\": want a role"},
		{"role twice", "[development-lead]", "[a, a]", "hypercare.operators[1].roles[1]: \"a\": is there twice"},
		{"address", "http://redis-exporter:9121", "redis-exporter:9121", "hypercare.targets[0].url"},
		{"port", "redis-exporter:9121", "redis-exporter:99999", "want a port"},
		{"label", "{job: redis,", "{__job: redis,", "\"__job\" is no name of a label"},
		{"relative command", "/bin/df", "df", "hypercare.commands.disk-free.run[0]: \"df\": want an absolute path"},
		{"nothing to run", "run: [/bin/df, -h, /data]", "run: []", "hypercare.commands.disk-free.run: want a list"},
		{"time", "timeout: 10s", "timeout: 10", "hypercare.commands.disk-free.timeout: \"10\": want a time from 1s to 10m"},
		{"name of a command", "disk-free:", "disk free:", "want a name of letters"},
		{"token file", "/run/secrets/grafana-token", "/gone", "hypercare.grafana.token_file: \"/gone\""},
		{"empty token file", "/run/secrets/grafana-token", "/empty", "want a file with a token"},
		{"token in the file", "token_file: /run/secrets/grafana-token", "token: glsa_x", "unknown key \"token\""},
		{"host", "unix:///var/run/docker.sock", "docker", "hypercare.docker.host"},
		{"an alias", "profile: compose", "profile: *x", "yaml"},
		{"section twice", "  docker:", "hypercare: {}\nother:", "hypercare is set twice"},
	}
	for _, tt := range tests {
		text := strings.Replace(hypercareExample, tt.old, tt.new, 1)
		if text == hypercareExample {
			t.Errorf("%s: the example does not have %q", tt.name, tt.old)
			continue
		}
		_, _, err := resolve(nil, withConfig, tokenFile(text))
		if !errors.Is(err, errUsage) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "spark.yaml") {
			t.Errorf("%s: %v, want a usage error with %q", tt.name, err, tt.want)
		}
	}
	if _, _, err := resolve(nil, withConfig, tokenFile("hypercare: yes\n")); err == nil || !strings.Contains(err.Error(), "line 1: hypercare: want keys") {
		t.Errorf("a section without keys: %v", err)
	}
}

func TestTwoOperatorsCannotShareAKey(t *testing.T) {
	// The same key under another name: the verifier of bob with alice's key bytes.
	seed := bytes.Repeat([]byte{7}, 32)
	_, one, err := chain.GenerateKey(bytes.NewReader(seed), "alice")
	if err != nil {
		t.Fatal(err)
	}
	_, two, err := chain.GenerateKey(bytes.NewReader(seed), "bob")
	if err != nil {
		t.Fatal(err)
	}
	config := "hypercare:\n  operators:\n    - {name: alice, key: " + one + ", roles: [a]}\n    - {name: bob, key: " + two + ", roles: [b]}\n"
	if _, _, err := resolve(nil, withConfig, tokenFile(config)); err == nil || !strings.Contains(err.Error(), "line 4: hypercare.operators[1]: bob has the key of alice") {
		t.Errorf("two people with one key: %v", err)
	}
}

func TestConfigPrintShowsTheSectionWithoutSecrets(t *testing.T) {
	text := strings.NewReplacer("-h, /data", "--password, hunter2", "http://redis-exporter", "http://user:hunter3@redis-exporter").Replace(hypercareExample)
	o, _, err := resolve(nil, withConfig, tokenFile(text))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printHypercare(&out, o.Hypercare); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"hypercare.plan=\"/etc/spark/hypercare.md\"\t# file", "hypercare.operators[1]=\"bob development-lead bob+", "job=redis", "user:***@redis-exporter",
		"hypercare.commands.disk-free=\"/bin/df *** (2 arguments) within 10s\"", "hypercare.docker.host",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("config print = %s, want %q", out.String(), want)
		}
	}
	for _, secret := range []string{"hunter2", "hunter3", "glsa_"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("config print shows %q", secret)
		}
	}
	if s := hypercareSecrets(o.Hypercare); !slices.Contains(s, "glsa_very-secret") || !slices.Contains(s, "hunter3") {
		t.Errorf("masked in logs are %q, want the token and the password", s)
	}
}

func TestEscalationAndPrometheusAreRead(t *testing.T) {
	vars := map[string]string{
		wire.EnvEscalation1: "https://hooks.example/one", wire.EnvEscalation3: "https://hooks.example/three-secret",
		wire.EnvPrometheusURL: "http://reader:hunter4@prometheus:9090",
	}
	o, values, err := resolve(nil, env(vars), noFile)
	if err != nil {
		t.Fatal(err)
	}
	if o.Escalation != [3]string{"https://hooks.example/one", "", "https://hooks.example/three-secret"} || o.PrometheusURL != vars[wire.EnvPrometheusURL] {
		t.Errorf("escalation %q, Prometheus %q", o.Escalation, o.PrometheusURL)
	}
	var out bytes.Buffer
	if err := printConfig(&out, values); err != nil || strings.Contains(out.String(), "three-secret") || strings.Contains(out.String(), "hunter4") {
		t.Errorf("config print (%v) shows a secret:\n%s", err, out.String())
	}
	for name, text := range map[string]string{wire.EnvEscalation2: "telegram", wire.EnvPrometheusURL: "prometheus:9090"} {
		if _, _, err := resolve(nil, env(map[string]string{name: text}), noFile); !errors.Is(err, errUsage) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v, want a usage error", name, text, err)
		}
	}
}
