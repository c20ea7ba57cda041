package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/daemon/store"
	"github.com/spark-ta/spark/daemon/store/redis"
)

func TestOpenChecksItsOptions(t *testing.T) {
	for _, o := range []redis.Options{
		{URL: "redis://h", Namespace: "with space"}, {URL: "redis://h", Namespace: "a{b}"}, {URL: "redis://h", Namespace: "a:"},
		{URL: "redis://h", HistoryLimit: -1},
	} {
		if _, err := redis.Open(o); err == nil {
			t.Errorf("Open(%+v) = nil, want an error", o)
		}
	}
	_, err := redis.Open(redis.Options{URL: "redis://:hunter2@host/a/b"})
	if err == nil || !strings.Contains(err.Error(), "redis://:***@host/a/b") || !strings.Contains(err.Error(), "number of a database") {
		t.Errorf("Open = %v, want the URL without its password, and what is allowed", err)
	}
	for _, url := range []string{"rediss://user:pw@localhost:1/2", "redis+sentinel://a,b/m", "redis://a,b"} {
		s, err := redis.Open(redis.Options{URL: url})
		if err != nil {
			t.Fatalf("Open(%s): %v", url, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestNoServerIsUnavailable(t *testing.T) {
	for _, url := range []string{
		"redis://:hunter2@localhost", "rediss://:hunter2@localhost",
		"redis+sentinel://:hunter2@a,b,c/m?sentinel_password=hunter2", "redis://:hunter2@a,b",
	} {
		t.Run(redis.ShowURL(url), func(t *testing.T) { noServer(t, url) })
	}
}

func noServer(t *testing.T, url string) {
	refused := errors.New("connection refused")
	s, err := redis.Open(redis.Options{
		URL:  url,
		Dial: func(context.Context, string, string) (net.Conn, error) { return nil, refused },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	ctx := t.Context()
	tok := store.Token{Holder: "h", Epoch: 1, Nonce: "n"}
	ev := alert.Event{ID: "e", AlertID: "a"}
	for name, call := range map[string]func() error{
		"Ping":          func() error { _, err := s.Ping(ctx); return err },
		"CreateAlert":   func() error { return s.CreateAlert(ctx, alert.Alert{ID: "a"}) },
		"Alert":         func() error { _, err := s.Alert(ctx, "a"); return err },
		"Alerts":        func() error { _, _, err := s.Alerts(ctx); return err },
		"SetActive":     func() error { _, err := s.SetActive(ctx, "a", true, 1); return err },
		"DeleteAlert":   func() error { return s.DeleteAlert(ctx, "a") },
		"SetAlertError": func() error { return s.SetAlertError(ctx, tok, "a", 1, "x") },
		"ActiveCount":   func() error { _, err := s.ActiveCount(ctx); return err },
		"Changes":       func() error { _, _, err := s.Changes(ctx, "", 1); return err },
		"WaitChange":    func() error { return s.WaitChange(ctx, "1-0") },
		"Acquire":       func() error { _, err := s.Acquire(ctx, "h", "n", 1e9, 0); return err },
		"Renew":         func() error { _, err := s.Renew(ctx, tok, 1e9, 0); return err },
		"Verify":        func() error { _, err := s.Verify(ctx, tok); return err },
		"Release":       func() error { return s.Release(ctx, tok) },
		"Holder":        func() error { _, err := s.Holder(ctx); return err },
		"Trigger":       func() error { _, err := s.Trigger(ctx, tok, []alert.Event{ev}, 1); return err },
		"History":       func() error { _, err := s.History(ctx, "a", 1); return err },
		"Advance":       func() error { return s.Advance(ctx, tok, []store.Watermark{{}}) },
		"Watermarks":    func() error { _, err := s.Watermarks(ctx); return err },
		"Claim":         func() error { _, err := s.Claim(ctx, "c", 1, 1e9, 1); return err },
		"Finish":        func() error { return s.Finish(ctx, store.Outcome{ID: "d", Claim: "c", State: store.Sent}) },
		"Promote":       func() error { _, _, err := s.Promote(ctx, 1, 1); return err },
		"Depth":         func() error { _, err := s.Depth(ctx, 1); return err },
		"Dead":          func() error { _, err := s.Dead(ctx, 1); return err },
	} {
		err := call()
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s without a server = %v, want ErrUnavailable", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Ping(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Ping with a cancelled context = %v, want it to say so", err)
	}
}
