package stat

import (
	"fmt"
	"math"
	"time"
)

// Verdict judges a trend at a time since the begin of the run. A warm-up can't be told
// from a leak early (in half of the runs not even at 24 h), so the first day may only
// warn; at a day it fails when the limit is less than 48 h away; at two days the test
// decides, and fails when that is less than 7 days. A process that was restarted is
// judged by its longest run: two runs of a day show two warm-ups.
//
// Coverage is left to the caller, who knows what it demands.
func (t Trend) Verdict(elapsed time.Duration) Verdict {
	const day = 24 * time.Hour
	// The last bucket may be too thin and a scrape too late: a day is 95 % of one.
	age := min(elapsed, t.Span/95*100)
	switch {
	case !t.Enough:
		return Unknown
	case !t.Flagged:
		return Pass
	case age >= 2*day && t.TimeToLimit < 7*day, age >= day && t.TimeToLimit < 2*day:
		return Fail
	default:
		return Warn
	}
}

// String says it in words, to stand behind the name of a series: "grows 1.2 MB/h
// (0.9 to 1.5), limit 512 MiB in 11 days; both halves agree; 188 of 192 buckets".
func (t Trend) String() string {
	buckets := fmt.Sprintf("%d of %d buckets", t.Buckets, t.Expected)
	if !t.Enough {
		return fmt.Sprintf("no verdict: %s; %s", t.Reason, buckets)
	}
	scale, unit := t.Unit.hourly()
	slope := fmt.Sprintf("%s%s (%s to %s)", number(t.Slope*scale), unit, number(t.Low*scale), number(t.High*scale))
	if t.Flagged {
		return fmt.Sprintf("grows %s%s; both halves agree; %s", slope, t.limit(), buckets)
	}
	halves := ""
	if t.Reason == flattens || t.Reason == startsLate {
		halves = fmt.Sprintf(" (halves %s and %s)", number(t.Halves[0]*scale), number(t.Halves[1]*scale))
	}
	return fmt.Sprintf("no leak: %s, %s%s; %s", slope, t.Reason, halves, buckets)
}

// limit says when the limit is reached.
func (t Trend) limit() string {
	switch {
	case t.Limit == 0:
		return ""
	case t.TimeToLimit == Never:
		return fmt.Sprintf(", limit %s not in sight", t.Unit.amount(t.Limit))
	case t.TimeToLimit == 0:
		return fmt.Sprintf(", has reached its limit of %s", t.Unit.amount(t.Limit))
	default:
		return fmt.Sprintf(", limit %s in %s", t.Unit.amount(t.Limit), about(t.TimeToLimit))
	}
}

// hourly returns the factor and the name of a rate per hour.
func (u Unit) hourly() (scale float64, name string) {
	switch u {
	case Bytes:
		return 1e-6, " MB/h"
	case Share:
		return 100, " percentage points/h"
	default:
		return 1, "/h"
	}
}

// amount writes a value of the unit: limits of memory are round in MiB, or they were
// never thought of in it.
func (u Unit) amount(v float64) string {
	const mib = 1 << 20
	switch {
	case u == Bytes && v >= mib && math.Mod(v, mib) == 0:
		return number(v/mib) + " MiB"
	case u == Bytes:
		return number(v/1e6) + " MB"
	case u == Share:
		return number(v*100) + " %"
	default:
		return number(v)
	}
}

// number writes two digits, and more only before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 9.95 && a < 1e15:
		return fmt.Sprintf("%.0f", v)
	case a >= 0.95 && a < 9.95:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

// about writes a duration in the unit that leaves two or three digits.
func about(d time.Duration) string {
	hours := d.Hours()
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f minutes", d.Minutes())
	case hours < 48:
		return fmt.Sprintf("%.0f hours", hours)
	case hours < 730*24:
		return fmt.Sprintf("%.0f days", hours/24)
	default:
		return fmt.Sprintf("%.0f years", hours/24/365)
	}
}
