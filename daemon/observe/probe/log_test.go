package probe_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/probe"
)

func TestMatch(t *testing.T) {
	leader := wire.LogRecord{Level: "info", Message: "became leader", Instance: "executor-1", Attrs: map[string]string{"epoch": "7", "holder": "executor-1"}}
	failure := wire.LogRecord{Level: "error", Message: "store away", Instance: "executor-2", Attrs: map[string]string{"error": "closed by peer"}}
	for _, c := range []struct {
		text         string
		first, other bool
	}{
		{`"became leader"`, true, false},
		{`"epoch=7"`, true, false},
		{`level=error`, false, true},
		{`level>=info`, true, true},
		{`level>=warn`, false, true},
		{`level=error and not "closed by peer"`, false, false},
		{`not level=error`, true, false},
		{`not not level=error`, false, true},
		{`level=error or "became leader"`, true, true},
		{`level=info and epoch=7 or level=error and epoch=7`, true, false},
		{`level=info and (epoch=8 or holder=executor-1)`, true, false},
		{`error~peer`, false, true},
		{`msg="became leader"`, true, false},
		{`msg~leader and instance=executor-1`, true, false},
		{`missing=x or not missing~x`, true, true},
		{"# comment\nlevel=error\n  or level=info", true, true},
		{`"a \"quoted\" \\ text"`, false, false},
	} {
		m, err := probe.ParseMatch(c.text)
		if err != nil {
			t.Errorf("ParseMatch(%s): %v", c.text, err)
			continue
		}
		if a, b := m.Matches(leader), m.Matches(failure); a != c.first || b != c.other {
			t.Errorf("%s matches %v, %v; want %v, %v", c.text, a, b, c.first, c.other)
		}
		again, err := probe.ParseMatch(m.String())
		if err != nil || again.String() != m.String() {
			t.Errorf("%s written as %s parses to %s, %v", c.text, m, again, err)
		}
	}
	for text, reason := range map[string]string{
		``: "at the end", `level`: "want a", `level=loud`: "not one of", `"open`: "does not end", `"a" "b"`: "want and, or",
		`(level=info`: "want )", `level=info)`: "want and", `epoch>=7`: "only level", `""`: "empty text", `and`: "want a",
		`level=info and`: "at the end", `not`: "at the end", `x=`: "want a value", "\"a\x1b\"": "not printable",
		strings.Repeat("not ", 100) + "a=b": "nested", strings.Repeat("(", 100): "nested", strings.Repeat(`"a" or `, 1000): "more than",
	} {
		if m, err := probe.ParseMatch(text); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("ParseMatch(%.40q) = %v, %v; want an error with %q", text, m, err, reason)
		}
	}
}

// kept answers like an instance's log.
func kept(t *testing.T, records ...wire.LogRecord) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != wire.PathLogs:
			w.WriteHeader(404)
		case r.Header.Get("Authorization") != "Bearer "+secret:
			w.WriteHeader(401)
			_ = json.NewEncoder(w).Encode(wire.Error{Error: "this call needs the operations token", Code: wire.CodeUnauthorized})
		default:
			_ = json.NewEncoder(w).Encode(wire.Logs{OK: true, Records: records})
		}
	}).URL
}

func TestLogCountsWhatInstancesKeep(t *testing.T) {
	const start = int64(1_000_000)
	rec := func(n, at int64, level, msg string) wire.LogRecord {
		return wire.LogRecord{Seq: start + n, Time: start + at, Level: level, Message: msg, Instance: "a", Attrs: map[string]string{"k": "v\x1b[2J" + secret}}
	}
	url := kept(t, rec(5, 100, "info", "old"), rec(6, 200, "error", "one"), rec(7, 300, "info", "x"), rec(8, 400, "error", "two"), rec(9, 500, "error", "late"))
	young := kept(t, rec(1, 150, "info", "born"))
	m, err := probe.ParseMatch("level=error")
	if err != nil {
		t.Fatal(err)
	}
	l := probe.Log{Limits: limits(), From: probe.Instances{Client: &http.Client{}, Token: secret}}
	at := func(ms int64) time.Time { return time.UnixMilli(start + ms) }
	out := l.Count(t.Context(), m, at(100), at(500), []probe.Target{{Name: "a", URL: url}, {Name: "young", URL: young, Started: start}, {Name: "b", URL: young}})
	for _, r := range out {
		safe(t, r)
	}
	same(t, out[0], map[string]any{
		"count": 2.0, "seen": 4.0, "complete": 1.0, "first_time": 1000.2, "last_time": 1000.4,
		"first": "1970-01-01T00:16:40Z error one k=v***", "last": "1970-01-01T00:16:40Z error two k=v***",
	})
	same(t, out[1], map[string]any{"count": 0.0, "seen": 1.0, "complete": 1.0})
	same(t, out[2], map[string]any{"count": 0.0, "seen": 1.0, "complete": 0.0})
	short := l.Count(t.Context(), m, at(50), at(500), []probe.Target{{Name: "a", URL: url}})
	if short[0].Fields["complete"] != probe.Number(0) {
		t.Errorf("a log that begins inside the window = %+v, want complete 0", short[0])
	}
}

func TestLogFailures(t *testing.T) {
	m, err := probe.ParseMatch("level=error")
	if err != nil {
		t.Fatal(err)
	}
	count := func(l probe.Log, url string) probe.Result {
		return l.Count(t.Context(), m, time.Unix(0, 0), time.Unix(10, 0), []probe.Target{{Name: "a", URL: url}})[0]
	}
	l := probe.Log{Limits: limits(), From: probe.Instances{Client: &http.Client{}}}
	failed(t, count(l, kept(t)), "status 401: this call needs the operations token")
	for body, reason := range map[string]string{"": "not a log", "{}": "not a log", "\x1b[0m" + secret: "not a log", strings.Repeat(" ", 17<<20): "too large"} {
		srv := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		failed(t, count(l, srv.URL), reason)
	}
	l.From = records(func(context.Context) error { return errors.New("token " + secret) })
	failed(t, count(l, ""), "token ***")
	l.Timeout = short
	l.From = records(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	failed(t, count(l, ""), "no answer within")
}

type records func(context.Context) error

func (f records) Records(ctx context.Context, _ probe.Target, _ time.Time) ([]wire.LogRecord, bool, error) {
	return nil, false, f(ctx)
}
