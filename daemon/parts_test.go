package daemon

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/event"
)

func TestTheFirstPartThatEndsEndsTheOthers(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name string
		run  func(context.Context) error
		want string
	}{
		{"with an error", func(context.Context) error { return broken }, "odd: broken"},
		{"by itself", func(context.Context) error { return nil }, "odd: stopped by itself"},
	}
	for _, tt := range tests {
		waited := false
		err := runAll(t.Context(),
			component{"steady", func(ctx context.Context) error { <-ctx.Done(); waited = true; return ctx.Err() }},
			component{"odd", tt.run},
		)
		if err == nil || err.Error() != tt.want || !waited {
			t.Errorf("%s: runAll = %v (others ended: %v), want %q", tt.name, err, waited, tt.want)
		}
	}
}

func TestPartsThatEndWithTheContextAreNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		err := runAll(ctx,
			component{"nil", func(ctx context.Context) error { <-ctx.Done(); return nil }},
			component{"canceled", func(ctx context.Context) error { <-ctx.Done(); return context.Canceled }},
		)
		if err != nil {
			t.Errorf("runAll = %v, want nil", err)
		}
	})
}

func TestEveryMetricStartsAtZero(t *testing.T) {
	m := newMeter("v1", "abc")
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]int{}
	for _, f := range families {
		lines[f.GetName()] = len(f.GetMetric())
	}
	for _, w := range wire.Metrics() {
		want := 1
		for _, l := range w.Labels {
			want *= len(l.Values)
		}
		if w.Name == wire.MetricBuildInfo {
			want = 1
		}
		if lines[w.Name] != want {
			t.Errorf("%s has %d lines, want %d", w.Name, lines[w.Name], want)
		}
	}
}

func TestALabelOutsideTheContractIsABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Errorf("an unknown label value passed")
		}
	}()
	newMeter("", "").Add(wire.MetricNotificationsSent, 1, "pigeon")
}

func TestSecretsReachNoLog(t *testing.T) {
	var out bytes.Buffer
	records, notable := event.NewLog(10, 0), event.NewLog(10, 0)
	m := newMeter("", "")
	log := newLogger(&out, "text", slog.LevelInfo, []string{"hunter22", "ab"}, m, records, notable, "i-1")
	log.Debug("not written hunter22")
	log.Info("said hunter22", "url", "redis://u:hunter22@x", "n", 3)
	log.With("token", "hunter22").WithGroup("g").Error("gave up", "err", errors.New("auth hunter22 refused"))
	if got := out.String(); strings.Contains(got, "hunter22") || strings.Count(got, "\n") != 2 || !strings.Contains(got, "***") {
		t.Errorf("log:\n%s", got)
	}
	all, _ := records.Since(0)
	if len(all) != 2 {
		t.Fatalf("%d records kept, want 2", len(all))
	}
	for _, e := range all {
		rec := e.Data.(wire.LogRecord)
		if strings.Contains(rec.Message, "hunter22") || strings.Contains(strings.Join(values(rec.Attrs), " "), "hunter22") || rec.Instance != "i-1" {
			t.Errorf("record %+v", rec)
		}
	}
	if warnings, _ := notable.Since(0); len(warnings) != 1 || warnings[0].Data.(wire.LogRecord).Level != "error" {
		t.Errorf("notable %v, want the error alone", warnings)
	}
}

func values(m map[string]string) []string {
	var out []string
	for _, v := range m {
		out = append(out, v)
	}
	return out
}
