package probe_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/daemon/observe/probe"
)

// secret is masked wherever it appears.
const secret = "hush-hush-7"

func limits() probe.Limits {
	return probe.Limits{Timeout: 20 * time.Second, Mask: func(s string) string { return strings.ReplaceAll(s, secret, "***") }}
}

func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv
}

// plain returns fields as numbers and strings, without those that vary.
func plain(r probe.Result, without ...string) map[string]any {
	out := map[string]any{}
	for name, v := range r.Fields {
		if v.IsText {
			out[name] = v.Text
		} else {
			out[name] = v.Num
		}
	}
	for _, name := range append(without, "latency", "took") {
		delete(out, name)
	}
	return out
}

func same(t *testing.T, r probe.Result, want map[string]any, without ...string) {
	t.Helper()
	if diff := cmp.Diff(want, plain(r, without...)); diff != "" {
		t.Errorf("%s: fields (-want +got):\n%s", r.Target, diff)
	}
}

// safe fails on what must never be in a result.
func safe(t *testing.T, r probe.Result) {
	t.Helper()
	texts := []string{}
	if r.Err != nil {
		texts = append(texts, r.Err.Error())
	}
	for name, v := range r.Fields {
		texts = append(texts, name, v.Text)
	}
	for _, s := range texts {
		if strings.Contains(s, secret) || strings.ContainsAny(s, "\x00\x1b\r\u202e") {
			t.Errorf("%s: %q is not safe", r.Target, s)
		}
	}
}

func failed(t *testing.T, r probe.Result, reason string) {
	t.Helper()
	if r.Err == nil || !strings.Contains(r.Err.Error(), reason) {
		t.Errorf("%s: error = %v, want one with %q", r.Target, r.Err, reason)
	}
	safe(t, r)
}

// short is the timeout of what never answers; of anything else a slow machine must
// not be the reason to fail.
const short = 150 * time.Millisecond
