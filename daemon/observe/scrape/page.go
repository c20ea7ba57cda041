package scrape

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Limits of one series, name included.
const (
	maxLabels     = 32
	maxLabelBytes = 4 << 10
)

// page is what a target answered: its samples, or why there are none.
type page struct {
	points []point
	err    error // its text is safe to show
	took   time.Duration
}

type point struct {
	series *series
	value  float64
}

type limits struct {
	timeout time.Duration
	body    int64
	samples int
}

func lastResponse(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// fetch reads the target's page.
func (t *target) fetch(ctx context.Context, client *http.Client, l limits) page {
	if t.heir != "" {
		return page{err: fmt.Errorf("vanished, and its address belongs to %s now", t.heir)}
	}
	began := time.Now()
	points, err := t.read(ctx, client, l)
	p := page{points: points, took: time.Since(began)}
	if err != nil {
		p.points, p.err = nil, errors.New(reason(err, l.timeout))
	}
	return p
}

func (t *target) read(ctx context.Context, client *http.Client, l limits) ([]point, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	body, err := download(ctx, client, t.URL, l.body)
	if err != nil {
		return nil, err
	}
	return t.parse(body, l.samples)
}

// download returns the text of a page, unpacked. It asks for gzip itself, so that
// the limit holds for what is unpacked whatever the client's transport does.
func download(ctx context.Context, client *http.Client, address string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "spark-observer/1")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, plain(fmt.Sprintf("answered with status %d", resp.StatusCode))
	}
	var from io.Reader = resp.Body
	switch resp.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		if from, err = gzip.NewReader(resp.Body); err != nil {
			return nil, err
		}
	default:
		return nil, plain(fmt.Sprintf("content encoding %.20q", resp.Header.Get("Content-Encoding")))
	}
	var text bytes.Buffer
	n, err := text.ReadFrom(io.LimitReader(from, most+1))
	switch {
	case err != nil:
		return nil, err
	case n > most:
		return nil, plain(fmt.Sprintf("page of more than %d bytes", most))
	}
	return text.Bytes(), nil
}

// plain is an error whose text can be shown as it is.
type plain string

func (p plain) Error() string { return string(p) }

// reason is the text of an error, without the address that net/http puts into it
// and which may hold credentials.
func reason(err error, timeout time.Duration) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %s", timeout)
	}
	return short(err.Error(), 200)
}

// parse returns the samples of a page of at most most samples. It changes nothing
// that a page which is not taken should not change, except that it may add series,
// which are swept like those that are gone.
func (t *target) parse(body []byte, most int) ([]point, error) {
	families, err := t.parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return t.flatten(families, most)
}

// flatten returns the samples of a page's families.
func (t *target) flatten(families map[string]*dto.MetricFamily, most int) ([]point, error) {
	t.pages++
	for _, s := range t.rows() {
		s.page = t.pages // a page that has one of ours has a series twice
	}
	r := reading{target: t, most: most, points: make([]point, 0, len(t.series)+16)}
	for _, f := range families {
		if err := r.family(f); err != nil {
			return nil, err
		}
	}
	return r.points, nil
}

// reading is a page on its way to points.
type reading struct {
	target *target
	most   int
	points []point
	key    []byte
}

// line is one sample of a family. suffix is _bucket and its like, extra the label
// that only the suffix or the type brings: le and quantile.
type line struct {
	name, suffix      string
	labels            []*dto.LabelPair
	extra, extraValue string
	counter           bool
}

func (r *reading) family(f *dto.MetricFamily) error {
	for _, m := range f.GetMetric() {
		l := line{name: f.GetName(), labels: m.GetLabel()}
		var err error
		switch f.GetType() {
		case dto.MetricType_COUNTER:
			l.counter = true
			err = r.add(l, m.GetCounter().GetValue())
		case dto.MetricType_GAUGE:
			err = r.add(l, m.GetGauge().GetValue())
		case dto.MetricType_SUMMARY:
			err = r.summary(l, m.GetSummary())
		case dto.MetricType_HISTOGRAM:
			err = r.histogram(l, m.GetHistogram())
		default:
			err = r.add(l, m.GetUntyped().GetValue())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) summary(l line, s *dto.Summary) error {
	for _, q := range s.GetQuantile() {
		at := l
		at.extra, at.extraValue = model.QuantileLabel, number(q.GetQuantile())
		if err := r.add(at, q.GetValue()); err != nil {
			return err
		}
	}
	return r.total(l, s.GetSampleSum(), float64(s.GetSampleCount()))
}

// total adds what summaries and histograms have in common.
func (r *reading) total(l line, sum, count float64) error {
	l.counter = true
	l.suffix = "_sum"
	if err := r.add(l, sum); err != nil {
		return err
	}
	l.suffix = "_count"
	return r.add(l, count)
}

func (r *reading) histogram(l line, h *dto.Histogram) error {
	count := float64(h.GetSampleCount())
	if h.SampleCountFloat != nil {
		count = h.GetSampleCountFloat()
	}
	at := l
	at.suffix, at.extra, at.counter = "_bucket", model.BucketLabel, true
	last := math.Inf(-1)
	for _, b := range h.GetBucket() {
		v := float64(b.GetCumulativeCount())
		if b.CumulativeCountFloat != nil {
			v = b.GetCumulativeCountFloat()
		}
		last = max(last, b.GetUpperBound())
		at.extraValue = number(b.GetUpperBound())
		if err := r.add(at, v); err != nil {
			return err
		}
	}
	if !math.IsInf(last, 1) { // every histogram has this bucket, written or not
		at.extraValue = number(math.Inf(1))
		if err := r.add(at, count); err != nil {
			return err
		}
	}
	return r.total(l, h.GetSampleSum(), count)
}

// number writes a bound as the text format does, which is how queries name it.
func number(v float64) string {
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// add finds the series of a line. The key of a known one is built in place and
// looked up without an allocation: this is what a round costs after the parsing.
func (r *reading) add(l line, v float64) error {
	if len(r.points) == r.most {
		return plain(fmt.Sprintf("more than %d samples", r.most))
	}
	key := append(r.key[:0], l.name...)
	key = append(key, l.suffix...)
	for _, p := range l.labels {
		key = append(key, 0xff)
		key = append(key, p.GetName()...)
		key = append(key, 0xff)
		key = append(key, p.GetValue()...)
	}
	key = append(key, 0xff)
	key = append(key, l.extraValue...)
	r.key = key
	s, ok := r.target.series[string(key)]
	if !ok {
		var err error
		if s, err = r.target.meet(l); err != nil {
			return err
		}
		r.target.series[string(key)] = s
	}
	if s.page == r.target.pages {
		return plain(fmt.Sprintf("series %s%s stands twice on the page", short(l.name, 80), l.suffix))
	}
	s.page = r.target.pages
	r.points = append(r.points, point{s, v})
	return nil
}

// meet returns the series of a line that is spelt so for the first time.
func (t *target) meet(l line) (*series, error) {
	size := len(l.name) + len(l.suffix) + len(l.extra) + len(l.extraValue)
	b := labels.NewBuilder(t.base)
	for _, p := range l.labels {
		size += len(p.GetName()) + len(p.GetValue())
	}
	if len(l.labels)+2 > maxLabels || size > maxLabelBytes {
		return nil, plain(fmt.Sprintf("series of %s with over %d labels or %d bytes", short(l.name, 80), maxLabels, maxLabelBytes))
	}
	for _, p := range l.labels {
		name := p.GetName()
		for t.Labels[name] != "" || name != p.GetName() && has(l.labels, name) {
			name = model.ExportedLabelPrefix + name
		}
		b.Set(name, p.GetValue())
	}
	if l.extra != "" {
		b.Set(l.extra, l.extraValue)
	}
	b.Set(model.MetricNameLabel, l.name+l.suffix)
	s := newSeries(b.Labels(), l.counter)
	if same, ok := t.hashes[s.hash]; ok {
		return same, nil
	}
	t.hashes[s.hash] = s
	return s, nil
}

// has reports whether a label of the page has this name.
func has(pairs []*dto.LabelPair, name string) bool {
	for _, p := range pairs {
		if p.GetName() == name {
			return true
		}
	}
	return false
}
