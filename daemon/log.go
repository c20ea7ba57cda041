package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/event"
)

// logger writes one record per line, counts records by level, keeps the newest
// for PathLogs and masks the secrets it was given wherever they appear.
type logger struct {
	inner    slog.Handler
	meter    *meter
	recent   *event.Log
	notable  *event.Log // gets warnings and errors too
	instance string
	attrs    []slog.Attr
	group    string
}

func newLogger(w io.Writer, format string, level slog.Leveler, secrets []string, m *meter, recent, notable *event.Log, instance string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	var inner slog.Handler = slog.NewTextHandler(w, opts)
	if format == "json" {
		inner = slog.NewJSONHandler(w, opts)
	}
	return slog.New(&masked{mask: masker(secrets), next: &logger{inner: inner, meter: m, recent: recent, notable: notable, instance: instance}})
}

// masker replaces each secret of at least four characters; shorter ones would
// blot out ordinary words.
func masker(secrets []string) *strings.Replacer {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 4 {
			pairs = append(pairs, s, "***")
		}
	}
	return strings.NewReplacer(pairs...)
}

// masked masks attributes before any handler sees them.
type masked struct {
	mask *strings.Replacer
	next slog.Handler
}

func (m *masked) Enabled(ctx context.Context, l slog.Level) bool { return m.next.Enabled(ctx, l) }

func (m *masked) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, m.mask.Replace(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(m.attr(a))
		return true
	})
	return m.next.Handle(ctx, clean)
}

func (m *masked) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, m.mask.Replace(v.String()))
	case slog.KindAny:
		return slog.String(a.Key, m.mask.Replace(fmt.Sprint(v.Any())))
	default:
		return slog.Attr{Key: a.Key, Value: v}
	}
}

func (m *masked) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, 0, len(attrs))
	for _, a := range attrs {
		clean = append(clean, m.attr(a))
	}
	return &masked{mask: m.mask, next: m.next.WithAttrs(clean)}
}

func (m *masked) WithGroup(name string) slog.Handler {
	return &masked{mask: m.mask, next: m.next.WithGroup(name)}
}

func (l *logger) Enabled(ctx context.Context, level slog.Level) bool {
	return l.inner.Enabled(ctx, level)
}

func (l *logger) Handle(ctx context.Context, r slog.Record) error {
	level := levelName(r.Level)
	l.meter.Add(wire.MetricLogRecords, 1, level)
	attrs := map[string]string{}
	for _, a := range l.attrs {
		attrs[a.Key] = a.Value.String()
	}
	r.Attrs(func(a slog.Attr) bool {
		attrs[l.group+a.Key] = a.Value.String()
		return true
	})
	record := func(seq int64) any {
		return wire.LogRecord{Seq: seq, Time: r.Time.UnixMilli(), Level: level, Message: r.Message, Attrs: attrs, Instance: l.instance}
	}
	l.recent.Insert(wire.EventLog, record)
	if r.Level >= slog.LevelWarn {
		l.notable.Insert(wire.EventLog, record)
	}
	return l.inner.Handle(ctx, r)
}

func (l *logger) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *l
	c.inner = l.inner.WithAttrs(attrs)
	c.attrs = append(l.attrs[:len(l.attrs):len(l.attrs)], attrs...)
	return &c
}

func (l *logger) WithGroup(name string) slog.Handler {
	c := *l
	c.inner = l.inner.WithGroup(name)
	c.group = l.group + name + "."
	return &c
}

func levelName(l slog.Level) string {
	switch {
	case l < slog.LevelInfo:
		return "debug"
	case l < slog.LevelWarn:
		return "info"
	case l < slog.LevelError:
		return "warn"
	default:
		return "error"
	}
}
