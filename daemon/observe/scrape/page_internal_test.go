package scrape

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/spark-ta/spark/core/wire"
)

// FuzzPage: what is taken of a page has names of the format, the target's labels
// untouched, no series twice, no value that reads as a stale marker; and the same
// page read again gives the same series.
func FuzzPage(f *testing.F) {
	for _, s := range []string{
		"a 1\n", "a{b=\"c\"} 2 3\n", "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 3\nh_count 4\n",
		"# TYPE s summary\ns{quantile=\"0.5\"} NaN\ns_sum 1\ns_count 2\n", "a{instance=\"x\",exported_instance=\"y\"} 1\n",
		"# TYPE c counter\nc 1\nc{x=\"\"} 2\n", "up 1\n", "x{a=\"\\n\\\"\"} +Inf\n", "{\"a\",b=\"c\"} 1\n",
		"# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_bucket{le=\"+Inf\"} 2\n", "a{__name__=\"b\"} 1\n",
		"# TYPE x gauge\nx{le=\"1\"} 1\n# TYPE y counter\ny{quantile=\"1\"} 1\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, page []byte) {
		x := newTarget(Target{URL: "http://x/", Labels: map[string]string{"job": "spark", "instance": "a"}})
		first, err := x.parse(bytes.Clone(page), 1000)
		if err != nil {
			if text := reason(err, time.Second); len(text) > 200 || bytes.ContainsAny([]byte(text), "\x00\x1b\n") {
				t.Errorf("reason %q", text)
			}
			return
		}
		seen := map[string]bool{}
		for _, p := range first {
			ls := p.series.labels
			if name := ls.Get(model.MetricNameLabel); !model.LegacyValidation.IsValidMetricName(name) || name == wire.SeriesUp {
				t.Errorf("name %q", name)
			}
			if ls.Get("job") != "spark" || ls.Get("instance") != "a" {
				t.Errorf("labels %s", ls)
			}
			if seen[ls.String()] {
				t.Errorf("%s twice", ls)
			}
			seen[ls.String()] = true
			ls.Range(func(l labels.Label) {
				if l.Value == "" {
					t.Errorf("empty label %s in %s", l.Name, ls)
				}
			})
			if math.Float64bits(p.value) == math.Float64bits(stale()) {
				t.Errorf("%s has the value of a stale marker", ls)
			}
		}
		again, err := x.parse(page, 1000)
		if err != nil || len(again) != len(first) {
			t.Fatalf("read again: %d samples, %v; want %d", len(again), err, len(first))
		}
		for _, p := range again {
			if !seen[p.series.labels.String()] {
				t.Errorf("%s only the second time", p.series.labels)
			}
		}
	})
}

// A target that sends other garbage each time must not fill the memory.
func TestGarbageIsForgotten(t *testing.T) {
	x := newTarget(Target{URL: "http://x/", Labels: map[string]string{"instance": "a"}})
	w := &writer{sink: discard{}}
	for i := range 50 {
		w.at++
		_, err := x.parse(fmt.Appendf(nil, "a%d 1\nb%d 1\nup 1\n", i, i), 10)
		if err == nil {
			t.Fatal("a page with up was taken")
		}
		x.take(w, page{err: err}, w.at-1)
	}
	if len(x.series) != 0 || len(x.hashes) != len(x.rows()) {
		t.Errorf("%d series and %d hashes kept, want 0 and %d", len(x.series), len(x.hashes), len(x.rows()))
	}
	for i := range 50 {
		w.at++
		points, err := x.parse(fmt.Appendf(nil, "a%d 1\n", i), 10)
		if err != nil {
			t.Fatal(err)
		}
		x.take(w, page{points: points}, w.at-1)
	}
	if len(x.series) > 2 {
		t.Errorf("%d series kept after churn, want at most 2", len(x.series))
	}
}

type discard struct{}

func (discard) Series(ls labels.Labels) uint64   { return ls.Hash() }
func (discard) Add(uint64, int64, float64) error { return nil }
func (discard) Commit() error                    { return nil }

// pageOf is a page of 500 series: 250 counters and 10 histograms of 23 buckets.
func pageOf() []byte {
	var b bytes.Buffer
	b.WriteString("# TYPE errors_total counter\n")
	for i := range 250 {
		fmt.Fprintf(&b, "errors_total{channel=\"c%d\",reason=\"r%d\"} %d\n", i/10, i%10, i)
	}
	for h := range 10 {
		fmt.Fprintf(&b, "# TYPE h%d_seconds histogram\n", h)
		for i := range 23 {
			fmt.Fprintf(&b, "h%d_seconds_bucket{le=\"%d\"} %d\n", h, i, i)
		}
		fmt.Fprintf(&b, "h%d_seconds_bucket{le=\"+Inf\"} 40\nh%d_seconds_sum 3\nh%d_seconds_count 40\n", h, h, h)
	}
	return b.Bytes()
}

func BenchmarkRound(b *testing.B) {
	body := pageOf()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer srv.Close()
	s := &Scraper{
		Sink: discard{}, Client: srv.Client(), Log: slog.New(slog.DiscardHandler),
		Self: map[string]string{"instance": "o"},
	}
	targets := []Target{{URL: srv.URL, Labels: map[string]string{"instance": "a"}}}
	s.Discover = func(context.Context) ([]Target, error) { return targets, nil }
	now := time.Unix(1, 0)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(15 * time.Second)
		if err := s.Round(b.Context(), now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAfterParsing is the part of a round that is ours: from the families to
// the sink.
func BenchmarkAfterParsing(b *testing.B) {
	x := newTarget(Target{URL: "http://x/", Labels: map[string]string{"job": "spark", "instance": "a"}})
	families, err := x.parser.TextToMetricFamilies(bytes.NewReader(pageOf()))
	if err != nil {
		b.Fatal(err)
	}
	w := &writer{sink: discard{}}
	b.ReportAllocs()
	for b.Loop() {
		w.at += 15000
		points, err := x.flatten(families, 20000)
		if err != nil {
			b.Fatal(err)
		}
		x.take(w, page{points: points}, w.at-15000)
	}
	b.ReportMetric(float64(len(x.series)), "series")
}
