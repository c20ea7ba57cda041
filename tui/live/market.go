package live

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live/sse"
)

const (
	chartCandles = 500
	// dayFrame and dayCandles are the candles from which a ticker's change and
	// line come: 24 hours and the one before.
	dayFrame   = market.M15
	dayCandles = 97
	dayEvery   = 5 * time.Minute
	// settle is how long a choice must stand before streams are changed for it:
	// an operator who walks along the symbols leaves no trail of connections.
	settle = 150 * time.Millisecond
)

// runMarket keeps the chart and the ticker up to date. Each choice of a series and
// each gateway gets a run of its own, and the next one begins when it has ended.
func (l *Live) runMarket(ctx context.Context) error {
	days := map[market.Symbol]day{}
	for {
		series, ofAlerts, changed := l.choice.look()
		gateway, moved := l.places.gatewayURL()
		symbols := watched(l.Symbols, series.Symbol, ofAlerts)
		l.board.change(func(p *Picture, rev uint64) { choose(p, rev, series, symbols) })

		err := l.untilChanged(ctx, changed, moved, func(ctx context.Context) error {
			return l.followMarket(ctx, gateway, series, symbols, days)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var panicked *PanicError
		if errors.As(err, &panicked) {
			return err
		}
	}
}

// untilChanged runs f until one of the channels is closed or f returns.
func (l *Live) untilChanged(ctx context.Context, a, b <-chan struct{}, f func(context.Context) error) error {
	return together(ctx, f, func(ctx context.Context) error {
		select {
		case <-a:
		case <-b:
		case <-ctx.Done():
		}
		return nil
	})
}

// choose makes the picture one of the series and symbols. What is known of them
// stays; what belongs to another series goes.
func choose(p *Picture, rev uint64, series market.Series, symbols []market.Symbol) {
	if p.Chart.Series != series {
		p.Chart = Chart{Rev: rev, Series: series, Loading: true}
	}
	tickers := tickersOf(symbols)
	for i, t := range tickers {
		for _, old := range p.Watch.Tickers {
			if old.Symbol == t.Symbol {
				tickers[i] = old
			}
		}
	}
	p.Watch = Watch{Rev: rev, Tickers: tickers}
}

func tickersOf(symbols []market.Symbol) []Ticker {
	out := make([]Ticker, len(symbols))
	for i, s := range symbols {
		out[i] = Ticker{Symbol: s, Price: math.NaN(), Change: math.NaN()}
	}
	return out
}

// followMarket follows one choice on one gateway until ctx ends.
func (l *Live) followMarket(ctx context.Context, gateway string, series market.Series, symbols []market.Symbol, days map[market.Symbol]day) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(settle):
	}
	if err := l.up.wait(ctx); err != nil {
		return err
	}
	if gateway == "" {
		if !l.board.look().Fleet.At.IsZero() {
			l.chartFailed(errNoGateway)
		}
		<-ctx.Done()
		return ctx.Err()
	}
	f := &follower{
		live: l, gateway: gateway, series: series, days: days,
		window: market.Window{Timeframe: series.Timeframe, Limit: chartCandles},
		refill: make(chan struct{}, 1), frames: make(chan frame, 64),
	}
	// The chart first: it is what the operator looks at.
	f.fill(ctx)
	f.loadDays(ctx, symbols)
	streamed := slices.DeleteFunc(slices.Clone(symbols), func(s market.Symbol) bool {
		return s != series.Symbol && days[s].err != ""
	})
	return together(ctx,
		func(ctx context.Context) error { return f.stream(ctx, streamed) },
		func(ctx context.Context) error { return f.keep(ctx, symbols) },
	)
}

func (l *Live) chartFailed(err error) {
	l.board.change(func(p *Picture, rev uint64) {
		p.Chart.Rev, p.Chart.Err, p.Chart.Loading = rev, cause(err), false
	})
}

// frame is one message of the stream.
type frame struct {
	message wire.StreamMessage
	event   int64 // ms, the exchange's; 0 if the message has none
	at      time.Time
}

// follower follows one choice. All but the stream's connection happens in keep.
type follower struct {
	live    *Live
	gateway string
	series  market.Series
	window  market.Window
	days    map[market.Symbol]day
	frames  chan frame
	refill  chan struct{} // the window may have holes

	err       safetext.Text   // why the newest request for candles failed
	at        time.Time       // of the newest candle, by our clock
	latencies []time.Duration // newest last
	gaps      int
}

// stream reads the one stream of this choice: every symbol at the chart's
// timeframe. It waits when keep is behind, and so does the gateway, which then
// joins what is pending; nothing is queued without bound.
func (f *follower) stream(ctx context.Context, symbols []market.Symbol) error {
	names := make([]string, len(symbols))
	for i, s := range symbols {
		names[i] = string(s)
	}
	query := url.Values{"timeframe": {f.series.Timeframe.String()}}
	if len(names) == 1 {
		query.Set("symbol", names[0])
	} else {
		query.Set("symbols", strings.Join(names, ","))
	}
	source := sse.Source{
		URL:  strings.ReplaceAll(join(f.gateway, wire.PathStream, query), "%2C", ","),
		HTTP: f.live.HTTP,
		Wake: f.live.marketUp,
		Status: func(s sse.Status) {
			f.live.board.change(func(p *Picture, rev uint64) { p.Chart.Rev, p.Chart.Stream = rev, s })
			if s.Phase == sse.Live {
				nudge(f.refill) // what was missed while there was no stream
			}
		},
		Handle: func(e sse.Event) {
			var m frame
			if json.Unmarshal([]byte(e.Data), &m.message) != nil {
				return
			}
			m.event, _ = strconv.ParseInt(e.ID, 10, 64)
			m.at = time.Now()
			select {
			case f.frames <- m:
			case <-ctx.Done():
			}
		},
	}
	return source.Run(ctx)
}

// keep merges frames and REST into the window and publishes. It subscribes first
// and fills by REST afterwards, so that no candle falls between the two.
func (f *follower) keep(ctx context.Context, symbols []market.Symbol) error {
	daily := time.NewTicker(dayEvery)
	defer daily.Stop()
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-daily.C:
			f.loadDays(ctx, symbols)
		case <-f.refill:
			if !f.fill(ctx) {
				retry.Reset(5 * time.Second)
			}
		case <-retry.C:
			nudge(f.refill)
		case m := <-f.frames:
			f.apply(m)
			for range len(f.frames) { // what has gathered meanwhile, one picture for all
				f.apply(<-f.frames)
			}
			f.publish()
		}
	}
}

// fill reads the chart's candles and reports whether it could.
func (f *follower) fill(ctx context.Context) bool {
	candles, err := f.live.candles(ctx, f.gateway, f.series, chartCandles)
	if ctx.Err() != nil {
		return true
	}
	f.err = cause(err)
	if err != nil {
		f.publish()
		return false
	}
	f.at = time.Now()
	for _, c := range candles {
		f.window.Apply(c)
	}
	if n := len(candles); n > 0 {
		f.price(f.series.Symbol, candles[n-1].Close, f.at)
	}
	f.publish()
	return true
}

// candles reads candles by REST. The answer does not say which are closed: all but
// the last are, and the last is if its time is over by the daemon's clock.
func (l *Live) candles(ctx context.Context, gateway string, s market.Series, limit int) ([]market.Candle, error) {
	query := url.Values{
		"symbol": {string(s.Symbol)}, "timeframe": {s.Timeframe.String()}, "limit": {strconv.Itoa(limit)},
	}
	var answer []wire.Candle
	if err := l.get(ctx, join(gateway, wire.PathCandles, query), 5*time.Second, &answer); err != nil {
		return nil, err
	}
	now := time.Now().Add(l.board.look().Skew).UnixMilli()
	var out []market.Candle
	for _, w := range answer {
		c := ofWire(w)
		closes := s.Timeframe.CloseTime(c.Time)
		c.Closed = closes < now
		// A state of an open candle that the stream brings later must win over this
		// one, and one that it brought earlier must lose.
		c.Event = min(closes, now)
		if c.Validate(s.Timeframe) == nil {
			out = append(out, c)
		}
	}
	return out, nil
}

func ofWire(w wire.Candle) market.Candle {
	return market.Candle{Time: w.Time, Open: w.Open, High: w.High, Low: w.Low, Close: w.Close, Volume: w.Volume}
}

func (f *follower) apply(m frame) {
	switch m.message.Type {
	case wire.StreamGap:
		f.gaps++
		nudge(f.refill)
	case wire.StreamKline:
		symbol, err := market.ParseSymbol(m.message.Symbol)
		tf, wrong := market.ParseTimeframe(m.message.Timeframe)
		if err != nil || wrong != nil || tf != f.series.Timeframe || m.message.Data == nil {
			return
		}
		c := ofWire(m.message.Data.Candle)
		c.Closed, c.Event = m.message.Data.Closed, m.event
		if c.Validate(tf) != nil {
			return
		}
		f.price(symbol, c.Close, m.at)
		if symbol != f.series.Symbol {
			return
		}
		f.at = m.at
		if f.window.Apply(c) == market.Gap {
			nudge(f.refill)
		}
		f.measure(m)
	}
}

// measure notes how long ago the exchange made the frame: the median of the last
// 31, because one late frame is no late stream.
func (f *follower) measure(m frame) {
	if m.event <= 0 || m.message.Data.Closed {
		return // a closed candle may have been filled by REST and be old
	}
	skew := f.live.board.look().Skew
	f.latencies = append(f.latencies, m.at.Add(skew).Sub(time.UnixMilli(m.event)))
	if len(f.latencies) > 31 {
		f.latencies = f.latencies[1:]
	}
}

func (f *follower) latency() time.Duration {
	if len(f.latencies) == 0 {
		return 0
	}
	sorted := slices.Clone(f.latencies)
	slices.Sort(sorted)
	return max(sorted[len(sorted)/2], time.Microsecond)
}

// publish puts the window into the picture. A failure stays in it until candles
// have been read: a stream that brings other symbols does not make it good.
func (f *follower) publish() {
	candles := slices.Clone(f.window.Candles())
	why, at, latency, gaps := f.err, f.at, f.latency(), f.gaps
	f.live.board.change(func(p *Picture, rev uint64) {
		if p.Chart.Series != f.series {
			return
		}
		p.Chart.Rev, p.Chart.Candles, p.Chart.Loading, p.Chart.Err = rev, candles, false, why
		p.Chart.Latency, p.Chart.Gaps, p.Chart.At = latency, gaps, at
	})
}

// price takes a price into the ticker.
func (f *follower) price(symbol market.Symbol, price float64, at time.Time) {
	f.live.board.change(func(p *Picture, rev uint64) {
		i := slices.IndexFunc(p.Watch.Tickers, func(t Ticker) bool { return t.Symbol == symbol })
		if i < 0 {
			return
		}
		tickers := slices.Clone(p.Watch.Tickers)
		t := &tickers[i]
		if price > t.Price {
			t.Moved = 1
		} else if price < t.Price {
			t.Moved = -1
		}
		t.Price, t.At = price, at
		f.days[symbol].dress(t)
		p.Watch = Watch{Rev: rev, Tickers: tickers}
	})
}

// day is what a symbol did in the last 24 hours.
type day struct {
	closes []float64 // of closed candles
	latest float64   // the price when this was read
	before float64   // the price 24 hours ago; 0 if the market is younger
	at     time.Time
	err    safetext.Text
}

// dress gives the ticker its change and its line.
func (d day) dress(t *Ticker) {
	t.Change, t.Err = math.NaN(), d.err
	if d.before > 0 {
		t.Change = t.Price/d.before - 1
	}
	t.Spark = append(slices.Clone(d.closes), t.Price)
}

// loadDays reads the last day of every symbol of which it is not known or old.
func (f *follower) loadDays(ctx context.Context, symbols []market.Symbol) {
	var due []market.Symbol
	for _, s := range symbols {
		if d := f.days[s]; time.Since(d.at) >= dayEvery || d.err != "" {
			due = append(due, s)
		}
	}
	loaded := make([]day, len(due))
	parallel(len(due), func(i int) { loaded[i] = f.loadDay(ctx, due[i]) })
	if ctx.Err() != nil {
		return
	}
	for i, s := range due {
		f.days[s] = loaded[i]
	}
	f.live.board.change(func(p *Picture, rev uint64) {
		tickers := slices.Clone(p.Watch.Tickers)
		for i := range tickers {
			t := &tickers[i]
			d := f.days[t.Symbol]
			if d.latest > 0 && math.IsNaN(t.Price) {
				t.Price, t.At = d.latest, d.at
			}
			d.dress(t)
		}
		p.Watch = Watch{Rev: rev, Tickers: tickers}
	})
}

func (f *follower) loadDay(ctx context.Context, s market.Symbol) day {
	candles, err := f.live.candles(ctx, f.gateway, market.Series{Symbol: s, Timeframe: dayFrame}, dayCandles)
	if err == nil && len(candles) == 0 {
		err = errors.New("no candles")
	}
	if err != nil {
		return day{err: cause(err)}
	}
	d := day{at: time.Now()}
	if len(candles) == dayCandles {
		d.before = candles[0].Close
	}
	for _, c := range candles {
		d.closes = append(d.closes, c.Close)
	}
	d.latest = d.closes[len(d.closes)-1]
	d.closes = d.closes[:len(d.closes)-1] // the open candle's price follows the stream
	return d
}
