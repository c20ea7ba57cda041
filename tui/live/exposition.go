package live

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// sample is one line of a metrics page, its labels left out: the console sums or
// takes the greatest over all label values.
type sample struct {
	name  string
	value float64
}

var errExposition = errors.New("metrics page")

// readExposition reads the Prometheus text format and gives each sample to emit.
// A line that is not of the format ends it with an error that wraps errExposition:
// half a page read as a whole one would show wrong sums. The page's own comments,
// timestamps and exemplars are skipped. (The library for this format brings
// protocol buffers with it, which would be a quarter of the console's binary.)
func readExposition(r io.Reader, emit func(sample)) error {
	s := bufio.NewScanner(r)
	s.Buffer(make([]byte, 0, 16<<10), 1<<20)
	for n := 1; s.Scan(); n++ {
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		one, ok := parseSample(line)
		if !ok {
			return fmt.Errorf("%w: line %d is no sample: %.60q", errExposition, n, line)
		}
		emit(one)
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%w: %w", errExposition, err)
	}
	return nil
}

func parseSample(line []byte) (sample, bool) {
	end := 0
	for end < len(line) && nameByte(line[end], end == 0) {
		end++
	}
	if end == 0 {
		return sample{}, false
	}
	name, rest := string(line[:end]), bytes.TrimLeft(line[end:], " \t")
	if len(rest) > 0 && rest[0] == '{' {
		var ok bool
		if rest, ok = afterLabels(rest); !ok {
			return sample{}, false
		}
	} else if end < len(line) && line[end] != ' ' && line[end] != '\t' {
		return sample{}, false
	}
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return sample{}, false
	}
	v, err := strconv.ParseFloat(string(fields[0]), 64)
	if err != nil && !math.IsInf(v, 0) {
		return sample{}, false
	}
	return sample{name, v}, true
}

func nameByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || !first && c >= '0' && c <= '9'
}

// afterLabels returns what follows the labels, which may hold braces in quotes.
func afterLabels(b []byte) ([]byte, bool) {
	quoted := false
	for i := 1; i < len(b); i++ {
		switch {
		case quoted && b[i] == '\\':
			i++
		case b[i] == '"':
			quoted = !quoted
		case b[i] == '}' && !quoted:
			return b[i+1:], true
		}
	}
	return nil, false
}
