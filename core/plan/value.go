package plan

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Units of values. A value has the unit's base: a share, bytes or seconds.
const (
	UnitShare   = "%"
	UnitBytes   = "bytes"
	UnitSeconds = "s"
)

var units = map[string]struct {
	factor float64
	unit   string
}{
	"": {1, ""}, "%": {0.01, UnitShare},
	"B": {1, UnitBytes}, "KB": {1e3, UnitBytes}, "MB": {1e6, UnitBytes}, "GB": {1e9, UnitBytes},
	"KiB": {1 << 10, UnitBytes}, "MiB": {1 << 20, UnitBytes}, "GiB": {1 << 30, UnitBytes},
	"ms": {1e-3, UnitSeconds}, "s": {1, UnitSeconds}, "m": {60, UnitSeconds}, "h": {3600, UnitSeconds}, "d": {86400, UnitSeconds},
}

// Number is a value without a unit.
func Number(v float64) Value { return Value{Num: v} }

// Text is a value that is compared as a word.
func Text(s string) Value { return Value{Text: s, IsText: true} }

// ParseValue reads a number with a unit, such as 98%, 512MiB or 2s.
func ParseValue(s string) (Value, error) {
	s = strings.TrimSpace(s)
	i := len(s)
	for i > 0 && !isDigit(s[i-1]) && s[i-1] != '.' {
		i--
	}
	u, ok := units[strings.TrimSpace(s[i:])]
	if !ok {
		return Value{}, fmt.Errorf("%q has an unknown unit; there are %%, B, KB, MB, GB, KiB, MiB, GiB, ms, s, m, h, d", s)
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(s[:i]), 64)
	if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
		return Value{}, fmt.Errorf("%q is no number with a unit", s)
	}
	if n *= u.factor; math.IsInf(n, 0) {
		return Value{}, fmt.Errorf("%q is too large", s)
	}
	return Value{Num: n, Unit: u.unit}, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// maxDuration bounds durations, so that sums of them cannot overflow.
const maxDuration = 400 * 24 * time.Hour

// ParseDuration reads one or several of 90s, 15m, 1h30m, 2d, together at most 400 days.
func ParseDuration(s string) (time.Duration, error) {
	rest, total := strings.TrimSpace(s), time.Duration(0)
	if rest == "" {
		return 0, fmt.Errorf("%q is no duration such as 15m", s)
	}
	for rest != "" {
		i := 0
		for i < len(rest) && (isDigit(rest[i]) || rest[i] == '.') {
			i++
		}
		j := i
		for j < len(rest) && !isDigit(rest[j]) {
			j++
		}
		u, ok := units[rest[i:j]]
		n, err := strconv.ParseFloat(rest[:i], 64)
		if !ok || u.unit != UnitSeconds || err != nil || n < 0 || n*u.factor > 400*86400 {
			if rest == s && s == "0" {
				return 0, nil
			}
			return 0, fmt.Errorf("%q is no duration such as 15m", s)
		}
		if total += time.Duration(math.Round(n * u.factor * float64(time.Second))); total > maxDuration {
			return 0, fmt.Errorf("%q is more than 400 days", s)
		}
		rest = rest[j:]
	}
	return total, nil
}

// FormatDuration writes a duration as a plan does: 15m, 1h30m, 2d is written 48h.
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	s := d.Round(time.Millisecond).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (v Value) isNaN() bool { return !v.IsText && math.IsNaN(v.Num) }

// String writes the value as people read it.
func (v Value) String() string {
	if v.IsText {
		return v.Text
	}
	return FormatNumber(v.Num, v.Unit)
}

// FormatNumber writes a number in its unit: 99.42 %, 512 MiB, 1.5 s.
func FormatNumber(n float64, unit string) string {
	switch {
	case math.IsNaN(n):
		return "NaN"
	case unit == UnitShare:
		return trimmed(n*100, 3) + " %"
	case unit == UnitBytes:
		return formatBytes(n)
	case unit == UnitSeconds:
		return formatSeconds(n)
	}
	if unit != "" {
		return trimmed(n, 4) + " " + unit
	}
	return trimmed(n, 4)
}

func formatBytes(n float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1 << 30, " GiB"}, {1 << 20, " MiB"}, {1 << 10, " KiB"}} {
		if math.Abs(n) >= u.size {
			return trimmed(n/u.size, 1) + u.name
		}
	}
	return trimmed(n, 0) + " B"
}

func formatSeconds(n float64) string {
	switch a := math.Abs(n); {
	case a == 0:
		return "0 s"
	case a < 1e-3:
		return trimmed(n*1e6, 1) + " µs"
	case a < 1:
		return trimmed(n*1e3, 1) + " ms"
	case a < 120, a > 1e9: // beyond a lifetime hours say nothing, and Inf has none
		return trimmed(n, 2) + " s"
	}
	return FormatDuration(time.Duration(n * float64(time.Second)).Round(time.Second))
}

// trimmed writes with at most so many decimals, without trailing zeros, and never
// as an exponent unless the number is out of the ordinary.
func trimmed(n float64, decimals int) string {
	if a := math.Abs(n); a >= 1e15 || a > 0 && a < math.Pow(10, -float64(decimals))/2 {
		return strconv.FormatFloat(n, 'g', 4, 64)
	}
	s := strconv.FormatFloat(n, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// Substitute fills a query's parameters in: $window with the window as PromQL writes
// it, $name with a parameter as a plain number in its base unit.
func (p *Plan) Substitute(query string, window time.Duration) string {
	if !strings.Contains(query, "$") {
		return query
	}
	seconds := int64(math.Ceil(window.Seconds()))
	return parameterName.ReplaceAllStringFunc(query, func(name string) string {
		if name == "$window" {
			return strconv.FormatInt(max(1, seconds), 10) + "s"
		}
		v, ok := p.Params[name[1:]]
		switch {
		case !ok:
			return name
		case v.IsText:
			return v.Text
		}
		return strconv.FormatFloat(v.Num, 'f', -1, 64)
	})
}
