package probe

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Limits of a flattened document.
const (
	maxDepth    = 16
	maxFields   = 400 // of a document
	maxElements = 50  // fields below the elements of arrays, in a document
	maxName     = 64  // bytes, of one step of a path
)

// flattenInto adds the values of a JSON document under body, and reports whether
// it is one. Numbers stay, truth is 1 or 0, texts stay, null is not there. An array
// has its length at .len and its elements at .0, .1, …; the fields below elements
// are limited to the first 50, because a list of candles is not what is asked for.
// Characters of names that a condition cannot name become _.
func flattenInto(f fields, doc []byte) bool {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return false
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return false
	}
	fl := flattening{into: f, room: maxFields, elements: maxElements}
	fl.add("body", v, 0, false)
	return true
}

type flattening struct {
	into           fields
	room, elements int
}

func (fl *flattening) put(path string, v Value, element bool) {
	if _, twice := fl.into[path]; twice {
		return // of two names that became one, the first in order stays
	}
	if fl.room == 0 || element && fl.elements == 0 {
		return
	}
	fl.room--
	if element {
		fl.elements--
	}
	fl.into[path] = v
}

func (fl *flattening) add(path string, v any, depth int, element bool) {
	switch v := v.(type) {
	case bool:
		fl.put(path, Truth(v), element)
	case string:
		fl.put(path, Text(v), element)
	case json.Number:
		if n, err := strconv.ParseFloat(v.String(), 64); err == nil && !math.IsInf(n, 0) {
			fl.put(path, Number(n), element)
		}
	case []any:
		fl.put(path+".len", Number(float64(len(v))), element)
		for i, e := range v {
			if depth == maxDepth || fl.elements == 0 || fl.room == 0 {
				return
			}
			fl.add(path+"."+strconv.Itoa(i), e, depth+1, true)
		}
	case map[string]any:
		if depth == maxDepth {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			fl.add(path+"."+step(name), v[name], depth+1, element)
		}
	}
}

// step makes one step of a path of a name.
func step(name string) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-':
			return r
		}
		return '_'
	}, name)
	if s == "" {
		return "_"
	}
	return s[:min(len(s), maxName)]
}
