package webhook_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/notify"
	"github.com/spark-ta/spark/daemon/notify/webhook"
)

func message() notify.Message {
	return notify.Message{
		ID: "0123456789abcdef0123456789abcdef",
		Event: alert.Event{
			ID: "a:1:60000", AlertID: "a", Rev: 1,
			Series: market.Series{Symbol: "BTCUSDT", Timeframe: market.M1},
			Type:   alert.TypeBBBreak, Mode: alert.Intrabar, Reason: "close>upper",
			Value: map[string]float64{"close": 65012.3, "upper": 65000, "width": math.NaN()},
			Price: 65012.3, Bar: 60_000, Time: 61_234, Epoch: 7,
			Severity: alert.Warning, Note: "note <b> \x1b[31m",
		},
	}
}

// open makes a webhook that may reach the server.
func open(t *testing.T, url string, change ...func(*webhook.Options)) *webhook.Notifier {
	t.Helper()
	host := strings.SplitN(strings.TrimPrefix(strings.TrimPrefix(url, "http://"), "https://"), "/", 2)[0]
	o := webhook.Options{URL: url, AllowedHosts: []string{host}}
	for _, c := range change {
		c(&o)
	}
	n, err := webhook.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// rawServer answers each connection by hand.
func rawServer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return "http://" + l.Addr().String() + "/hook"
}

func answering(t *testing.T, status int, header ...string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hook"
}

func readRequest(c net.Conn) {
	buf := make([]byte, 64<<10)
	var got strings.Builder
	for !strings.Contains(got.String(), "\r\n\r\n{") || !strings.HasSuffix(got.String(), "}}") {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		got.Write(buf[:n])
	}
}

func TestEveryAnswerHasItsOutcome(t *testing.T) {
	const status = "HTTP/1.1 "
	tests := []struct {
		name string
		url  string
		want notify.Result
	}{
		{"200", answering(t, 200), notify.Result{Outcome: notify.Accepted, Status: 200}},
		{"202", answering(t, 202), notify.Result{Outcome: notify.Accepted, Status: 202}},
		{"204", answering(t, 204), notify.Result{Outcome: notify.Accepted, Status: 204}},
		{"redirect", answering(t, 302, "Location", "/elsewhere"), notify.Result{Outcome: notify.Refused, Status: 302, Reason: wire.FailOther, Error: "HTTP 302 Found, and redirects are not followed"}},
		{"400", answering(t, 400), notify.Result{Outcome: notify.Permanent, Status: 400, Reason: wire.FailHTTP4xx, Error: "HTTP 400 Bad Request"}},
		{"401", answering(t, 401), notify.Result{Outcome: notify.Permanent, Status: 401, Reason: wire.FailAuth, Error: "HTTP 401 Unauthorized"}},
		{"403", answering(t, 403), notify.Result{Outcome: notify.Permanent, Status: 403, Reason: wire.FailAuth, Error: "HTTP 403 Forbidden"}},
		{"408", answering(t, 408), notify.Result{Outcome: notify.Refused, Status: 408, Reason: wire.FailHTTP4xx, Error: "HTTP 408 Request Timeout"}},
		{"410", answering(t, 410), notify.Result{Outcome: notify.Permanent, Status: 410, Reason: wire.FailHTTP4xx, Error: "HTTP 410 Gone"}},
		{"425", answering(t, 425), notify.Result{Outcome: notify.Refused, Status: 425, Reason: wire.FailHTTP4xx, Error: "HTTP 425 Too Early"}},
		{"429", answering(t, 429), notify.Result{Outcome: notify.Refused, Status: 429, Reason: wire.FailRateLimited, Error: "HTTP 429 Too Many Requests"}},
		{"429 with Retry-After", answering(t, 429, "Retry-After", "17"), notify.Result{Outcome: notify.Refused, Status: 429, Reason: wire.FailRateLimited, Error: "HTTP 429 Too Many Requests", RetryAfter: 17 * time.Second}},
		{"500", answering(t, 500), notify.Result{Outcome: notify.Ambiguous, Status: 500, Reason: wire.FailHTTP5xx, Error: "HTTP 500 Internal Server Error"}},
		{"502", answering(t, 502), notify.Result{Outcome: notify.Ambiguous, Status: 502, Reason: wire.FailHTTP5xx, Error: "HTTP 502 Bad Gateway"}},
		{"503", answering(t, 503), notify.Result{Outcome: notify.Ambiguous, Status: 503, Reason: wire.FailHTTP5xx, Error: "HTTP 503 Service Unavailable"}},
		{"503 with Retry-After", answering(t, 503, "Retry-After", "5"), notify.Result{Outcome: notify.Refused, Status: 503, Reason: wire.FailHTTP5xx, Error: "HTTP 503 Service Unavailable", RetryAfter: 5 * time.Second}},
		{"status unknown", answering(t, 799), notify.Result{Outcome: notify.Ambiguous, Status: 799, Reason: wire.FailOther, Error: "HTTP 799"}},
		{"cut after the request", rawServer(t, readRequest), notify.Result{Outcome: notify.Ambiguous, Reason: wire.FailNetwork, Error: "connection closed before the answer"}},
		{"cut within the answer", rawServer(t, func(c net.Conn) { readRequest(c); _, _ = io.WriteString(c, status+"200 O") }), notify.Result{Outcome: notify.Ambiguous, Reason: wire.FailNetwork, Error: "connection closed before the answer"}},
		{"refused", closedPort(t), notify.Result{Outcome: notify.Unsent, Reason: wire.FailNetwork, Error: "connection refused"}},
		{"host not found", "http://does-not-exist.invalid/hook", notify.Result{Outcome: notify.Unsent, Reason: wire.FailNetwork, Error: "host not found"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := open(t, tt.url, func(o *webhook.Options) { o.Resolver = nameServer(t, nil) }).Notify(t.Context(), message())
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Notify(%s) (-want +got):\n%s", tt.name, diff)
			}
		})
	}
}

func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestAnAnswerTooLateIsAmbiguous(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-release
	}))
	defer s.Close()
	defer close(release)
	got := open(t, s.URL, func(o *webhook.Options) { o.Timeout = 50 * time.Millisecond }).Notify(t.Context(), message())
	want := notify.Result{Outcome: notify.Ambiguous, Reason: wire.FailTimeout, Error: "no answer in time"}
	if got != want {
		t.Errorf("Notify = %+v, want %+v", got, want)
	}
}

func TestAHandshakeTooLateIsUnsent(t *testing.T) {
	release := make(chan struct{})
	url := rawServer(t, func(net.Conn) { <-release })
	defer close(release)
	got := open(t, "https"+strings.TrimPrefix(url, "http"), func(o *webhook.Options) { o.Timeout = 50 * time.Millisecond }).Notify(t.Context(), message())
	want := notify.Result{Outcome: notify.Unsent, Reason: wire.FailTimeout, Error: "no connection in time"}
	if got != want {
		t.Errorf("Notify = %+v, want %+v", got, want)
	}
}

func TestInterruptionSaysWhetherAnythingWasWritten(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { close(arrived); <-release }))
	defer s.Close()
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	n := open(t, s.URL)
	if got, want := n.Notify(ctx, message()), (notify.Result{Outcome: notify.Ambiguous, Reason: wire.FailOther, Error: "interrupted"}); got != want {
		t.Errorf("Notify, interrupted after the request = %+v, want %+v", got, want)
	}
	if got, want := n.Notify(ctx, message()), (notify.Result{Outcome: notify.Unsent, Reason: wire.FailOther, Error: "interrupted"}); got != want {
		t.Errorf("Notify, interrupted before = %+v, want %+v", got, want)
	}
}

func TestAHugeAnswerIsNotReadToItsEnd(t *testing.T) {
	var wrote int64
	ended := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		_, _ = io.Copy(io.Discard, r.Body)
		chunk := make([]byte, 1<<20)
		for range 1000 {
			n, err := w.Write(chunk)
			wrote += int64(n)
			if err != nil {
				return
			}
		}
	}))
	defer s.Close()
	got := open(t, s.URL).Notify(t.Context(), message())
	<-ended
	if got.Outcome != notify.Accepted || wrote >= 1000<<20 {
		t.Errorf("Notify = %+v after %d bytes, want accepted and the body cut", got, wrote)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached bool
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer inner.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		got := open(t, answering(t, status, "Location", inner.URL)).Notify(t.Context(), message())
		if got.Outcome != notify.Refused || reached {
			t.Errorf("Notify with %d = %+v, reached the target: %v; want refused and not reached", status, got, reached)
		}
	}
}

type request struct {
	header http.Header
	body   []byte
}

func recorder(t *testing.T) (string, <-chan request) {
	t.Helper()
	got := make(chan request, 10)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- request{r.Header, body}
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestRequestsVerifyWithTheOfficialLibrary(t *testing.T) {
	raw := "a plain secret"
	prefixed := "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four random bytes"))
	url, requests := recorder(t)
	official := func(s string) *standardwebhooks.Webhook {
		w, err := standardwebhooks.NewWebhook(s)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	rawVerifier, err := standardwebhooks.NewWebhookRaw([]byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		secret string
		accept []*standardwebhooks.Webhook
	}{
		{"whsec", prefixed, []*standardwebhooks.Webhook{official(prefixed)}},
		{"raw", "plain", []*standardwebhooks.Webhook{rawVerifier}},
		{"rotation", "plain " + prefixed, []*standardwebhooks.Webhook{rawVerifier, official(prefixed)}},
	}
	stranger, err := standardwebhooks.NewWebhookRaw([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := open(t, url, func(o *webhook.Options) { o.Secret = tt.secret })
			if got := n.Notify(t.Context(), message()); got.Outcome != notify.Accepted {
				t.Fatalf("Notify = %+v, want accepted", got)
			}
			r := <-requests
			for _, w := range tt.accept {
				if err := w.Verify(r.body, r.header); err != nil {
					t.Errorf("Verify: %v", err)
				}
				if w.Verify(append(r.body, ' '), r.header) == nil {
					t.Error("Verify accepted another body")
				}
			}
			if stranger.Verify(r.body, r.header) == nil {
				t.Error("Verify accepted another secret")
			}
		})
	}
}

func TestEveryAttemptSendsTheSameIdAndBytes(t *testing.T) {
	url, requests := recorder(t)
	n := open(t, url)
	m := message()
	n.Notify(t.Context(), m)
	m.Repeat = true
	n.Notify(t.Context(), m)
	first, second := <-requests, <-requests
	for _, name := range []string{"Webhook-Id", "Idempotency-Key"} {
		if got := []string{first.header.Get(name), second.header.Get(name)}; got[0] != m.ID || got[1] != m.ID {
			t.Errorf("%s = %q, want %q twice", name, got, m.ID)
		}
	}
	if string(first.body) != string(second.body) {
		t.Errorf("bodies differ:\n%s\n%s", first.body, second.body)
	}
	if s := first.header.Get("Webhook-Signature"); s != "" {
		t.Errorf("signature without a secret = %q", s)
	}
}

func TestBodyIsTheContracts(t *testing.T) {
	url, requests := recorder(t)
	open(t, url).Notify(t.Context(), message())
	r := <-requests
	var got wire.Notification
	if err := json.Unmarshal(r.body, &got); err != nil {
		t.Fatal(err)
	}
	e := message().Event
	e.Value = map[string]float64{"close": 65012.3, "upper": 65000} // JSON has no NaN
	want := wire.Notification{
		Type: "alert.triggered", Timestamp: "1970-01-01T00:01:01.234Z",
		Data: wire.NotificationData{
			AlertEvent: wire.FromEvent(e, nil), Note: e.Note,
			Message: "BTCUSDT 1m bb_break: close>upper at 65012.3",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type = %q", ct)
	}
	test := message()
	test.Test, test.Text = true, "hello"
	open(t, url).Notify(t.Context(), test)
	if err := json.Unmarshal((<-requests).body, &got); err != nil || got.Type != "alert.test" || got.Data.Message != "hello" {
		t.Errorf("test body = %+v, %v; want alert.test with its text", got, err)
	}
}
