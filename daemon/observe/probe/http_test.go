package probe_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

func TestParseRequest(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"GET /health", "GET /health map[]"},
		{"# expect: status == 200\n\nHEAD /api/marketdata/stream\n", "HEAD /api/marketdata/stream map[]"},
		{"GET /x?a=1&b=2\naccept: text/plain\nX-A: b", "GET /x?a=1&b=2 map[Accept:[text/plain] X-A:[b]]"},
	} {
		got, err := probe.ParseRequest(c.text)
		if s := fmt.Sprintf("%s %s %v", got.Method, got.Path, got.Header); err != nil || s != c.want {
			t.Errorf("ParseRequest(%q) = %s, %v; want %s", c.text, s, err, c.want)
		}
	}
	for _, c := range []struct{ text, reason string }{
		{"", "no request"},
		{"# only\n", "no request"},
		{"GET", "a method and a path"},
		{"GET /a /b", "a method and a path"},
		{"POST /alerts/create", "only reads"},
		{"get /health", "only reads"},
		{"GET health", "single /"},
		{"GET http://evil/", "single /"},
		{"GET //evil/x", "single /"},
		{"GET /a#b", "fragment"},
		{"GET /\u202ea", "printable"},
		{"GET /" + strings.Repeat("a", 3000), "too long"},
		{"GET /a\nHost: evil", "not a plan's"},
		{"GET /a\nauthorization: Bearer x", "not a plan's"},
		{"GET /a\nX: \x1b[31m", "not printable"},
		{"GET /a\nno colon", "Name: value"},
		{"GET /a\nX Y: z", "Name: value"},
		{"GET /a\n\nbody", "no body"},
		{"GET /a" + strings.Repeat("\nX: y", 17), "header lines"},
	} {
		if got, err := probe.ParseRequest(c.text); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("ParseRequest(%.40q) = %+v, %v; want an error with %q", c.text, got, err, c.reason)
		}
	}
}

// slow ends the paths that never answer.
const slow = "/slow"

func get(t *testing.T, text, url string) probe.Result {
	t.Helper()
	r, err := probe.ParseRequest(text)
	if err != nil {
		t.Fatal(err)
	}
	h := probe.HTTP{Limits: limits(), Client: &http.Client{}}
	if strings.HasSuffix(text, slow) {
		h.Timeout = short
	}
	out := h.Do(t.Context(), r, []probe.Target{{Name: "a", URL: url}})
	safe(t, out[0])
	return out[0]
}

func TestHTTPFields(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		switch r.URL.Path {
		case "/health":
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.Header().Set("Set-Cookie", "session=1")
			w.WriteHeader(503)
			_, _ = io.WriteString(w, `{"ok":false,"uptime":12.5,"version":"v1\u001b[31m","leader":{"isLeader":true,"holder":null},
				"roles":["executor","gateway"],"a b":1,"n":{"deep":[{"x":1},{"x":2}]},"huge":1e999,"token":"`+secret+`"}`)
		case "/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			w.Header().Set("X-Streams-Connected", "3")
			if r.Method == http.MethodGet {
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		case "/page":
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<html><TITLE lang=tr>Teknik Analiz\n · Technical &amp; Analysis\x1b]0;x\a</TITLE>")
		case "/text":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, strings.Repeat("x", 505)+secret+strings.Repeat("é", 9000))
		case "/empty":
			w.Header()["Content-Type"] = nil
		}
	})
	same(t, get(t, "GET /health", srv.URL), map[string]any{
		"status": 503.0, "json": 1.0, "header.content-type": "application/json; charset=utf-8",
		"body.ok": 0.0, "body.uptime": 12.5, "body.version": "v1", "body.leader.isLeader": 1.0,
		"body.roles.len": 2.0, "body.roles.0": "executor", "body.roles.1": "gateway", "body.a_b": 1.0,
		"body.n.deep.len": 2.0, "body.n.deep.0.x": 1.0, "body.n.deep.1.x": 2.0, "body.token": "***",
	}, "bytes", "header.content-length")
	for _, method := range []string{"HEAD", "GET"} {
		same(t, get(t, method+" /stream", srv.URL), map[string]any{
			"status": 200.0, "header.content-type": "text/event-stream", "header.x-streams-connected": 3.0,
		}, "bytes")
	}
	page := get(t, "GET /page", srv.URL)
	if got := page.Fields["title"].Text; got != "Teknik Analiz · Technical & Analysis" {
		t.Errorf("title = %q", got)
	}
	body := get(t, "GET /text", srv.URL).Fields["body"].Text
	if len(body) > 512 || !strings.HasPrefix(body, strings.Repeat("x", 505)+"***") {
		t.Errorf("body = %q of %d bytes, want at most 512 and the secret masked", body, len(body))
	}
	same(t, get(t, "GET /empty", srv.URL), map[string]any{"status": 200.0, "bytes": 0.0, "header.content-length": 0.0})
}

func TestHTTPFailures(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/dripping/slow":
			for range 1000 {
				if _, err := io.WriteString(w, "x"); err != nil || r.Context().Err() != nil {
					return
				}
				w.(http.Flusher).Flush()
				select {
				case <-r.Context().Done():
					return
				default:
				}
			}
			<-r.Context().Done()
		case "/huge":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"a":"`+strings.Repeat("x", 2<<20)+`"}`)
		case "/garbage":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{\"a\":1} trailing\x1b[2J")
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
		}
	})
	failed(t, get(t, "GET /slow", srv.URL), "no answer within")
	failed(t, get(t, "GET /dripping/slow", srv.URL), "no answer within")
	failed(t, get(t, "GET /cut", srv.URL), "unexpected EOF")
	huge := get(t, "GET /huge", srv.URL)
	failed(t, huge, "answer too large")
	if huge.Fields["status"] != probe.Number(200) || huge.Fields["json"] != probe.Number(0) {
		t.Errorf("huge = %+v, want what was learnt before the limit", huge.Fields)
	}
	if got := get(t, "GET /garbage", srv.URL); got.Fields["json"] != probe.Number(0) || got.Err != nil {
		t.Errorf("garbage = %+v, want json 0", got)
	}
	gone := get(t, "GET /", "http://user:"+secret+"@127.0.0.1:1")
	failed(t, gone, "refused")
	if gone.Fields["status"] != probe.Number(0) {
		t.Errorf("status without an answer = %v, want 0", gone.Fields["status"])
	}
}

func TestRedirectsStayOnTheHost(t *testing.T) {
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("another host was asked") })
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case "/here":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		}
	})
	for path, status := range map[string]float64{"/away": 302, "/here": 200, "/round": 302} {
		if got := get(t, "GET "+path, srv.URL); got.Fields["status"] != probe.Number(status) {
			t.Errorf("%s: %+v, want status %v", path, got, status)
		}
	}
}

func TestTargetsAreAskedTogether(t *testing.T) {
	var asked atomic.Int32
	both := make(chan struct{})
	srv := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 2 {
			close(both)
		}
		select { // neither is answered before both are asked
		case <-both:
		case <-r.Context().Done():
		}
	})
	r, err := probe.ParseRequest("GET /")
	if err != nil {
		t.Fatal(err)
	}
	out := probe.HTTP{Limits: limits(), Client: &http.Client{}}.Do(t.Context(), r, []probe.Target{{Name: "a", URL: srv.URL}, {Name: "b", URL: srv.URL}})
	if len(out) != 2 || out[0].Target != "a" || out[1].Target != "b" || out[0].Err != nil || out[1].Err != nil {
		t.Errorf("results = %+v", out)
	}
}
