package notify_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/notify"
)

func event(reason string, price float64) alert.Event {
	return alert.Event{
		Series: market.Series{Symbol: "BTCUSDT", Timeframe: market.M1},
		Type:   alert.TypeBBBreak, Reason: reason, Price: price,
	}
}

func TestSentenceNeverRounds(t *testing.T) {
	late := event("close<lower", 0.0000123)
	late.Late = true
	tests := []struct {
		name string
		m    notify.Message
		want string
	}{
		{"ordinary", notify.Message{Event: event("close>upper", 65012.3)}, "BTCUSDT 1m bb_break: close>upper at 65012.3"},
		{"tiny price", notify.Message{Event: late}, "BTCUSDT 1m bb_break: close<lower at 0.0000123 (late)"},
		{"all digits", notify.Message{Event: event("close>upper", 12345.678901234567)}, "BTCUSDT 1m bb_break: close>upper at 12345.678901234567"},
		{"large price has no exponent", notify.Message{Event: event("close>upper", 1e21)}, "BTCUSDT 1m bb_break: close>upper at 1000000000000000000000"},
		{"own words", notify.Message{Test: true, Text: "is this on?"}, "is this on?"},
		{"test", notify.Message{Test: true}, "test message from Spark"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := notify.Sentence(tt.m); got != tt.want {
				t.Errorf("Sentence(%+v) = %q, want %q", tt.m, got, tt.want)
			}
		})
	}
}

func FuzzSentenceIsPrintable(f *testing.F) {
	f.Add("close>upper")
	f.Add("\x1b]0;owned\x07 \u202eevil\u2028 \x9b31m")
	f.Add(strings.Repeat("é", 2000))
	f.Add("\xff\xfe")
	f.Fuzz(func(t *testing.T, text string) {
		for _, m := range []notify.Message{{Text: text}, {Event: event(text, 1)}} {
			got := notify.Sentence(m)
			if len(got) > 1000 || !utf8.ValidString(got) {
				t.Fatalf("Sentence of %q = %d bytes, valid %v; want at most 1000 and valid", text, len(got), utf8.ValidString(got))
			}
			for _, r := range got {
				if !unicode.IsPrint(r) {
					t.Fatalf("Sentence of %q has %U", text, r)
				}
			}
		}
	})
}
