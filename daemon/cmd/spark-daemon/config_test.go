package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-ta/spark/daemon"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func noFile(name string) ([]byte, error) { return nil, fmt.Errorf("open %s: no such file", name) }

func TestFlagWinsOverVariableOverFileOverDefault(t *testing.T) {
	file := func(string) ([]byte, error) { return []byte("LOG_LEVEL: warn\n"), nil }
	withFile := map[string]string{"SPARK_CONFIG": "spark.yaml"}
	both := map[string]string{"SPARK_CONFIG": "spark.yaml", "LOG_LEVEL": "error"}
	tests := []struct {
		name  string
		flags map[string]string
		vars  map[string]string
		want  string
		from  source
	}{
		{"default", nil, nil, "info", fromDefault},
		{"file", nil, withFile, "warn", fromFile},
		{"variable", nil, both, "error", fromVariable},
		{"flag", map[string]string{"log-level": "debug"}, both, "debug", fromFlag},
		{"file named by flag", map[string]string{"spark-config": "x.yaml"}, nil, "warn", fromFile},
		{"empty variable is none", nil, map[string]string{"LOG_LEVEL": ""}, "info", fromDefault},
	}
	for _, tt := range tests {
		o, values, err := resolve(tt.flags, env(tt.vars), file)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if o.LogLevel != tt.want {
			t.Errorf("%s: level %q, want %q", tt.name, o.LogLevel, tt.want)
		}
		for _, v := range values {
			if v.name == "LOG_LEVEL" && v.from != tt.from {
				t.Errorf("%s: from %q, want %q", tt.name, v.from, tt.from)
			}
		}
	}
}

func TestWrongValuesNameVariableValueAndWhatIsAllowed(t *testing.T) {
	tests := []struct {
		vars map[string]string
		want []string
	}{
		{map[string]string{"SCHEDULER_LEASE_SEC": "1"}, []string{"SCHEDULER_LEASE_SEC", `"1"`, "variable", "2 to 3600"}},
		{map[string]string{"EXECUTOR_PORT": "http"}, []string{"EXECUTOR_PORT", `"http"`, "0 to 65535"}},
		{map[string]string{"SPARK_ROLES": "executor,king"}, []string{"SPARK_ROLES", "king", "executor, gateway, observer"}},
		{map[string]string{"SPARK_ROLES": "executor,executor"}, []string{"each once"}},
		{map[string]string{"MARKET_SOURCE": "kraken"}, []string{"MARKET_SOURCE", "binance, sim"}},
		{map[string]string{"MARKET_SOURCE": "gateway"}, []string{"not in this version"}},
		{map[string]string{"REDIS_URL": "http://x"}, []string{"REDIS_URL", "redis://"}},
		{map[string]string{"REDIS_URL": "redis://h:99999"}, []string{"REDIS_URL", "redis://h:99999", "1 to 65535"}},
		{map[string]string{"REDIS_URL": "redis+sentinel://u:pw@a,b"}, []string{"REDIS_URL", "redis+sentinel://u:***@a,b", "name of the master"}},
		{map[string]string{"REDIS_URL": "redis://h:6379/x"}, []string{"REDIS_URL", "redis://h:6379/x", "number of a database"}},
		{map[string]string{"NOTIFY_WEBHOOK_URL": "https://h:99999/x"}, []string{"NOTIFY_WEBHOOK_URL", "https://h:99999", "0 to 65535"}},
		{map[string]string{"SPARK_TLS_CERT": "gone.pem", "SPARK_TLS_KEY": "gone.key"}, []string{"SPARK_TLS_CERT", "gone.pem"}},
		{map[string]string{"TRUSTED_PROXIES": "10.0.0.0"}, []string{"TRUSTED_PROXIES", "10.0.0.0/8"}},
		{map[string]string{"SPARK_BIND": "example.com"}, []string{"SPARK_BIND", "IP address"}},
		{map[string]string{"SCHEDULER_ENABLED": "no"}, []string{"SCHEDULER_ENABLED", "true or false"}},
		{map[string]string{"SPARK_TLS_CERT": "a.pem"}, []string{"SPARK_TLS_CERT", "SPARK_TLS_KEY"}},
		{map[string]string{"MARKET_SOURCE": "sim", "BINANCE_REST_URL": "http://x"}, []string{"MARKET_SOURCE", "BINANCE_REST_URL"}},
		{map[string]string{"SPARK_CONFIG": "gone.yaml"}, []string{"SPARK_CONFIG", "gone.yaml"}},
		{map[string]string{"LOG_LEVEL": "INFO"}, []string{"LOG_LEVEL", `"INFO"`, "debug, info, warn, error"}},
	}
	for _, tt := range tests {
		_, _, err := resolve(nil, env(tt.vars), noFile)
		if !errors.Is(err, errUsage) {
			t.Errorf("resolve(%v) = %v, want a usage error", tt.vars, err)
			continue
		}
		for _, part := range tt.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("resolve(%v) = %q, want %q in it", tt.vars, err, part)
			}
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	vars := map[string]string{
		"SPARK_OPS_TOKEN": "tok-ops-123", "SPARK_API_TOKEN": "tok-api-123", "NOTIFY_WEBHOOK_SECRET": "whsec_aGVsbG8=",
		"REDIS_URL":          "redis://user:hunter22@127.0.0.1:6379/0",
		"NOTIFY_WEBHOOK_URL": "https://hooks.slack.com/services/T0/slack-path-secret?token=query-secret",
		"BINANCE_REST_URL":   "https://mirror.example/api?key=mirror-secret",
	}
	_, values, err := resolve(map[string]string{"spark-ops-token": "by-flag"}, env(vars), noFile)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printConfig(&out, values); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"tok-ops-123", "tok-api-123", "aGVsbG8", "hunter22", "by-flag", "slack-path-secret", "query-secret", "mirror-secret"} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("config print shows %q", secret)
		}
	}
	if !strings.Contains(out.String(), "https://hooks.slack.com/") {
		t.Errorf("config print hides where notifications go: %s", out.String())
	}
	masked := strings.Join(secretsOf(values), " ")
	for _, secret := range []string{"tok-ops-123", "tok-api-123", "hunter22"} {
		if !strings.Contains(masked, secret) {
			t.Errorf("%q would not be masked in logs", secret)
		}
	}
	_, _, err = resolve(nil, env(map[string]string{"REDIS_URL": "http://user:hunter22@x"}), noFile)
	if err == nil || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("error %q shows the password", err)
	}
}

func TestConfigurationFileErrorsNameTheLine(t *testing.T) {
	tests := []struct{ file, want string }{
		{"LOG_LEVEL: debug\nLOG_LEVEL_: info\n", "line 2"},
		{"LOG_LEVEL: debug\nLOG_LEVEL: info\n", "LOG_LEVEL"},
		{"- a\n", "line 1"},
		{"LOG_LEVEL: [a]\n", "line 1"},
		{"SPARK_CONFIG: other.yaml\n", "unknown setting"},
		{"\tx", "yaml"},
	}
	for _, tt := range tests {
		if _, _, err := parseFile([]byte(tt.file)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("parseFile(%q) = %v, want %q in the error", tt.file, err, tt.want)
		}
	}
	if got, _, err := parseFile(nil); err != nil || len(got) != 0 {
		t.Errorf("parseFile of nothing = %v, %v", got, err)
	}
}

func TestConfigurationPageIsUpToDate(t *testing.T) {
	path := filepath.Join("..", "..", "..", "docs", "configuration.md")
	want := configurationPage()
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/configuration.md is old: UPDATE=1 go test ./daemon/cmd/spark-daemon writes it")
	}
}

func TestEverySettingHasAUsableDefault(t *testing.T) {
	o, values, err := resolve(nil, env(nil), noFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(values) != len(settings()) || o.LeaseSec != 35 || o.CooldownSec != 300 || o.MaxStreams != 3 || len(o.Roles) != 3 || o.SchedulerDisabled {
		t.Errorf("defaults %+v", o)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("LOG_LEVEL: debug\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("? ? :"))
	f.Add([]byte(hypercareExample))
	f.Add([]byte("hypercare: {operators: [{name: a, key: b, roles: [*x]}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		values, section, err := parseFile(data)
		if err != nil {
			return
		}
		if section != nil {
			_, _ = parseHypercare(section, noFile) // must not panic
		}
		for name := range values {
			known := false
			for _, s := range settings() {
				known = known || s.name == name
			}
			if !known {
				t.Errorf("parseFile(%q) let %q pass", data, name)
			}
		}
	})
}

func FuzzSettings(f *testing.F) {
	for _, s := range settings() {
		f.Add(s.name, s.def)
	}
	f.Add("REDIS_URL", "redis://[::1")
	f.Fuzz(func(t *testing.T, name, text string) {
		for _, s := range settings() {
			if s.name == name {
				var o daemon.Options
				_ = s.set(&o, text) // must not panic
				_ = value{setting: s, text: text}.shown()
			}
		}
	})
}
