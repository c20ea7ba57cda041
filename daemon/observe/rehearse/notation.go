package rehearse

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// segment is a part of a sequence in promtool's notation.
type segment struct {
	kind  segmentKind
	start float64
	step  float64
	n     int // values
}

type segmentKind uint8

const (
	values segmentKind = iota
	missing
	stale
)

var token = regexp.MustCompile(`^(?:(_)|(stale)|([-+]?(?:[0-9.]+(?:[eE][-+]?[0-9]+)?|Inf|NaN))([-+][0-9.]+(?:[eE][-+]?[0-9]+)?)?)(?:x([0-9]+))?$`)

// parseSequence reads values as promtool's test files write them: 1, 1x5 (six times
// 1), 0+2x5 (0 2 … 10), _ (missing), _x5 (five times), stale. They are kept as
// written, because 48 hours are 11,520 values.
func parseSequence(text string) ([]segment, error) {
	var out []segment
	for _, word := range strings.Fields(text) {
		m := token.FindStringSubmatch(word)
		if m == nil {
			return nil, fmt.Errorf("%q is no value such as 1, 0+2x5, _x3 or stale", word)
		}
		times := 0
		if m[5] != "" {
			n, err := strconv.Atoi(m[5])
			if err != nil || n > 1e6 {
				return nil, fmt.Errorf("%q repeats too often", word)
			}
			times = n
		}
		s := segment{n: times + 1}
		switch {
		case m[1] != "":
			s.kind, s.n = missing, max(1, times)
		case m[2] != "":
			if m[5] != "" {
				return nil, fmt.Errorf("%q: stale stands alone", word)
			}
			s.kind = stale
		default:
			v, err := strconv.ParseFloat(m[3], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", word, err)
			}
			s.start = v
			if m[4] != "" {
				if m[5] == "" {
					return nil, fmt.Errorf("%q: how often? a+bxn is meant", word)
				}
				if s.step, err = strconv.ParseFloat(m[4], 64); err != nil {
					return nil, fmt.Errorf("%q: %w", word, err)
				}
			}
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("a series needs values")
	}
	return out, nil
}

// cursor walks along a sequence, tick by tick.
type cursor struct {
	segments []segment
	at       int // segment
	i        int // value in it
	last     float64
	kind     segmentKind
	over     bool
}

// next returns the value of the next tick. After the end the last value stays, a
// slope goes on, and over is set.
func (c *cursor) next(open bool) (float64, segmentKind) {
	if c.at >= len(c.segments) {
		c.over = true
		if open {
			if s := c.segments[len(c.segments)-1]; s.kind == values {
				c.last += s.step
			}
		}
		return c.last, c.kind
	}
	s := &c.segments[c.at]
	c.kind = s.kind
	if s.kind == values {
		c.last = s.start + s.step*float64(c.i)
	} else {
		c.last = math.NaN()
	}
	if c.i++; c.i >= s.n {
		c.at, c.i = c.at+1, 0
	}
	return c.last, c.kind
}
