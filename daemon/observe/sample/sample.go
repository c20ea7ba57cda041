// Package sample keeps what the observer scraped and answers questions about it in
// PromQL.
//
// It owns three things: the [Store], an append-only memory of samples with a
// write-ahead log; the [Querier], one interface with two implementations, the engine
// of Prometheus over the store ([Local]) and a real server ([Remote]); and the [API],
// the part of Prometheus' HTTP interface that Grafana, promtool and our consoles
// need. It does not scrape (daemon/observe/probe), does not judge (core/plan) and
// knows no metric by name.
//
// Prometheus' Go interface is unstable (v0.x). It is imported by this package and by
// nothing that imports this package's results: [Vector], [Matrix] and their parts
// are plain. The pinned version is held to Debian's real server by a set of golden
// queries.
//
// # The store
//
//	Add ─▶ pending ─ Commit ─▶ write-ahead log ─ fsync ─▶ columns ─ publish ─▶ view
//	                                                                            ▲
//	                                        a query takes one view and keeps it ┘
//
// A column is one series: sealed chunks of 240 samples, compressed as Prometheus
// does it (XOR), and a head of plain points. Points are only ever written behind the
// length that any reader knows, so a view needs no lock and no copy of samples: it
// is the table of slice headers as of one Commit. Every query sees whole commits,
// all of its selectors the same ones, and neither side waits for the other.
//
// # On disk
//
// Options.Dir is a data directory of Prometheus: Dir/wal holds segments in its own
// format (records of series and samples version 1, snappy), and a stock Prometheus
// 2.42 or newer that is started on a copy of it answers with the same numbers. A
// series is logged once, before its first sample: a second record makes Prometheus
// forget the samples in between.
//
// Commit acknowledges after an fsync. A torn tail, which is what a crash leaves, is
// cut at the next Open. A segment that is damaged further up is written again without
// the pages of 32 KiB that are broken, some minutes of samples, and the segments
// behind it are kept; Prometheus itself would throw away everything from there on.
// What was cut is logged. When the disk refuses
// a write, Commit says so and keeps what is pending; the next Commit mends the log
// first, and tries again.
//
// # Retention
//
// Everything within Keep (72 h) of the newest sample stays, and everything since
// [Store.Hold], however old. The rest goes in whole chunks from memory and in whole
// segments from the disk, with a checkpoint in their place.
//
// # Two engines
//
// Ranges are left-open in this engine and closed in Prometheus 2.x: a sample that
// lies exactly on the far edge of a window counts there and not here. Look-back is
// three scrapes here and five minutes on a server by default. [Source] states it, so
// that nobody takes a silent target for a healthy one.
package sample

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Label is one label. The name of the metric is the label "__name__".
type Label struct {
	Name, Value string
}

// NameLabel is the label that holds the name of a metric.
const NameLabel = "__name__"

// Labels are sorted by name; a name occurs once.
type Labels []Label

// Get returns the value of a label, "" when there is none.
func (ls Labels) Get(name string) string {
	for _, l := range ls {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// String returns the labels as PromQL writes them: name{a="b", c="d"}.
func (ls Labels) String() string {
	var b strings.Builder
	b.WriteString(ls.Get(NameLabel))
	open := false
	for _, l := range ls {
		switch {
		case l.Name == NameLabel:
			continue
		case open:
			b.WriteString(", ")
		default:
			b.WriteByte('{')
			open = true
		}
		b.WriteString(l.Name)
		b.WriteByte('=')
		b.WriteString(strconv.Quote(l.Value))
	}
	switch {
	case open:
		b.WriteByte('}')
	case b.Len() == 0:
		b.WriteString("{}")
	}
	return b.String()
}

// Compare orders labels by their names and values, in turn.
func (ls Labels) Compare(other Labels) int {
	return slices.CompareFunc(ls, other, func(a, b Label) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
}

// Sample is one value at one time.
type Sample struct {
	Labels Labels
	T      int64 // ms since 1970
	V      float64
}

// Vector is the result of an instant query.
type Vector []Sample

// Point is one value of a series.
type Point struct {
	T int64 // ms since 1970
	V float64
}

// Series is a line of points, sorted by time.
type Series struct {
	Labels Labels
	Points []Point
}

// Matrix is the result of a range query.
type Matrix []Series

// Kind says where answers come from.
type Kind string

// The kinds of sources.
const (
	KindLocal  Kind = "local"
	KindRemote Kind = "remote"
)

// Source describes what answers, for the evidence.
type Source struct {
	Kind    Kind
	Version string // of the engine or the server
	// LookBack is how long a series is taken to be alive after its last sample when
	// nothing marked it stale.
	LookBack time.Duration
	// First and Last are the times of the oldest and the newest sample, zero when
	// there is none or it is not known. A remote server tells them of its newest few
	// hours only, so its First may be too late, never too early.
	First, Last time.Time
	// BirthBlind is true when a counter's first value is no increase: whoever wrote
	// these samples did not put a zero before it.
	BirthBlind bool
}

// Querier answers PromQL. Results are sorted by labels, except that an instant
// result keeps the order of an expression whose outermost function is one of sort,
// sort_desc, sort_by_label and sort_by_label_desc. A scalar is one sample without
// labels. No result and no error is an answer: nothing matched.
//
// An error is a [*SyntaxError], a [*QueryError], or a [Warnings]; with Warnings the
// result is there as well and may be incomplete. Whoever takes every error for "no
// evidence" is on the safe side.
type Querier interface {
	// Instant evaluates at one time.
	Instant(ctx context.Context, expr string, at time.Time) (Vector, error)
	// Range evaluates at from, from+step … up to and including to. The step is at
	// least 1 ms and from is not after to.
	Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (Matrix, error)
	// Info describes the source.
	Info(ctx context.Context) (Source, error)
}

// Lister tells which series exist. Each matcher is a selector such as
// up{job="spark"}; a series counts when any of them matches, and with no matcher at
// all. A zero time leaves that end open. Results are sorted; limit 0 means all.
// Errors are those of [Querier].
type Lister interface {
	Series(ctx context.Context, matchers []string, from, to time.Time, limit int) ([]Labels, error)
	LabelNames(ctx context.Context, matchers []string, from, to time.Time, limit int) ([]string, error)
	LabelValues(ctx context.Context, name string, matchers []string, from, to time.Time, limit int) ([]string, error)
}

// Raw returns samples as they were written: Samples evaluates an expression that is a
// range, such as up[5m], at one time. Errors are those of [Querier].
type Raw interface {
	Samples(ctx context.Context, expr string, at time.Time) (Matrix, error)
}

// Warnings are what the source had to say about an answer that it gave.
type Warnings []string

func (w Warnings) Error() string {
	return "the answer comes with a warning: " + strings.Join(w, "; ")
}

// Trouble is the class of a [QueryError], in the words of Prometheus' HTTP API.
type Trouble string

// The classes of errors.
const (
	TroubleBadData     Trouble = "bad_data"    // the question is wrong
	TroubleExecution   Trouble = "execution"   // it cannot be answered
	TroubleTimeout     Trouble = "timeout"     // not in time
	TroubleCanceled    Trouble = "canceled"    // the caller went away
	TroubleUnavailable Trouble = "unavailable" // a remote source is not there
)

// QueryError is a query without an answer. It never holds a credential.
type QueryError struct {
	Trouble Trouble
	Msg     string
}

func (e *QueryError) Error() string { return e.Msg }
