package market_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
)

func ms(year int, month time.Month, day, hour, minute int) int64 {
	return time.Date(year, month, day, hour, minute, 0, 0, time.UTC).UnixMilli()
}

func TestOpenIsTheStartOfTheCandle(t *testing.T) {
	t.Parallel()
	at := ms(2024, time.February, 29, 17, 38) + 12_345 // a Thursday of a leap year
	for _, c := range []struct {
		tf         market.Timeframe
		open, next int64
	}{
		{market.M1, ms(2024, 2, 29, 17, 38), ms(2024, 2, 29, 17, 39)},
		{market.M3, ms(2024, 2, 29, 17, 36), ms(2024, 2, 29, 17, 39)},
		{market.M5, ms(2024, 2, 29, 17, 35), ms(2024, 2, 29, 17, 40)},
		{market.M15, ms(2024, 2, 29, 17, 30), ms(2024, 2, 29, 17, 45)},
		{market.M30, ms(2024, 2, 29, 17, 30), ms(2024, 2, 29, 18, 0)},
		{market.H1, ms(2024, 2, 29, 17, 0), ms(2024, 2, 29, 18, 0)},
		{market.H2, ms(2024, 2, 29, 16, 0), ms(2024, 2, 29, 18, 0)},
		{market.H4, ms(2024, 2, 29, 16, 0), ms(2024, 2, 29, 20, 0)},
		{market.H6, ms(2024, 2, 29, 12, 0), ms(2024, 2, 29, 18, 0)},
		{market.H8, ms(2024, 2, 29, 16, 0), ms(2024, 3, 1, 0, 0)},
		{market.H12, ms(2024, 2, 29, 12, 0), ms(2024, 3, 1, 0, 0)},
		{market.D1, ms(2024, 2, 29, 0, 0), ms(2024, 3, 1, 0, 0)},
		{market.W1, ms(2024, 2, 26, 0, 0), ms(2024, 3, 4, 0, 0)},
		{market.Month, ms(2024, 2, 1, 0, 0), ms(2024, 3, 1, 0, 0)},
	} {
		if got := c.tf.Open(at); got != c.open {
			t.Errorf("%s: Open = %s, want %s", c.tf, time.UnixMilli(got).UTC(), time.UnixMilli(c.open).UTC())
		}
		if got := c.tf.Next(at); got != c.next {
			t.Errorf("%s: Next = %s, want %s", c.tf, time.UnixMilli(got).UTC(), time.UnixMilli(c.next).UTC())
		}
		if got := c.tf.CloseTime(at); got != c.next-1 {
			t.Errorf("%s: CloseTime = %d, want %d", c.tf, got, c.next-1)
		}
	}
}

func TestCandlesTileTimeWithoutHoleOrOverlap(t *testing.T) {
	t.Parallel()
	for _, tf := range market.Timeframes() {
		for _, from := range []int64{ms(1969, 11, 3, 5, 7) + 1, ms(1999, 12, 31, 23, 59), ms(2024, 1, 31, 12, 30) + 999} {
			open := tf.Open(from)
			for i := range 500 {
				next := tf.Next(open)
				for _, inside := range []int64{open, open + 1, (open + next) / 2, next - 1} {
					if got := tf.Open(inside); got != open {
						t.Fatalf("%s: Open(%d) = %d, want %d", tf, inside, got, open)
					}
				}
				if tf.Open(next) != next {
					t.Fatalf("%s: Next(%d) = %d is no open time", tf, open, next)
				}
				if got := tf.Add(next-1, -i); got != tf.Open(from) {
					t.Fatalf("%s: Add(%d, %d) = %d, want %d", tf, next-1, -i, got, tf.Open(from))
				}
				if got := tf.Add(from, i); got != open {
					t.Fatalf("%s: Add(%d, %d) = %d, want %d", tf, from, i, got, open)
				}
				open = next
			}
		}
	}
}

func TestWeeksOpenOnMondayAndMonthsFollowTheCalendar(t *testing.T) {
	t.Parallel()
	for i := range 300 {
		if day := time.UnixMilli(market.W1.Add(0, i-50)).UTC().Weekday(); day != time.Monday {
			t.Errorf("week %d opens on %s", i-50, day)
		}
		month := time.UnixMilli(market.Month.Add(0, i-50)).UTC()
		if want := time.Date(1970, time.Month(1+i-50), 1, 0, 0, 0, 0, time.UTC); !month.Equal(want) {
			t.Errorf("month %d opens at %s, want %s", i-50, month, want)
		}
	}
}

func TestTimeframeNamesAndLengths(t *testing.T) {
	t.Parallel()
	names := strings.Fields("1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M")
	all := market.Timeframes()
	if len(all) != len(names) || market.TimeframeNames() != strings.Join(names, " ") {
		t.Fatalf("timeframes %q, want %q", market.TimeframeNames(), names)
	}
	for i, tf := range all {
		if tf.String() != names[i] {
			t.Errorf("timeframe %d is %s, want %s", i, tf, names[i])
		}
		if got, err := market.ParseTimeframe(names[i]); got != tf || err != nil {
			t.Errorf("ParseTimeframe(%q) = %v, %v", names[i], got, err)
		}
		if i > 0 && tf.Duration() <= all[i-1].Duration() {
			t.Errorf("%s is not longer than %s", tf, all[i-1])
		}
		if length := time.Duration(tf.Next(0)-tf.Open(0)) * time.Millisecond; tf != market.Month && length != tf.Duration() {
			t.Errorf("a candle of %s lasts %s, want %s", tf, length, tf.Duration())
		}
	}
}

func TestParseTimeframeRefusesWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "1", "m", "1H", "1D", "2m", "01m", " 1m", "1m ", "none", "1month", strings.Repeat("1m", 1000)} {
		tf, err := market.ParseTimeframe(s)
		if tf != market.NoTimeframe || !errors.Is(err, market.ErrTimeframe) || !strings.Contains(err.Error(), "1m 3m 5m") || len(err.Error()) > 200 {
			t.Errorf("ParseTimeframe(%.20q) = %v, %v, want an error that lists the timeframes", s, tf, err)
		}
	}
}

func FuzzParseTimeframe(f *testing.F) {
	for _, s := range []string{"", "1m", "1M", "12h", "1w", "\x00", "３m"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tf, err := market.ParseTimeframe(s)
		if (err == nil) != (tf != market.NoTimeframe) || err == nil && tf.String() != s {
			t.Errorf("ParseTimeframe(%q) = %v, %v", s, tf, err)
		}
	})
}

func TestNoTimeframeHasNoCandles(t *testing.T) {
	t.Parallel()
	for _, tf := range []market.Timeframe{market.NoTimeframe, market.Month + 1, 255} {
		if tf.String() != "none" || tf.Duration() != 0 || tf.Open(1e12) != 0 || tf.Next(1e12) != 0 || tf.Add(1e12, -3) != 0 {
			t.Errorf("%d: %s %s %d %d %d", tf, tf, tf.Duration(), tf.Open(1e12), tf.Next(1e12), tf.Add(1e12, -3))
		}
	}
}
