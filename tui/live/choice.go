package live

import (
	"slices"
	"sync"

	"github.com/spark-ta/spark/core/market"
)

// maxWatched bounds the ticker, and with it what the console costs the gateway.
const maxWatched = 12

// choice is what the operator wants to see: the chart's series, and the symbols
// of alerts.
type choice struct {
	mu      sync.Mutex
	series  market.Series   // guarded by mu, like the rest
	symbols []market.Symbol // of alerts, sorted
	changed chan struct{}   // closed and replaced with each change
}

func newChoice(s market.Series) *choice {
	return &choice{series: s, changed: make(chan struct{})}
}

func (c *choice) set(s market.Series) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.series != s {
		c.series = s
		c.ring()
	}
}

func (c *choice) watch(symbols []market.Symbol) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Equal(c.symbols, symbols) {
		c.symbols = symbols
		c.ring()
	}
}

func (c *choice) ring() {
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *choice) get() market.Series {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.series
}

// look returns the choice, and a channel that is closed when it changes.
func (c *choice) look() (market.Series, []market.Symbol, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.series, c.symbols, c.changed
}

// watched returns the symbols of the ticker in their order: the fixed ones, the
// chart's, those of alerts.
func watched(fixed []market.Symbol, chart market.Symbol, alerts []market.Symbol) []market.Symbol {
	var out []market.Symbol
	for _, s := range slices.Concat(fixed, []market.Symbol{chart}, alerts) {
		if len(out) < maxWatched && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if !slices.Contains(out, chart) { // a long list of fixed symbols
		out[len(out)-1] = chart
	}
	return out
}
