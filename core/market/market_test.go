package market_test

import (
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/market"
)

func TestParseSymbol(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want market.Symbol // "" is an error
	}{
		{"BTCUSDT", "BTCUSDT"}, {"btcUsdt", "BTCUSDT"}, {"1INCH", "1INCH"}, {"ABC", "ABC"},
		{"ABCDEFGHIJKLMNOPQRST", "ABCDEFGHIJKLMNOPQRST"},
		{"", ""}, {"AB", ""}, {"ABCDEFGHIJKLMNOPQRSTU", ""}, {"BTC/USDT", ""}, {"BTC USDT", ""}, {" BTCUSDT", ""},
		{"BTCUSDT\n", ""}, {"BTC\x00USD", ""}, {"BTCÜSDT", ""}, {strings.Repeat("A", 1<<20), ""},
		{"bıtcoin", ""}, {"uſdt", ""}, // their upper case would be ASCII
		{"K\u212aK", ""},
	} {
		got, err := market.ParseSymbol(c.in)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && !errors.Is(err, market.ErrSymbol) {
			t.Errorf("ParseSymbol(%.40q) = %q, %v, want %q", c.in, got, err, c.want)
		}
		if err != nil && len(err.Error()) > 200 {
			t.Errorf("ParseSymbol(%.40q): an error of %d bytes", c.in, len(err.Error()))
		}
	}
}

func FuzzParseSymbol(f *testing.F) {
	for _, s := range []string{"", "BTCUSDT", "btcusdt", "bıt", "uſd", "B T", "\xff\xfe\xfd", strings.Repeat("x", 21)} {
		f.Add(s)
	}
	allowed := regexp.MustCompile(`^[A-Za-z0-9]{3,20}$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := market.ParseSymbol(s)
		if ok := allowed.MatchString(s); ok != (err == nil) {
			t.Errorf("ParseSymbol(%q) = %q, %v, want accepted %v", s, got, err, ok)
		}
		if err == nil && string(got) != strings.ToUpper(s) {
			t.Errorf("ParseSymbol(%q) = %q", s, got)
		}
		if again, _ := market.ParseSymbol(string(got)); again != got {
			t.Errorf("ParseSymbol(%q) = %q, and of that %q", s, got, again)
		}
	})
}

func TestSeriesIsWrittenAsSymbolAndTimeframe(t *testing.T) {
	t.Parallel()
	if got := (market.Series{Symbol: "BTCUSDT", Timeframe: market.Month}).String(); got != "BTCUSDT/1M" {
		t.Errorf("String() = %q", got)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	good := market.Candle{Time: 1_700_000_040_000, Open: 2, High: 4, Low: 1, Close: 3, Volume: 5, Trades: 6, Event: 7}
	for _, c := range []struct {
		name   string
		change func(*market.Candle)
		want   string // part of the error, "" none
	}{
		{"as it is", func(*market.Candle) {}, ""},
		{"flat", func(c *market.Candle) { c.Open, c.High, c.Low, c.Close = 1e-9, 1e-9, 1e-9, 1e-9 }, ""},
		{"without trades", func(c *market.Candle) { c.Volume, c.Trades = 0, 0 }, ""},
		{"huge", func(c *market.Candle) { c.High, c.Volume = math.MaxFloat64, math.MaxFloat64 }, ""},
		{"NaN open", func(c *market.Candle) { c.Open = math.NaN() }, "open NaN"},
		{"infinite high", func(c *market.Candle) { c.High = math.Inf(1) }, "high +Inf"},
		{"zero low", func(c *market.Candle) { c.Low = 0 }, "low 0"},
		{"negative close", func(c *market.Candle) { c.Close = -1 }, "close -1"},
		{"NaN volume", func(c *market.Candle) { c.Volume = math.NaN() }, "volume NaN"},
		{"negative volume", func(c *market.Candle) { c.Volume = -1 }, "volume -1"},
		{"infinite volume", func(c *market.Candle) { c.Volume = math.Inf(1) }, "volume +Inf"},
		{"high below low", func(c *market.Candle) { c.High, c.Low = 1, 4 }, "high 1 below low 4"},
		{"open above high", func(c *market.Candle) { c.Open = 5 }, "open 5 outside 1…4"},
		{"open below low", func(c *market.Candle) { c.Open = 0.5 }, "open 0.5 outside"},
		{"close above high", func(c *market.Candle) { c.Close = 5 }, "close 5 outside"},
		{"close below low", func(c *market.Candle) { c.Close = 0.5 }, "close 0.5 outside"},
		{"negative trades", func(c *market.Candle) { c.Trades = -1 }, "-1 trades"},
		{"before the epoch", func(c *market.Candle) { c.Time = -60_000 }, "open time -60000"},
		{"in seconds taken for ms", func(c *market.Candle) { c.Time = 1_700_000_040_000_000 }, "open time"},
		{"off the grid", func(c *market.Candle) { c.Time++ }, "not on the 1m grid"},
	} {
		candle := good
		c.change(&candle)
		err := candle.Validate(market.M1)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v, want no error", c.name, err)
		case c.want != "" && (err == nil || !errors.Is(err, market.ErrCandle) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want one with %q", c.name, err, c.want)
		}
	}
}
