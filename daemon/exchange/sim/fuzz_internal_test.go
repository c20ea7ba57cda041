package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParseCommand(f *testing.F) {
	for _, seed := range []string{
		`{"method":"SUBSCRIBE","params":["btcusdt@kline_1m"],"id":1}`, `{"method":"SET_PROPERTY","params":["combined",true],"id":"a"}`,
		`{"method":"LIST_SUBSCRIPTIONS","id":null}`, `{"method":"NOPE<>&","id":-5}`, `{"id":1.5}`, `[]`, `{"method":`, "\x00", `{"method":null,"params":[[]],"id":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cmd, refused := parseCommand(text)
		var reply []byte
		if refused != nil {
			reply = refused.body()
		} else {
			cmd.streams()
			reply = cmd.reply(nil)
		}
		if !json.Valid(reply) {
			t.Errorf("reply to %q is no JSON: %s", text, reply)
		}
	})
}

func FuzzParseStream(f *testing.F) {
	for _, seed := range []string{"btcusdt@kline_1m", "btcusdt@kline_1M@+08:00", "a@trade", "@", "btcusdt@kline_", "!miniTicker@arr", "BTC@trade"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		s, ok := parseStream(name)
		if !ok {
			return
		}
		if s.symbol == "" || s.event == "" || !strings.HasPrefix(name, strings.ToLower(s.symbol)+"@") {
			t.Errorf("parseStream(%q) = %+v", name, s)
		}
		if s.event == "kline" {
			if open := s.open(1_780_488_000_000); open > 1_780_488_000_000 || s.add(open, 1) <= 1_780_488_000_000 {
				t.Errorf("parseStream(%q): candle from %d to %d", name, open, s.add(open, 1))
			}
		}
	})
}

func FuzzParseZone(f *testing.F) {
	for _, seed := range []string{"0", "-1:00", "05:45", "14", "-12:00", "14:01", "+8", ":", "--1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if zone, err := parseZone(s); err == nil && (zone < -12*hourMS || zone > 14*hourMS || zone%minuteMS != 0) {
			t.Errorf("parseZone(%q) = %d", s, zone)
		}
	})
}

// Whatever is accepted must play back as it stands.
func FuzzReadCandles(f *testing.F) {
	const h = "t,o,h,l,c,v\n"
	f.Add([]byte(h + "60000,1.5,2,1,1.25,10\n120000,1.25,1.3,1.2,1.2,0.00000001\n"))
	f.Add([]byte(h + "0,90000.01,90001,89999,90000,12.345\r\n300000,1,1,1,1,0\n"))
	f.Add([]byte(h + "86400000,0.00001234,0.00002,0.00001,0.00001,999999999999\n"))
	f.Add([]byte(h + "60000,70000000000000,70000000000000,1,1,1\n"))
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write([]byte(h + "60000,1.5,2,1,1.25,10\n")); err != nil {
		f.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(packed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := readCandles("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		start := file.rows[0].time
		l, p, err := newReplayed(ReplaySource{Symbol: "BTCUSDT", Name: "fuzz", Reader: bytes.NewReader(data)}, start)
		if err != nil {
			t.Fatalf("newReplayed: %v although it can be read", err)
		}
		tp := newTape(l, p)
		for i, row := range file.rows[:min(len(file.rows), 3)] {
			c := tp.span(row.time, row.time+file.length)
			if c.open != row.open || c.high != row.high || c.low != row.low || c.close != row.close || c.volume != row.volume {
				if row.volume == 0 && i == 0 && c.trades == 0 {
					continue
				}
				if row.volume == 0 && c.trades == 0 {
					continue // nothing was traded: the price before stands
				}
				t.Errorf("row %+v plays as %+v", row, c)
			}
			appendRow(nil, &l, candle{open: row.time, close: row.time + file.length - 1, cell: c}, 1)
		}
	})
}
