package deploy_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ofTheImage are variables that the compose file does not pass through: the image
// sets them, or they make sense for one process only, or they name files.
var ofTheImage = []string{
	"SPARK_BIND", "SPARK_DATA_DIR", "SCHEDULER_ID", "SPARK_CONFIG", "SPARK_TLS_CERT", "SPARK_TLS_KEY",
}

// A setting that the compose file forgets has no effect on a fleet, silently.
func TestComposePassesEverySettingThrough(t *testing.T) {
	compose, env := read(t, "compose.yaml"), read(t, "../../core/wire/env.go")
	daemons, _, _ := strings.Cut(env, "// Environment variables of the console")
	names := regexp.MustCompile(`"([A-Z_0-9]+)"`).FindAllStringSubmatch(daemons, -1)
	if len(names) < 30 {
		t.Fatalf("only %d variables found in env.go", len(names))
	}
	for _, n := range names {
		passed := regexp.MustCompile(`(?m)^ +` + n[1] + `: `).MatchString(compose)
		if passed == slices.Contains(ofTheImage, n[1]) {
			t.Errorf("%s: passed through %v, in ofTheImage %v, want one of the two", n[1], passed, !passed)
		}
	}
}

func TestComposeHoldsNoSecret(t *testing.T) {
	compose := read(t, "compose.yaml")
	secret := regexp.MustCompile(`(?m)^ +([A-Z_]*(?:TOKEN|SECRET|PASSWORD|URLS|WEBHOOK_URL)): *(.*)$`)
	found := secret.FindAllStringSubmatch(compose, -1)
	if len(found) < 6 {
		t.Fatalf("only %d secrets found", len(found))
	}
	for _, m := range found {
		if want := "${" + m[1] + ":-}"; m[2] != want {
			t.Errorf("%s is %q, want %q", m[1], m[2], want)
		}
	}
}

// Without Docker or Compose the targets say so in one line and exit with 2.
func TestTargetsSayWhatIsMissing(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("sh is not installed")
	}
	const engine = "#!/bin/sh\n[ $1 = version ]\n" // answers, but has no Compose
	for _, tt := range []struct{ name, docker, verb, want string }{
		{"no docker", "", "up", "needs Docker"},
		{"no docker", "", "image", "needs Docker"},
		{"no engine", "#!/bin/sh\nexit 1\n", "down", "does not answer"},
		{"no compose", engine, "up", "needs Compose"},
		{"no compose", engine, "down", "needs Compose"},
		{"unknown verb", engine, "sideways", "usage"},
	} {
		bin := t.TempDir()
		if tt.docker != "" {
			if err := os.WriteFile(filepath.Join(bin, "docker"), []byte(tt.docker), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(sh, "stack.sh", tt.verb)
		cmd.Env = []string{"PATH=" + bin}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		var exit *exec.ExitError
		err := cmd.Run()
		if text := errs.String(); !errors.As(err, &exit) || exit.ExitCode() != 2 || strings.Count(text, "\n") != 1 || !strings.Contains(text, tt.want) {
			t.Errorf("%s, %s: %v, said %q, want exit status 2 and one line with %q", tt.name, tt.verb, err, text, tt.want)
		}
	}
}

// The wrapper asks the server of REDIS_URL, and lets the caller have the last word.
func TestRedisCLIAsksTheConfiguredServer(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("sh is not installed")
	}
	const auth = "--no-auth-warning"
	for _, tt := range []struct{ url, want string }{
		{"", "GET k"},
		{"redis://spark-redis:6379", auth + " -u redis://spark-redis:6379 GET k"},
		{"rediss://u:p@h:1/2?wait=1", auth + " -u rediss://u:p@h:1/2 GET k"},
		{"redis://a:1,redis://b:2", auth + " -c -u redis://a:1 GET k"},
		{"redis+sentinel://a:1/main", "GET k"},
	} {
		bin := t.TempDir()
		program := filepath.Join(bin, "redis-cli")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		script := strings.ReplaceAll(read(t, "redis-cli"), "/usr/local/bin/redis-cli /usr/bin/redis-cli", program)
		cmd := exec.Command("sh", "-c", script, "redis-cli", "GET", "k")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "REDIS_URL=" + tt.url}
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("REDIS_URL=%s: redis-cli %s (%v), want %s", tt.url, got, err, tt.want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
