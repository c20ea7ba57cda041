package webhook_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/notify/webhook"
)

// nameServer resolves names to the addresses given, one after the other for each
// look-up of the same name; every other name does not exist.
func nameServer(t *testing.T, names map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		asked := map[string]int{}
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(dnsAnswer(buf[:n], names, asked), from)
		}
	}()
	t.Cleanup(func() { conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// dnsAnswer answers one question: A records only.
func dnsAnswer(q []byte, names map[string][]string, asked map[string]int) []byte {
	var labels []string
	i := 12
	for q[i] != 0 {
		labels = append(labels, string(q[i+1:i+1+int(q[i])]))
		i += 1 + int(q[i])
	}
	kind, end := binary.BigEndian.Uint16(q[i+1:]), i+5
	name := strings.Join(labels, ".")
	out := append([]byte{}, q[:end]...)
	out[2], out[3] = 0x81, 0x80 // answer, recursion
	copy(out[6:12], make([]byte, 6))
	addrs, known := names[name]
	if !known {
		out[3] |= 3 // no such name
		return out
	}
	if kind != 1 {
		return out
	}
	addr := netip.MustParseAddr(addrs[min(asked[name], len(addrs)-1)]).As4()
	asked[name]++
	out[7] = 1
	out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(out, addr[:]...)
}

func TestOnlyPublicHTTPSIsReached(t *testing.T) {
	var reached atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer server.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{
		"inner.test":    {"127.0.0.1"},
		"private.test":  {"10.1.2.3"},
		"metadata.test": {"169.254.169.254"},
	}
	for _, url := range []string{
		"https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data", "https://10.0.0.1/",
		"https://192.168.1.1/", "https://172.16.0.1/", "https://100.64.0.1/", "https://0.0.0.0/", "https://224.0.0.1/",
		"https://[::ffff:127.0.0.1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/",
		"https://[fd00:ec2::254]/", "https://[fe80::1]/", "https://198.18.0.1/", "https://192.0.0.192/",
		"https://inner.test/", "https://inner.test:" + port + "/", "https://private.test/", "https://metadata.test/", "https://localhost/",
		"http://127.0.0.1:" + port + "/", "http://inner.test:" + port + "/", "http://8.8.8.8/", "https://8.8.8.8:8443/",
	} {
		n, err := webhook.New(webhook.Options{URL: url, Resolver: nameServer(t, names)})
		if err != nil {
			t.Fatalf("New(%q): %v", url, err)
		}
		got := n.Notify(t.Context(), message())
		if got.Outcome != notify.Permanent || got.Reason != wire.FailBlockedHost {
			t.Errorf("Notify(%q) = %+v, want permanent and blocked_host", url, got)
		}
		if strings.Contains(got.Error, "10.1.2.3") {
			t.Errorf("Notify(%q) reveals the address: %q", url, got.Error)
		}
	}
	if reached.Load() != 0 {
		t.Errorf("%d requests reached the inner server, want 0", reached.Load())
	}
}

func TestANameThatChangesItsAddressIsJudgedEachTime(t *testing.T) {
	names := map[string][]string{"rebind.test": {"10.0.0.1", "127.0.0.1", "169.254.169.254"}}
	n, err := webhook.New(webhook.Options{URL: "https://rebind.test/", Resolver: nameServer(t, names)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if got := n.Notify(t.Context(), message()); got.Reason != wire.FailBlockedHost {
			t.Errorf("attempt %d = %+v, want blocked_host", i, got)
		}
	}
}

func TestProxySettingsAreIgnored(t *testing.T) {
	var proxied atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	n, err := webhook.New(webhook.Options{URL: "https://169.254.169.254/"})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.Notify(t.Context(), message()); got.Reason != wire.FailBlockedHost || proxied.Load() != 0 {
		t.Errorf("Notify = %+v with %d requests to the proxy, want blocked and none", got, proxied.Load())
	}
}

func TestAllowedHosts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{"inner.test": {"127.0.0.1"}}
	tests := []struct {
		url     string
		allowed string
		reached bool
	}{
		{server.URL, host + ":" + port, true},
		{server.URL, host, true},
		{server.URL, host + ":1", false},
		{server.URL, "other.test", false},
		{"http://[::ffff:127.0.0.1]:" + port, "127.0.0.1", true},
		{"http://inner.test:" + port, "INNER.test.", true},
		{"http://inner.test:" + port, "inner.test:" + port, true},
		{"http://inner.test:" + port, "127.0.0.1:" + port, false},
		{"http://sub.inner.test:" + port, "inner.test", false},
		{"https://example.com", "inner.test", false},
	}
	for _, tt := range tests {
		n, err := webhook.New(webhook.Options{URL: tt.url, AllowedHosts: []string{tt.allowed}, Resolver: nameServer(t, names)})
		if err != nil {
			t.Fatalf("New(%q, %q): %v", tt.url, tt.allowed, err)
		}
		got := n.Notify(t.Context(), message())
		if reached := got.Outcome == notify.Accepted; reached != tt.reached || !reached && got.Reason != wire.FailBlockedHost {
			t.Errorf("Notify(%q) with %q allowed = %+v, want reached %v", tt.url, tt.allowed, got, tt.reached)
		}
		if objects := n.Objection() != nil; objects == tt.reached {
			t.Errorf("Objection(%q) with %q allowed = %v, want one: %v", tt.url, tt.allowed, n.Objection(), !tt.reached)
		}
	}
}

func TestNewNamesWhatIsWrongAndShowsNoSecret(t *testing.T) {
	tests := []struct {
		o    webhook.Options
		want string
	}{
		{webhook.Options{URL: ""}, `webhook URL: scheme "" is not one of https, http`},
		{webhook.Options{URL: "ftp://hidden@h/hidden"}, `webhook URL: scheme "ftp" is not one of https, http`},
		{webhook.Options{URL: "https:///hidden?hidden"}, `webhook URL: https:///*** has no host: such as https://example.com/hook`},
		{webhook.Options{URL: "https://h:99999/hidden"}, `webhook URL: port "99999" is not from 1 to 65535`},
		{webhook.Options{URL: "https://u:hidden@h/\x7f"}, `webhook URL: not a URL: such as https://example.com/hook`},
		{webhook.Options{URL: "https://h/hidden", Secret: "whsec_hidden!"}, `webhook secret: what follows whsec_ is not standard base64`},
		{webhook.Options{URL: "https://h/hidden", AllowedHosts: []string{"http://x"}}, `allowed host "http://x": not host or host:port`},
		{webhook.Options{URL: "https://h/hidden", AllowedHosts: []string{""}}, `allowed host "": not host or host:port`},
		{webhook.Options{URL: "https://h/hidden", AllowedHosts: []string{"h:0"}}, `allowed host "h:0": not host or host:port`},
		{webhook.Options{URL: "https://h/hidden", AllowedHosts: []string{"a b"}}, `allowed host "a b": not host or host:port`},
		{webhook.Options{URL: "https://h/hidden", Timeout: -1}, `webhook timeout: -1ns is negative`},
	}
	for _, tt := range tests {
		_, err := webhook.New(tt.o)
		if err == nil || err.Error() != tt.want {
			t.Errorf("New(%+v) = %v, want %s", tt.o, err, tt.want)
		}
	}
}

func TestSecretsNeverShow(t *testing.T) {
	const token, password, query = "T0KEN-in-path", "passw0rd", "qu3ry"
	closed := strings.TrimPrefix(closedPort(t), "http://")
	for _, url := range []string{
		"https://127.0.0.1/" + token + "?k=" + query,
		"https://user:" + password + "@127.0.0.1/" + token + "?k=" + query,
		"http://user:" + password + "@" + closed + "/" + token + "?k=" + query,
	} {
		for _, allowed := range [][]string{nil, {"elsewhere.test"}, {closed}} {
			n, err := webhook.New(webhook.Options{URL: url, AllowedHosts: allowed})
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range []string{n.String(), n.Notify(t.Context(), message()).Error} {
				for _, secret := range []string{token, password, query, "user"} {
					if strings.Contains(text, secret) {
						t.Errorf("%q shows %q", text, secret)
					}
				}
			}
		}
	}
}

func FuzzNew(f *testing.F) {
	f.Add("https://user:pw@example.com:8443/p?q#f", "example.com:8443", "whsec_AAAA")
	f.Add("http://[::1]:80", "[::1]:80", "x y")
	f.Add("https://[::ffff:1.2.3.4%25eth0]/", "::1", "")
	f.Fuzz(func(t *testing.T, url, allowed, secret string) {
		n, err := webhook.New(webhook.Options{URL: url, AllowedHosts: []string{allowed}, Secret: secret})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("New(%q, %q) error is not one clean line: %q", url, allowed, err)
			}
			return
		}
		if strings.ContainsAny(n.String(), "\n\r\x1b") {
			t.Errorf("String of %q is not one clean line: %q", url, n.String())
		}
	})
}
