package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const whenHelp = "2006-01-02T15:04:05Z, @SECONDS since 1970, or from now: -30m, +4h, 2d"

var errWhen = errors.New("a time such as " + whenHelp)

// parseWhen reads a time as people give it to a flag. A span without a sign lies
// ahead.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "now" {
		return now, nil
	}
	if seconds, ok := strings.CutPrefix(s, "@"); ok {
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil || n < 0 || n > 1<<35 { // beyond the year 3000 it was milliseconds
			return time.Time{}, errWhen
		}
		return time.Unix(n, 0), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	sign := time.Duration(1)
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		sign, s = -1, rest
	} else {
		s = strings.TrimPrefix(s, "+")
	}
	d, err := parseSpan(s)
	if err != nil {
		return time.Time{}, errWhen
	}
	return now.Add(sign * d), nil
}

// parseSpan reads a positive span: Go's, or whole days such as 2d, at most ten years.
func parseSpan(s string) (time.Duration, error) {
	const longest = 3650 * 24 * time.Hour
	wrong := fmt.Errorf("a span such as 90s, 15m, 1h30m or 2d, not %q", s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n <= 0 || n > 3650 {
			return 0, wrong
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > longest {
		return 0, wrong
	}
	return d, nil
}

// stamp prints a time of the contract for people: UTC, so that two of them on the
// telephone read the same.
func stamp(ms int64) string {
	if ms == 0 {
		return "–"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05Z")
}

// offset prints the distance from T0 as the plan does: T+26:05.
func offset(t0, at int64) string {
	sign, m := "+", (at-t0)/60_000
	if at < t0 {
		sign, m = "-", (t0-at)/60_000
	}
	return fmt.Sprintf("T%s%02d:%02d", sign, m/60, m%60)
}
