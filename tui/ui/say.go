package ui

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spark-ta/spark/core/safetext"
)

// Say formats like fmt.Sprintf and makes the result safe.
func Say(format string, args ...any) safetext.Text {
	return safetext.Clean(fmt.Sprintf(format, args...))
}

// Age writes a duration in at most five characters, such as "0.4s", "12s", "5m",
// "3h12m" or "9d". Negative durations, which a clock ahead makes, are "0.0s".
func Age(d time.Duration) string {
	switch {
	case d < 0:
		return "0.0s"
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 100*time.Second:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 100*time.Minute:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 10*time.Hour:
		return fmt.Sprintf("%dh%02d", int(d.Hours()), int(d.Minutes())%60)
	case d < 100*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// Seconds writes a duration in whole seconds and up: ages that are redrawn each
// second and should not flicker.
func Seconds(d time.Duration) string {
	if d < 10*time.Second {
		return strconv.Itoa(max(int(d.Seconds()), 0)) + "s"
	}
	return Age(d)
}

// Millis writes a latency in at most five characters: "0.31ms" would be six, so
// it is "0.3ms"; then "12ms", "1.2s".
func Millis(ms float64) string {
	switch {
	case math.IsNaN(ms) || ms < 0:
		return "–"
	case ms < 9.95:
		return fmt.Sprintf("%.1fms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0fms", ms)
	default:
		return Age(time.Duration(min(ms, 1e12)) * time.Millisecond)
	}
}

// Count writes a number in at most five characters: "999", "12.3k", "4.5M".
func Count(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	a := math.Abs(v)
	switch {
	case a < 9.95 && v != math.Trunc(v):
		return fmt.Sprintf("%.1f", v)
	case a < 999.5:
		return fmt.Sprintf("%.0f", v)
	case a < 99_950:
		return fmt.Sprintf("%.1fk", v/1e3)
	case a < 999_500:
		return fmt.Sprintf("%.0fk", v/1e3)
	case a < 99.95e6:
		return fmt.Sprintf("%.1fM", v/1e6)
	case a < 999.5e6:
		return fmt.Sprintf("%.0fM", v/1e6)
	case a < 99.95e9:
		return fmt.Sprintf("%.1fG", v/1e9)
	case a < 999.5e9:
		return fmt.Sprintf("%.0fG", v/1e9)
	default:
		return fmt.Sprintf("%.0e", v)
	}
}

// Bytes writes a size in at most six characters, such as "34.1MB".
func Bytes(n int64) string {
	v := float64(max(n, 0))
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		if v < 999.5 {
			if v < 99.95 && unit != "B" {
				return fmt.Sprintf("%.1f%s", v, unit)
			}
			return fmt.Sprintf("%.0f%s", v, unit)
		}
		v /= 1000
	}
	return fmt.Sprintf("%.0fTB", v)
}

// Price writes a price with as many decimals as its size deserves: at least five
// digits that count, so that a coin at 0.0000123 is as readable as one at 90,000.
func Price(v float64) string { return strconv.FormatFloat(v, 'f', Decimals(v), 64) }

// Decimals returns the number of decimals of [Price].
func Decimals(v float64) int {
	v = math.Abs(v)
	if math.IsNaN(v) || math.IsInf(v, 0) || v == 0 {
		return 2
	}
	return min(max(4-int(math.Floor(math.Log10(v))), 2), 12)
}

// Percent writes a change with its sign in at most eight characters, such as
// "+1.25%" or "+12345%"; NaN is "–".
func Percent(ratio float64) string {
	if math.IsNaN(ratio) || math.IsInf(ratio, 0) {
		return "–"
	}
	if percent := min(ratio*100, 99999); math.Abs(percent) < 999.995 {
		return fmt.Sprintf("%+.2f%%", percent)
	}
	return fmt.Sprintf("%+.0f%%", max(min(ratio*100, 99999), -99999))
}

// Zone returns z, or UTC if it is nil.
func Zone(z *time.Location) *time.Location {
	if z == nil {
		return time.UTC
	}
	return z
}
