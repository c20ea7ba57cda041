package daemon

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/spark-ta/spark/core/wire"
)

// meter holds every metric of the contract, each with its lines at zero from the
// first scrape. Components get it behind small interfaces and name metrics by
// core/wire; a name or a label value outside the contract is a bug and panics in
// the first test that meets it.
type meter struct {
	registry   *prometheus.Registry
	counters   map[string]*prometheus.CounterVec
	gauges     map[string]*prometheus.GaugeVec
	histograms map[string]*prometheus.HistogramVec
	closed     map[string][]wire.Label
}

func newMeter(version, revision string) *meter {
	m := &meter{
		registry:   prometheus.NewRegistry(),
		counters:   map[string]*prometheus.CounterVec{},
		gauges:     map[string]*prometheus.GaugeVec{},
		histograms: map[string]*prometheus.HistogramVec{},
		closed:     map[string][]wire.Label{},
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	for _, w := range wire.Metrics() {
		m.register(w)
	}
	m.Set(wire.MetricBuildInfo, 1, version, revision, runtime.Version())
	return m
}

func (m *meter) register(w wire.Metric) {
	names := make([]string, 0, len(w.Labels))
	for _, l := range w.Labels {
		names = append(names, l.Name)
	}
	m.closed[w.Name] = w.Labels
	switch w.Kind {
	case wire.Counter:
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: w.Name, Help: w.Help}, names)
		m.registry.MustRegister(v)
		m.counters[w.Name] = v
		each(w.Labels, nil, func(values []string) { v.WithLabelValues(values...) })
	case wire.Gauge:
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: w.Name, Help: w.Help}, names)
		m.registry.MustRegister(v)
		m.gauges[w.Name] = v
		each(w.Labels, nil, func(values []string) { v.WithLabelValues(values...) })
	case wire.Histogram:
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: w.Name, Help: w.Help, Buckets: w.Buckets}, names)
		m.registry.MustRegister(v)
		m.histograms[w.Name] = v
		each(w.Labels, nil, func(values []string) { v.WithLabelValues(values...) })
	}
}

// each calls visit with every combination of the labels' values; an open label
// has none, so its metric has no line yet.
func each(labels []wire.Label, prefix []string, visit func([]string)) {
	if len(labels) == 0 {
		visit(prefix)
		return
	}
	for _, v := range labels[0].Values {
		each(labels[1:], append(prefix[:len(prefix):len(prefix)], v), visit)
	}
}

// Add adds to a counter.
func (m *meter) Add(name string, v float64, labels ...string) {
	m.counters[name].WithLabelValues(m.known(name, labels)...).Add(v)
}

// Set sets a gauge.
func (m *meter) Set(name string, v float64, labels ...string) {
	m.gauges[name].WithLabelValues(m.known(name, labels)...).Set(v)
}

// Observe adds to a histogram.
func (m *meter) Observe(name string, v float64, labels ...string) {
	m.histograms[name].WithLabelValues(m.known(name, labels)...).Observe(v)
}

// Forget removes the line of an open metric, when its series is no longer followed.
func (m *meter) Forget(name string, labels ...string) {
	m.gauges[name].DeleteLabelValues(labels...)
}

// known keeps the closed label sets closed.
func (m *meter) known(name string, values []string) []string {
	for i, l := range m.closed[name] {
		if len(l.Values) == 0 {
			continue
		}
		found := false
		for _, v := range l.Values {
			found = found || v == values[i]
		}
		if !found {
			panic("metric " + name + ": label " + l.Name + " has no value " + values[i])
		}
	}
	return values
}
