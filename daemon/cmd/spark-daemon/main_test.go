package main

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMisuseIsOneLineAndStatusTwo(t *testing.T) {
	tests := []struct {
		args []string
		vars map[string]string
		want string
	}{
		{[]string{"fly"}, nil, "fly"},
		{[]string{"--no-such-flag"}, nil, "no-such-flag"},
		{[]string{"run", "extra"}, nil, "extra"},
		{[]string{"config", "print"}, map[string]string{"WEB_PORT": "x"}, "WEB_PORT"},
		{[]string{"sim", "--speed", "-1"}, nil, "speed"},
		{[]string{"sim", "--speed", "0"}, nil, "speed"},
		{[]string{"demo", "--speed", "0"}, nil, "speed"},
		{[]string{"demo", "--speed", "NaN"}, nil, "speed"},
		{[]string{"sim", "--port", "70000"}, nil, "--port 70000: 0 to 65535"},
		{[]string{"sim", "--replay", "BTC"}, nil, "SYMBOL=FILE"},
		{[]string{"sim", "--replay", "BTCUSDT=gone.csv"}, nil, "gone.csv"},
		{[]string{"sim", "--port", "abc"}, nil, "port"},
	}
	for _, tt := range tests {
		var out, errs bytes.Buffer
		code := run(tt.args, env(tt.vars), &out, &errs)
		if code != 2 || strings.Count(errs.String(), "\n") != 1 || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("run(%v) = %d with %q, want 2 and one line with %q", tt.args, code, errs.String(), tt.want)
		}
	}
}

func TestAPortThatIsTakenIsNoMisuse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run([]string{"sim", "--port", port}, env(nil), &out, &errs); code != 1 || !strings.Contains(errs.String(), port) {
		t.Errorf("sim on a port in use = %d with %q, want 1 and the port", code, errs.String())
	}
}

func TestHelpTeaches(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"--help"}, env(nil), &out, &errs); code != 0 {
		t.Fatalf("--help = %d: %s", code, errs.String())
	}
	for _, want := range []string{"demo", "config print", "--redis-url", "REDIS_URL", "order of precedence"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not mention %q", want)
		}
	}
	if strings.Contains(out.String(), "--spark-ops-token") {
		t.Errorf("--help offers a flag for a secret")
	}
}

func TestFlagsOfSubcommandsAreSeen(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"config", "print", "--log-level", "debug", "--spark-data-dir", "there"}, env(nil), &out, &errs); code != 0 {
		t.Fatalf("config print = %d: %s", code, errs.String())
	}
	for _, want := range []string{"LOG_LEVEL=\"debug\"\t# flag", "SPARK_DATA_DIR=\"there\"\t# flag"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("config print = %s, want %q", out.String(), want)
		}
	}
}

func TestVersion(t *testing.T) {
	var out, errs bytes.Buffer
	if code := run([]string{"version"}, env(nil), &out, &errs); code != 0 || !strings.HasPrefix(out.String(), "spark-daemon ") {
		t.Errorf("version = %d %q %q", code, out.String(), errs.String())
	}
}

func TestHealthcheckAsksWhereThisConfigurationListens(t *testing.T) {
	pem := filepath.Join(t.TempDir(), "spark.pem")
	if err := os.WriteFile(pem, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	healthy := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	secured := httptest.NewTLSServer(healthy)
	defer secured.Close()
	elsewhere := httptest.NewUnstartedServer(healthy)
	defer elsewhere.Close()
	tests := []struct {
		name, bind string
		server     *httptest.Server
		args       []string
	}{
		{"over TLS, certificate for another name", "0.0.0.0", secured, []string{"--spark-tls-cert", pem, "--spark-tls-key", pem}},
		{"another address", "::1", elsewhere, nil},
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		elsewhere.Listener.Close()
		elsewhere.Listener = l
		elsewhere.Start()
	} else {
		tests = tests[:1]
	}
	for _, tt := range tests {
		_, port, err := net.SplitHostPort(tt.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		args := append([]string{"healthcheck", "--spark-bind", tt.bind, "--executor-port", port}, tt.args...)
		if code := run(args, env(nil), &out, &errs); code != 0 || out.String() != "ok\n" {
			t.Errorf("%s: %d, %s%s", tt.name, code, out.String(), errs.String())
		}
	}
}
