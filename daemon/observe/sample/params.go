package sample

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

// params are the parameters of one request. The first mistake stays in err.
type params struct {
	form url.Values
	name string // of the label, from the path
	now  time.Time
	err  error
}

func (p *params) time(name string, otherwise time.Time) time.Time {
	s := p.form.Get(name)
	if s == "" {
		return otherwise
	}
	t, err := parseTime(s)
	if err != nil && p.err == nil {
		p.err = invalid(name, err)
	}
	return t
}

func (p *params) duration(name string, otherwise time.Duration) time.Duration {
	s := p.form.Get(name)
	if s == "" {
		return otherwise
	}
	d, err := parseDuration(s)
	if err != nil && p.err == nil {
		p.err = invalid(name, err)
	}
	return d
}

// limit returns 0 for none.
func (p *params) limit() int {
	s := p.form.Get("limit")
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if (err != nil || n < 0 || n == math.MaxInt) && p.err == nil {
		p.err = invalid("limit", errors.New("limit must be a non-negative number"))
	}
	return n
}

// Times that Prometheus itself writes for "since ever" and "for ever".
var (
	minTime = time.Unix(math.MinInt64/1000+62135596801, 0).UTC()
	maxTime = time.Unix(math.MaxInt64/1000-62135596801, 999999999).UTC()
)

// Seconds since 1970 beyond which a time in ms does not fit.
const maxSeconds = math.MaxInt64 / 1000 / 2

// parseTime takes unix seconds with a fraction, or RFC 3339.
func parseTime(s string) (time.Time, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		if math.IsNaN(f) || math.Abs(f) > maxSeconds {
			return time.Time{}, errors.New("cannot parse " + strconv.Quote(s) + " to a valid timestamp")
		}
		sec, frac := math.Modf(f)
		return time.Unix(int64(sec), int64(math.Round(frac*1000)*1e6)).UTC(), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	switch s {
	case minTime.Format(time.RFC3339Nano):
		return minTime, nil
	case maxTime.Format(time.RFC3339Nano):
		return maxTime, nil
	}
	return time.Time{}, errors.New("cannot parse " + strconv.Quote(s) + " to a valid timestamp")
}

// parseDuration takes seconds with a fraction, or 1h30m.
func parseDuration(s string) (time.Duration, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		ns := f * float64(time.Second)
		if math.IsNaN(ns) || ns > math.MaxInt64/2 || ns < math.MinInt64/2 {
			return 0, errors.New("cannot parse " + strconv.Quote(s) + " to a valid duration. It overflows int64")
		}
		return time.Duration(ns), nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, errors.New("cannot parse " + strconv.Quote(s) + " to a valid duration")
	}
	return time.Duration(d), nil
}
