package live

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// Limits of what is asked and kept of a query.
const (
	queryPatience = 5 * time.Second
	leastStep     = 15 * time.Second // the observer's own distance of samples
	graphPoints   = 240              // columns that the widest terminal has for a graph
)

// MaxLines is the most lines of a [Graph].
const MaxLines = 4

// Series is a line of figures on a grid of times; NaN is a hole.
type Series struct {
	Name    safetext.Text // its labels, those that differ
	Figures []float64
}

// errForm is an answer that is no matrix.
var errForm = errors.New("the answer is no matrix")

// matrix is the answer of Prometheus' range query.
type matrix struct {
	Data struct {
		Type   string `json:"resultType"`
		Result []struct {
			Metric map[string]string `json:"metric"`
			Values []sampled         `json:"values"`
		} `json:"result"`
	} `json:"data"`
}

// sampled is one sample: [seconds, "figure"].
type sampled struct{ at, figure float64 }

func (s *sampled) UnmarshalJSON(data []byte) error {
	var text string
	pair := [2]any{&s.at, &text}
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(text, 64)
	s.figure = v
	return err
}

// stepFor returns the distance of samples at which a window has at most n of them.
func stepFor(window time.Duration, n int) time.Duration {
	step := (window + time.Duration(n) - 1) / time.Duration(n)
	return max((step + time.Second - 1).Truncate(time.Second), leastStep)
}

// queryRange asks for a query's figures from…to. The series come sorted by name.
func (l *Live) queryRange(ctx context.Context, query string, from, to time.Time, step time.Duration) ([]Series, error) {
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1000, 'f', 3, 64) }
	values := url.Values{
		"query": {query}, "start": {seconds(from.UnixMilli())}, "end": {seconds(to.UnixMilli())}, "step": {seconds(step.Milliseconds())},
	}
	var m matrix
	if err := l.get(ctx, join(l.URL, wire.PathQueryRange, values), queryPatience, &m); err != nil {
		return nil, err
	}
	if m.Data.Type != "matrix" {
		return nil, errForm
	}
	n := int(to.Sub(from)/step) + 1
	out := make([]Series, 0, min(len(m.Data.Result), 1000))
	labels := make([]map[string]string, 0, cap(out))
	for _, r := range m.Data.Result[:cap(out)] {
		s := Series{Figures: make([]float64, n)}
		for i := range s.Figures {
			s.Figures[i] = math.NaN()
		}
		for _, v := range r.Values {
			at := math.Round((v.at*1000 - float64(from.UnixMilli())) / float64(step.Milliseconds()))
			if at >= 0 && at < float64(n) {
				s.Figures[int(at)] = finite(v.figure)
			}
		}
		out = append(out, s)
		labels = append(labels, r.Metric)
	}
	for i := range out {
		out[i].Name = nameOf(labels[i], labels)
	}
	slices.SortStableFunc(out, func(a, b Series) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// nameOf names a series by the labels in which the series differ, so that a legend
// says what tells its lines apart and no more.
func nameOf(labels map[string]string, all []map[string]string) safetext.Text {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v := labels[k]
		if len(all) == 1 || slices.ContainsFunc(all, func(m map[string]string) bool { return m[k] != v }) {
			if k == "__name__" || k == "instance" {
				parts = append(parts, v)
			} else {
				parts = append(parts, fmt.Sprintf("%s=%s", k, v))
			}
		}
	}
	return clean(strings.Join(parts, " "))
}

// GraphOf names a graph: a query over a window of the run's clock. A zero To is now.
type GraphOf struct {
	Query    safetext.Text
	From, To time.Time
}

// Graph is the figures of the chosen [GraphOf].
type Graph struct {
	Rev      uint64
	Of       GraphOf
	From, To time.Time // what was asked for
	Lines    []Series
	More     int // series beyond those in Lines
	Loading  bool
	Err      safetext.Text
}

// ShowGraph chooses the graph; the zero value is none. It does not block.
func (l *Live) ShowGraph(g GraphOf) {
	l.care.mu.Lock()
	changed := l.care.graph != g
	l.care.graph = g
	l.care.mu.Unlock()
	if changed {
		nudge(l.care.redraw)
	}
}

func (c *care) chosen() GraphOf {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.graph
}

// runGraph keeps the chosen graph up to date. A figure of one query is never in the
// picture under the name of another: the picture says which it is of.
func (l *Live) runGraph(ctx context.Context) error {
	return l.every(ctx, leastStep, l.care.redraw, func(ctx context.Context) {
		of := l.care.chosen()
		old := l.board.look().Graph
		if of == (GraphOf{}) {
			if old.Of != of {
				l.board.change(func(p *Picture, rev uint64) { p.Graph = Graph{Rev: rev} })
			}
			return
		}
		if old.Of.Query != of.Query {
			l.board.change(func(p *Picture, rev uint64) { p.Graph = Graph{Rev: rev, Of: of, Loading: true} })
		} else if old.Of == of && !of.To.IsZero() && old.Err == "" && of.To.Before(l.now()) {
			return // the past does not change
		}
		g := Graph{Of: of, From: of.From, To: of.To}
		if g.To.IsZero() {
			g.To = l.now()
		}
		if g.From.IsZero() || !g.From.Before(g.To) {
			g.From = g.To.Add(-time.Hour)
		}
		step := stepFor(g.To.Sub(g.From), graphPoints)
		lines, err := l.queryRange(ctx, string(of.Query), g.From, g.To, step)
		if ctx.Err() != nil || l.care.chosen() != of {
			return // the answer comes too late
		}
		g.Lines, g.Err = oldest(lines, MaxLines), cause(err)
		g.More = len(lines) - len(g.Lines)
		l.board.change(func(p *Picture, rev uint64) {
			if err != nil && p.Graph.Of.Query == of.Query {
				g.Lines, g.From, g.To = p.Graph.Lines, p.Graph.From, p.Graph.To // the last figures stay
			}
			g.Rev = rev
			p.Graph = g
		})
	})
}

// now returns the time of the observer's samples: the run's in a rehearsal.
func (l *Live) now() time.Time {
	p := l.board.look()
	if p.Care.Run != nil && p.Care.Run.Rehearsal && !p.Care.Now.IsZero() {
		return p.Care.Now
	}
	return time.Now().Add(p.Skew)
}
