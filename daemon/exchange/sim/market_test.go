package sim_test

import (
	"fmt"
	"math/big"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/sim"
)

// figure returns a figure of eight decimals, or a whole number, as an integer.
func figure(t *testing.T, v any) *big.Int {
	t.Helper()
	text := strings.Replace(fmt.Sprint(v), ".", "", 1)
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		t.Fatalf("figure %v", v)
	}
	return n
}

func ms(t *testing.T, v any) int64 { return figure(t, v).Int64() }

// figures are the first eleven elements of a row.
type figures [11]*big.Int

func (f *figures) open() int64  { return f[0].Int64() }
func (f *figures) close() int64 { return f[6].Int64() }

func allFigures(t *testing.T, rows [][]any) []*figures {
	t.Helper()
	all := make([]*figures, len(rows))
	for i, row := range rows {
		all[i] = new(figures)
		for k := range all[i] {
			all[i][k] = figure(t, row[k])
		}
	}
	return all
}

// merge joins candles that follow each other into one longer candle.
func merge(parts []*figures) *figures {
	sum := *parts[0]
	traded := sum[8].Sign() > 0
	for _, part := range parts[1:] {
		if part[8].Sign() == 0 {
			continue
		}
		for i, v := range part {
			switch {
			case i == 0 || i == 6:
			case !traded && i < 5:
				sum[i] = v
			case i == 1:
			case i == 2 && v.Cmp(sum[2]) > 0, i == 3 && v.Cmp(sum[3]) < 0, i == 4:
				sum[i] = v
			case i > 4:
				sum[i] = new(big.Int).Add(sum[i], v)
			}
		}
		traded = true
	}
	sum[6] = parts[len(parts)-1][6]
	return &sum
}

// covering returns the parts that make up a candle, nil if some are not there.
func covering(parts []*figures, whole *figures) []*figures {
	from := sort.Search(len(parts), func(i int) bool { return parts[i].open() >= whole.open() })
	to := sort.Search(len(parts), func(i int) bool { return parts[i].close() > whole.close() })
	if from >= to || parts[from].open() != whole.open() || parts[to-1].close() != whole.close() {
		return nil
	}
	return parts[from:to]
}

func TestLongCandlesAreTheSumOfShortOnes(t *testing.T) {
	s := start(t, sim.Options{Seed: 3, Speed: 1, Demo: true})
	for _, symbol := range []string{"BTCUSDT", "PEPEUSDT", "PAXGUSDT"} {
		newest := make(map[string][]*figures)
		of := func(interval string) []*figures {
			if newest[interval] == nil {
				limit := map[string]int{"3d": 100, "1w": 50, "1M": 12}[interval]
				if limit == 0 {
					limit = 1000
				}
				newest[interval] = allFigures(t, rows(t, s, fmt.Sprintf("symbol=%s&interval=%s&endTime=%d&limit=%d", symbol, interval, noon.UnixMilli()-1, limit)))
			}
			return newest[interval]
		}
		for _, pair := range [][2]string{
			{"1s", "1m"}, {"1m", "3m"}, {"1m", "5m"}, {"5m", "15m"}, {"15m", "30m"}, {"1m", "1h"}, {"1h", "2h"}, {"1h", "4h"},
			{"2h", "6h"}, {"4h", "8h"}, {"6h", "12h"}, {"1h", "1d"}, {"1d", "3d"}, {"1d", "1w"}, {"1d", "1M"}, {"1m", "12h"},
		} {
			compared := 0
			for _, want := range of(pair[1]) {
				parts := covering(of(pair[0]), want)
				if parts == nil {
					continue
				}
				compared++
				got := merge(parts)
				for i := range got {
					if got[i].Cmp(want[i]) != 0 {
						t.Fatalf("%s: %d candles of %s give %v, one of %s is %v", symbol, len(parts), pair[0], got, pair[1], want)
					}
				}
			}
			if compared == 0 {
				t.Errorf("%s: no %s candle is covered by 1000 of %s", symbol, pair[1], pair[0])
			}
		}
	}
}

func TestEveryTimeframeHasAThousandCandles(t *testing.T) {
	s := start(t, sim.Options{Seed: 3, Speed: 1})
	for _, tf := range market.Timeframes() {
		want := 1000
		if tf == market.Month {
			want = 26*12 + 6 // since 2000-01-01, the open one included
		}
		all := rows(t, s, "symbol=SOLUSDT&limit=1000&interval="+tf.String())
		if len(all) != want {
			t.Errorf("%s: %d candles, want %d", tf, len(all), want)
		}
		for i, row := range all {
			c := candle(t, row)
			if err := c.Validate(tf); err != nil {
				t.Fatalf("%s: %v", tf, err)
			}
			if ms(t, row[6]) != tf.CloseTime(c.Time) {
				t.Errorf("%s: close time %v, want %d", tf, row[6], tf.CloseTime(c.Time))
			}
			if i > 0 && c.Time != tf.Next(ms(t, all[i-1][0])) {
				t.Errorf("%s: %d follows %v", tf, c.Time, all[i-1][0])
			}
		}
	}
}

// candle reads a row the way a client does.
func candle(t *testing.T, row []any) market.Candle {
	t.Helper()
	c := market.Candle{Time: ms(t, row[0]), Event: ms(t, row[6]), Trades: ms(t, row[8]), Closed: true}
	for i, p := range []*float64{&c.Open, &c.High, &c.Low, &c.Close, &c.Volume} {
		if _, err := fmt.Sscan(fmt.Sprint(row[1+i]), p); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func TestStreamsAndRESTAgreeToTheLastDigit(t *testing.T) {
	s := start(t, sim.Options{Seed: 11, Speed: 1200})
	for _, stream := range []string{"btcusdt@kline_1m", "pepeusdt@kline_3m", "paxgusdt@kline_1m", "xrpusdt@kline_5m", "btcusdt@kline_1s"} {
		c := dial(t, s, "/ws/"+stream)
		var events []kline
		for len(events) < 6 {
			events = append(events, c.closedKline())
		}
		symbol, interval, _ := strings.Cut(stream, "@kline_")
		all := rows(t, s, fmt.Sprintf("symbol=%s&interval=%s&startTime=%s&limit=6", strings.ToUpper(symbol), interval, events[0].K.Open))
		last := int64(-1)
		for i, e := range events {
			if diff := cmp.Diff(all[i], e.row()); diff != "" {
				t.Errorf("%s: candle %d differs (-REST +stream)\n%s", stream, i, diff)
			}
			switch {
			case e.K.Trades == "0" && (e.K.First != -1 || e.K.Last != -1):
				t.Errorf("%s: ids %d…%d of an empty candle, want -1", stream, e.K.First, e.K.Last)
			case e.K.Trades == "0":
			case last >= 0 && e.K.First != last+1:
				t.Errorf("%s: trade %d follows %d", stream, e.K.First, last)
			default:
				last = e.K.Last
			}
		}
	}
}

func TestTradesOfAStreamMakeItsCandles(t *testing.T) {
	s := start(t, sim.Options{Seed: 5, TradePeriod: 10 * time.Millisecond})
	c := dial(t, s, "/ws/ethusdt@trade")
	type event struct {
		K string `json:"e"`
		E int64  `json:"E"`
		T int64  `json:"T"`
		I int64  `json:"t"`
		P string `json:"p"`
		Q string `json:"q"`
	}
	sums := make(map[int64]*[3]*big.Int) // by minute: trades, volume, turnover·1e8
	first, id := int64(-1), int64(-1)
	for len(sums) < 4 {
		var e event
		decodeJSON(t, c.next(), &e)
		if id >= 0 && e.I != id+1 {
			t.Fatalf("trade %d follows %d", e.I, id)
		}
		id = e.I
		minute := market.M1.Open(e.T)
		if first < 0 {
			first = minute
		}
		sum, ok := sums[minute]
		if !ok {
			sum = &[3]*big.Int{new(big.Int), new(big.Int), new(big.Int)}
			sums[minute] = sum
		}
		p, q := figure(t, e.P), figure(t, e.Q)
		sum[0].Add(sum[0], big.NewInt(1))
		sum[1].Add(sum[1], q)
		sum[2].Add(sum[2], new(big.Int).Mul(p, q))
	}
	for _, row := range rows(t, s, fmt.Sprintf("symbol=ETHUSDT&interval=1m&startTime=%d&limit=2", first+60_000)) {
		sum := sums[ms(t, row[0])]
		quote := new(big.Int).Mul(figure(t, row[7]), big.NewInt(1e8))
		if sum[0].Cmp(figure(t, row[8])) != 0 || sum[1].Cmp(figure(t, row[5])) != 0 || sum[2].Cmp(quote) != 0 {
			t.Errorf("trades sum up to %v, the candle is %v", sum, row)
		}
	}
}

func TestOneSeedIsOneMarket(t *testing.T) {
	a := start(t, sim.Options{Seed: 99, Speed: 1})
	b := start(t, sim.Options{Seed: 99, Speed: 60, Start: noon.Add(31*time.Hour + 17*time.Second)})
	other := start(t, sim.Options{Seed: 100, Speed: 1})
	query := fmt.Sprintf("symbol=DOGEUSDT&interval=1m&limit=1000&endTime=%d", noon.UnixMilli()-1)
	if diff := cmp.Diff(rows(t, a, query), rows(t, b, query)); diff != "" {
		t.Errorf("two servers with one seed differ (-a +b)\n%s", diff)
	}
	if cmp.Equal(rows(t, a, query), rows(t, other, query)) {
		t.Error("another seed gives the same candles")
	}
}

// bandBreak reports whether the last candle stands outside its Bollinger bands
// (20, 2).
func bandBreak(all []market.Candle) bool {
	window := all[len(all)-20:]
	mean, square := 0.0, 0.0
	for _, c := range window {
		mean += c.Close / 20
	}
	for _, c := range window {
		square += (c.Close - mean) * (c.Close - mean) / 20
	}
	last := window[19].Close - mean
	return last*last > 4*square
}

func TestDemoBreaksBitcoinsBandsWithinAMinute(t *testing.T) {
	for seed := range uint64(25) {
		begin := noon.Add(time.Duration(seed) * 7919 * time.Second)
		// The open candle as it stood at each second has the close of that second.
		s := start(t, sim.Options{Seed: seed, Start: begin, Speed: 3600, Demo: true})
		c := dial(t, s, "/ws/btcusdt@kline_1m")
		for c.kline().Time <= begin.UnixMilli()+60_000 {
		}
		var closed []market.Candle
		for _, row := range rows(t, s, fmt.Sprintf("symbol=BTCUSDT&interval=1m&limit=21&endTime=%d", begin.UnixMilli()+60_000)) {
			closed = append(closed, candle(t, row))
		}
		broken := false
		for _, row := range rows(t, s, fmt.Sprintf("symbol=BTCUSDT&interval=1s&startTime=%d&limit=61", begin.UnixMilli())) {
			tick := candle(t, row)
			series := make([]market.Candle, 0, 32)
			for _, m := range closed {
				if m.Time+60_000 <= tick.Time {
					series = append(series, m)
				}
			}
			broken = broken || bandBreak(append(series, tick))
		}
		if !broken {
			t.Errorf("seed %d, start %s: no break within a minute", seed, begin)
		}
	}
}

func TestBandsBreakNowAndThenWithoutADemo(t *testing.T) {
	s := start(t, sim.Options{Seed: 1, Speed: 1})
	breaks := 0
	for _, symbol := range s.Symbols() {
		var all []market.Candle
		for _, row := range rows(t, s, "symbol="+string(symbol)+"&interval=1m&limit=1000") {
			all = append(all, candle(t, row))
		}
		for i := 21; i < len(all); i++ {
			if bandBreak(all[:i]) && !bandBreak(all[:i-1]) {
				breaks++
			}
		}
	}
	// Per minute, over all symbols.
	if rate := float64(breaks) / 980; rate < 0.1 || rate > 2 {
		t.Errorf("%.2f breaks a minute, want one every few minutes to two a minute", rate)
	} else {
		t.Logf("%.2f breaks a minute over %d symbols", rate, len(s.Symbols()))
	}
}
