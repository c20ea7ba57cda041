package sim_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/sim"
)

const excerpt = "testdata/BTCUSDT-5m.csv" // 180 candles

func excerptText(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(excerpt)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fileRows returns the file's lines without the header.
func fileRows(t testing.TB) [][]string {
	t.Helper()
	var all [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(excerptText(t))), "\n")[1:] {
		all = append(all, strings.Split(line, ","))
	}
	return all
}

func gzipped(t testing.TB, text []byte) io.Reader {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	if _, err := zw.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// same reports whether two texts are the same decimal number.
func same(t *testing.T, a, b any) bool {
	t.Helper()
	var x, y float64
	_, errX := fmt.Sscan(fmt.Sprint(a), &x)
	_, errY := fmt.Sscan(fmt.Sprint(b), &y)
	return errX == nil && errY == nil && x == y
}

func TestAFilesHistoryIsServedAndMovedInTime(t *testing.T) {
	for name, r := range map[string]io.Reader{"plain": bytes.NewReader(excerptText(t)), "gzip": gzipped(t, excerptText(t))} {
		s := start(t, sim.Options{Speed: 1, Replay: []sim.ReplaySource{{Symbol: "BTCUSDT", Name: excerpt, Reader: r, History: 100}}})
		file := fileRows(t)
		got := rows(t, s, fmt.Sprintf("symbol=BTCUSDT&interval=5m&limit=1000&endTime=%d", noon.UnixMilli()-1))
		if len(got) != 100 {
			t.Fatalf("%s: %d candles of history, want 100", name, len(got))
		}
		for i, row := range got {
			want := noon.Add(time.Duration(i-100) * 5 * time.Minute).UnixMilli()
			if ms(t, row[0]) != want || !same(t, row[1], file[i][1]) || !same(t, row[2], file[i][2]) || !same(t, row[3], file[i][3]) || !same(t, row[4], file[i][4]) || !same(t, row[5], file[i][5]) {
				t.Errorf("%s: candle %d = %v, want %v at %d", name, i, row, file[i], want)
			}
		}
		// The other symbols are there as before.
		if n := len(rows(t, s, "symbol=ETHUSDT&interval=5m&limit=7")); n != 7 {
			t.Errorf("%s: %d candles of ETHUSDT", name, n)
		}
	}
}

func TestAFileIsPlayedAsTrades(t *testing.T) {
	s := start(t, sim.Options{Speed: 3000, TradePeriod: 10 * time.Millisecond, Replay: []sim.ReplaySource{{
		Symbol: "NEWUSDT", Name: excerpt, Reader: bytes.NewReader(excerptText(t)), History: 20,
	}}})
	file := fileRows(t)
	c := dial(t, s, "/ws/newusdt@kline_5m")
	for range 5 {
		k := c.closedKline()
		i := 20 + int((ms(t, k.K.Open)-noon.UnixMilli())/300_000)
		want := file[i]
		if !same(t, k.K.O, want[1]) || !same(t, k.K.H, want[2]) || !same(t, k.K.L, want[3]) || !same(t, k.K.C, want[4]) || !same(t, k.K.Volume, want[5]) {
			t.Errorf("candle %d = %+v, want %v", i, k.K, want)
		}
		if diff := cmp.Diff(rows(t, s, fmt.Sprintf("symbol=NEWUSDT&interval=5m&startTime=%s&limit=1", k.K.Open))[0], k.row()); diff != "" {
			t.Errorf("candle %d (-REST +stream)\n%s", i, diff)
		}
		// The way inside: a rising candle sees its low before its high.
		lowFirst := false
		low, high := int64(0), int64(0)
		for _, row := range rows(t, s, fmt.Sprintf("symbol=NEWUSDT&interval=1s&startTime=%s&limit=300", k.K.Open)) {
			if low == 0 && same(t, row[3], want[3]) {
				low = ms(t, row[0])
			}
			if high == 0 && same(t, row[2], want[2]) {
				high = ms(t, row[0])
			}
		}
		lowFirst = low < high
		if rising := figure(t, k.K.C).Cmp(figure(t, k.K.O)) >= 0; low != high && rising != lowFirst {
			t.Errorf("candle %d: rising %v, low at %d, high at %d", i, rising, low, high)
		}
	}
	// Its minutes add up, and its trades have one chain.
	minutes := rows(t, s, fmt.Sprintf("symbol=NEWUSDT&interval=1m&endTime=%d&limit=100", noon.UnixMilli()-1))
	five := rows(t, s, fmt.Sprintf("symbol=NEWUSDT&interval=5m&endTime=%d&limit=20", noon.UnixMilli()-1))
	for i, want := range allFigures(t, five) {
		got := merge(allFigures(t, minutes[5*i:5*i+5]))
		for k := range got {
			if got[k].Cmp(want[k]) != 0 {
				t.Errorf("five minutes %v, want %v", got, want)
				break
			}
		}
	}
}

func TestAfterItsEndAFileTradesNothing(t *testing.T) {
	s := start(t, sim.Options{Speed: 3600, Replay: []sim.ReplaySource{{
		Symbol: "BTCUSDT", Name: excerpt, Reader: bytes.NewReader(excerptText(t)), History: 178,
	}}})
	c := dial(t, s, "/ws/btcusdt@kline_5m")
	last := fileRows(t)[179]
	for {
		k := c.closedKline()
		if k.K.Trades != "0" {
			continue
		}
		if !same(t, k.K.O, last[4]) || !same(t, k.K.C, last[4]) || k.K.First != -1 {
			t.Errorf("empty candle %+v, want the last close %s", k.K, last[4])
		}
		break
	}
	if _, _, body := get(t, s.URL()+"/api/v3/exchangeInfo?symbol=BTCUSDT"); !strings.Contains(body, `"status":"BREAK"`) {
		t.Errorf("exchangeInfo = %s, want BREAK", body)
	}
}

func TestAFileThatCoversTheStartIsNotMoved(t *testing.T) {
	first := int64(1743999900000)
	s := start(t, sim.Options{Speed: 1, Start: time.UnixMilli(first + 60*300_000), Replay: []sim.ReplaySource{{
		Symbol: "BTCUSDT", Name: excerpt, Reader: bytes.NewReader(excerptText(t)),
	}}})
	got := rows(t, s, "symbol=BTCUSDT&interval=5m&limit=1000")
	if len(got) != 61 || ms(t, got[0][0]) != first {
		t.Errorf("%d candles from %v, want 61 from %d", len(got), got[0][0], first)
	}
	for _, tf := range market.Timeframes() {
		for _, row := range rows(t, s, "symbol=BTCUSDT&limit=5&interval="+tf.String()) {
			if err := candle(t, row).Validate(tf); err != nil {
				t.Errorf("%s: %v", tf, err)
			}
		}
	}
}

func TestBadFilesAreRefusedWithTheirLine(t *testing.T) {
	const h = "t,o,h,l,c,v\n"
	for _, tc := range []struct{ text, want string }{
		{"", "line 0: no candles"},
		{h, "line 1: no candles"},
		{"time,open\n1,2\n", `line 1: header "time,open"`},
		{h + "60000,1,2,1,1\n", "line 2: 5 fields"},
		{h + "x,1,2,1,1,1\n", `line 2: t "x" is no time`},
		{h + "-60000,1,2,1,1,1\n", `line 2: t "-60000"`},
		{h + "60000,1,2,1,1,1\n120000,1,nan,1,1,1\n", `line 3: h "nan" is no price`},
		{h + "60000,1e5,2,1,1,1\n", `line 2: o "1e5" is no price`},
		{h + "60000,0,2,1,1,1\n", `line 2: o "0" is no price`},
		{h + "60000,1,2,1,1,-1\n", `line 2: v "-1" is no volume`},
		{h + "60000,1,0.5,1,1,1\n", "line 2: o 1, h 0.5, l 1, c 1 do not fit together"},
		{h + "60000,1,2,1,1,0\n", `line 2: v "0" although the price moves`},
		{h + "60000,1,2,1,1,1\n60000,1,2,1,1,1\n", "line 3: t 60000 does not come after 60000"},
		{h + "60000,1,2,1,1,1\n120000,1,2,1,1,1\n180001,1,2,1,1,1\n", "line 4: t 180001 is not a multiple of 60000"},
		{h + "60000,1,2,1,1,1\n67000,1,2,1,1,1\n", "candles of 7000 ms"},
		{h + "60000,900000000000,900000000000.00000001,1,1,900000000000\n", "too large"},
		{h + strings.Repeat("1", 600) + "\n", "line 2: longer than 512 bytes"},
		{"\x1f\x8bgarbage", "gzip"},
	} {
		_, err := sim.New(sim.Options{Log: discard(), Replay: []sim.ReplaySource{{Symbol: "BTCUSDT", Name: "x.csv", Reader: strings.NewReader(tc.text)}}})
		if !errors.Is(err, sim.ErrCandleFile) || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "x.csv") {
			t.Errorf("file %.60q: %v, want a candle file error with x.csv and %q", tc.text, err, tc.want)
		}
	}
}

// bomb unpacks to rows without end.
type bomb struct{ read int }

func (b *bomb) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = "t,o,h,l,c,v\n"[(b.read+i)%12]
		if b.read+i >= 12 {
			p[i] = "\n0"[(b.read+i)%2]
		}
	}
	b.read += len(p)
	return len(p), nil
}

func TestAFileThatNeverEndsIsRefused(t *testing.T) {
	_, err := sim.New(sim.Options{Log: discard(), Replay: []sim.ReplaySource{{Symbol: "BTCUSDT", Name: "bomb", Reader: &bomb{}}}})
	if !errors.Is(err, sim.ErrCandleFile) {
		t.Errorf("New = %v, want a candle file error", err)
	}
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := io.WriteString(zw, "t,o,h,l,c,v\n"); err != nil {
		t.Fatal(err)
	}
	line := []byte(strings.Repeat(" ", 1<<20))
	for range 200 {
		if _, err := zw.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = sim.New(sim.Options{Log: discard(), Replay: []sim.ReplaySource{{Symbol: "BTCUSDT", Name: "bomb", Reader: &packed}}})
	if !errors.Is(err, sim.ErrCandleFile) {
		t.Errorf("New = %v, want a candle file error", err)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	replay := func(src sim.ReplaySource) sim.Options {
		return sim.Options{Log: discard(), Replay: []sim.ReplaySource{src}}
	}
	for name, o := range map[string]sim.Options{
		"no log":          {},
		"speed":           {Log: discard(), Speed: 3601},
		"negative speed":  {Log: discard(), Speed: -1},
		"start":           {Log: discard(), Start: time.Unix(0, 0)},
		"period":          {Log: discard(), FramePeriod: -time.Second},
		"address":         {Log: discard(), Addr: "nowhere:x"},
		"symbol":          replay(sim.ReplaySource{Symbol: "b", Reader: bytes.NewReader(excerptText(t))}),
		"history":         replay(sim.ReplaySource{Symbol: "BTCUSDT", Reader: bytes.NewReader(excerptText(t)), History: 180}),
		"unreadable file": replay(sim.ReplaySource{Symbol: "BTCUSDT", Reader: broken{}}),
	} {
		if _, err := sim.New(o); err == nil {
			t.Errorf("%s: New accepts it", name)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("disk on fire") }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
