package binance

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
)

// kline is a frame as Binance documents it.
const kline = `{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1672515782136,"s":"BTCUSDT","k":{"t":1672515780000,"T":1672515839999,"s":"BTCUSDT","i":"1m","f":100,"L":200,"o":"0.00100000","c":"0.00200000","h":"0.00250000","l":"0.00015000","v":"1000.50","n":101,"x":false,"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}}`

var klineCandle = market.Candle{
	Time: 1672515780000, Open: 0.001, High: 0.0025, Low: 0.00015, Close: 0.002,
	Volume: 1000.5, Trades: 101, Event: 1672515782136,
}

func with(c market.Candle, change func(*market.Candle)) market.Candle {
	change(&c)
	return c
}

func TestDecodeReadsKlines(t *testing.T) {
	raw := kline[strings.Index(kline, `{"e"`) : len(kline)-1]
	for name, test := range map[string]struct {
		text string
		want market.Candle
	}{
		"combined":           {kline, klineCandle},
		"raw":                {raw, klineCandle},
		"spaced":             {strings.NewReplacer(":", " : ", ",", " ,\n\t").Replace(kline), klineCandle},
		"data before stream": {`{"data":` + raw + `,"stream":"btcusdt@kline_1m"}`, klineCandle},
		"closed":             {strings.Replace(kline, `"x":false`, `"x":true`, 1), with(klineCandle, func(c *market.Candle) { c.Closed = true })},
		"empty":              {strings.Replace(kline, `"f":100,"L":200`, `"f":-1,"L":-1`, 1), with(klineCandle, func(c *market.Candle) { c.Trades = 0 })},
		"unknown fields":     {strings.Replace(kline, `"k":{`, `"new":[{"t":1},"}"],"k":{"tt":"\"}","z":null,`, 1), klineCandle},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := decode([]byte(test.text))
			if err != nil || f.kind != klineFrame {
				t.Fatalf("decode = kind %d, %v, want a kline", f.kind, err)
			}
			if diff := cmp.Diff(test.want, f.candle); diff != "" {
				t.Errorf("candle (-want +got):\n%s", diff)
			}
			if string(f.symbol) != "BTCUSDT" || string(f.interval) != "1m" {
				t.Errorf("of %s %s", f.symbol, f.interval)
			}
		})
	}
}

func TestDecodeToleratesWhatItDoesNotKnow(t *testing.T) {
	for _, test := range []struct {
		text string
		want frameKind
	}{
		{`{"result":null,"id":1}`, replyFrame},
		{`{"result":["a@kline_1m"],"id":"x"}`, replyFrame},
		{`{"code":2,"msg":"Invalid request: too many parameters"}`, refusalFrame},
		{`{"error":{"code":2,"msg":"Invalid request"},"id":7}`, refusalFrame},
		{`{"e":"serverShutdown","E":1770123456789}`, shutdownFrame},
		{`{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`, shutdownFrame},
		{`{"u":400900217,"s":"BNBUSDT","b":"25.35","B":"31.21","a":"25.36","A":"40.66"}`, otherFrame},
		{`{"stream":"bnbusdt@bookTicker","data":{"u":1,"s":"BNBUSDT"}}`, otherFrame},
		{`[{"e":"24hrMiniTicker","E":1}]`, otherFrame},
		{`{"stream":"!miniTicker@arr","data":[{"e":"24hrMiniTicker"}]}`, otherFrame},
		{`{"e":"trade","E":1,"s":"BTCUSDT","t":12345}`, otherFrame},
		{`{"e":7}`, otherFrame},
		{`{}`, otherFrame},
		{`[]`, otherFrame},
		{`null`, otherFrame},
		{`17`, otherFrame},
		{`"text"`, otherFrame},
	} {
		f, err := decode([]byte(test.text))
		if err != nil || f.kind != test.want {
			t.Errorf("decode(%s) = kind %d, %v, want %d", test.text, f.kind, err, test.want)
		}
	}
}

func TestDecodeRefusesGarbage(t *testing.T) {
	replace := func(old, new string) string {
		if !strings.Contains(kline, old) {
			t.Fatalf("no %s in the kline", old)
		}
		return strings.Replace(kline, old, new, 1)
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"not JSON":            "<html>502</html>",
		"half":                kline[:200],
		"two":                 kline + kline,
		"price as a number":   replace(`"o":"0.00100000"`, `"o":0.001`),
		"price with exponent": replace(`"0.00100000"`, `"1e-3"`),
		"negative price":      replace(`"0.00100000"`, `"-1"`),
		"infinite price":      replace(`"0.00100000"`, `"Inf"`),
		"empty price":         replace(`"0.00100000"`, `""`),
		"two points":          replace(`"0.00100000"`, `"0.0.1"`),
		"long price":          replace(`"0.00100000"`, `"`+strings.Repeat("1", 41)+`"`),
		"volume null":         replace(`"1000.50"`, `null`),
		"time as text":        replace(`1672515780000`, `"1672515780000"`),
		"time as a fraction":  replace(`1672515780000`, `1672515780000.5`),
		"huge time":           replace(`1672515780000`, strings.Repeat("9", 30)),
		"no event time":       replace(`"E":1672515782136,`, ``),
		"no trades":           replace(`"n":101,`, ``),
		"no low, but an L":    replace(`"l":"0.00015000",`, ``),
		"closed as text":      replace(`"x":false`, `"x":"false"`),
		"symbol with escape":  replace(`"t":1672515780000,"T":1672515839999,"s":"BTCUSDT"`, `"t":1672515780000,"s":"BTC\u0055SDT"`),
		"of another stream":   replace(`btcusdt@kline_1m`, `ethusdt@kline_1m`),
		"a month, not minute": replace(`"i":"1m"`, `"i":"1M"`),
		"k is a list":         `{"e":"kline","E":1,"k":[]}`,
		"no k":                `{"e":"kline","E":1}`,
		"long":                `"` + strings.Repeat("x", maxFrame) + `"`,
	} {
		if f, err := decode([]byte(text)); !errors.Is(err, errFrame) {
			t.Errorf("%s: decode = %+v, %v, want errFrame", name, f, err)
		}
	}
}

func TestStreamNamesKeepTheCaseOfTheInterval(t *testing.T) {
	for series, want := range map[market.Series]string{
		{Symbol: "BTCUSDT", Timeframe: market.M1}:     "btcusdt@kline_1m",
		{Symbol: "1000SATS", Timeframe: market.Month}: "1000sats@kline_1M",
	} {
		if got := streamName(series); got != want {
			t.Errorf("streamName(%s) = %q, want %q", series, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(kline))
	f.Add([]byte(`{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}`))
	f.Add([]byte(`{"code":2,"msg":"x"}`))
	f.Add([]byte(`[{"e":"kline"}]`))
	f.Add([]byte(`{"e":"kline","E":1,"k":{"t":"\\\"","x":true}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := decode(data)
		if err != nil {
			if !errors.Is(err, errFrame) {
				t.Errorf("error %v does not wrap errFrame", err)
			}
			return
		}
		if got.kind != klineFrame {
			return
		}
		// What was read, written again and read again, is the same.
		c := got.candle
		ids := 1
		if c.Trades == 0 {
			ids = -1
		}
		texts := make([]any, 5)
		for i, v := range []float64{c.Open, c.High, c.Low, c.Close, c.Volume} {
			text := strconv.FormatFloat(v, 'f', -1, 64)
			if len(text) > 40 {
				return // the shortest form of a tiny number is longer than we accept
			}
			texts[i] = text
		}
		text := fmt.Sprintf(`{"e":"kline","E":%d,"k":{"t":%d,"s":%q,"i":%q,"f":%d,"L":%d,"n":%d,"x":%t,`,
			c.Event, c.Time, got.symbol, got.interval, ids, ids, c.Trades, c.Closed) +
			fmt.Sprintf(`"o":%q,"h":%q,"l":%q,"c":%q,"v":%q}}`, texts[0], texts[1], texts[2], texts[3], texts[4])
		again, err := decode([]byte(text))
		if err != nil {
			t.Fatalf("decode(%s) = %v after %q", text, err, data)
		}
		if again.candle != c {
			t.Errorf("read again %+v, want %+v", again.candle, c)
		}
	})
}

func FuzzDecodeKlines(f *testing.F) {
	f.Add([]byte(klineRows))
	f.Add([]byte(`[]`))
	f.Add([]byte(`{"code":-1121,"msg":"Invalid symbol."}`))
	f.Add([]byte(` [ [ 1 , "1" , "1","1","1","1",2,"1",3 ] ] `))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := decodeKlines(data, 1499644799999)
		for i, c := range rows {
			if err != nil || i > 0 && c.Time <= rows[i-1].Time || len(rows) > MaxKlines {
				t.Errorf("decodeKlines(%q) = %+v, %v", data, rows, err)
			}
		}
	})
}

// klineRows is an answer as Binance documents it, with a second, open row.
const klineRows = `[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,"2434.19055334",308,"1756.87402397","28.46694368","0"],` +
	`[1499644800000,"0.01577100","0.02000000","0.01500000","0.01600000","10.5",1500249599999,"1",3,"1","1","0"]]`

func BenchmarkDecode(b *testing.B) {
	data := []byte(kline)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if f, err := decode(data); err != nil || f.kind != klineFrame {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeThousandKlines(b *testing.B) {
	var rows []string
	for i := range 1000 {
		rows = append(rows, strings.Replace(strings.TrimSuffix(strings.TrimPrefix(klineRows[:strings.Index(klineRows, "],")+1], "["), ","), "1499040000000", strconv.Itoa(1499040000000+i), 1))
	}
	data := []byte("[" + strings.Join(rows, ",") + "]")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if rows, err := decodeKlines(data, 1499644799999); err != nil || len(rows) != 1000 {
			b.Fatal(len(rows), err)
		}
	}
}
