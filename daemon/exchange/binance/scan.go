package binance

import (
	"fmt"
	"iter"
	"strconv"
)

// The scanner walks JSON that json.Valid has passed, without copying it.
// encoding/json is not used for frames because it matches keys without regard
// to case, and Binance's klines have t and T, v and V, q and Q, l and L.

func space(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

func skipSpace(data []byte, i int) int {
	for i < len(data) && space(data[i]) {
		i++
	}
	return i
}

// skipString returns the index after the string that begins at data[i].
func skipString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(data)
}

// skipValue returns the index after the value that begins at data[i].
func skipValue(data []byte, i int) int {
	if i >= len(data) {
		return i
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{', '[':
		depth := 0
		for i < len(data) {
			switch data[i] {
			case '"':
				i = skipString(data, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
				if depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return i
	default:
		for i < len(data) && data[i] != ',' && data[i] != '}' && data[i] != ']' && !space(data[i]) {
			i++
		}
		return i
	}
}

// trim returns data without the white space around its value.
func trim(data []byte) []byte {
	i := skipSpace(data, 0)
	return data[i:skipValue(data, i)]
}

// members yields the keys of an object, without their quotes and as they are
// written, with their values. Of anything else it yields nothing.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		i := skipSpace(object, 0)
		if i >= len(object) || object[i] != '{' {
			return
		}
		for {
			i = skipSpace(object, i+1) // past the brace or the comma
			if i >= len(object) || object[i] != '"' {
				return
			}
			end := skipString(object, i)
			key := object[i+1 : end-1]
			i = skipSpace(object, end)
			i = skipSpace(object, i+1) // past the colon
			end = skipValue(object, i)
			if !yield(key, object[min(i, len(object)):end]) {
				return
			}
			i = skipSpace(object, end)
			if i >= len(object) || object[i] != ',' {
				return
			}
		}
	}
}

// elements yields the values of an array. Of anything else it yields nothing.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		i := skipSpace(array, 0)
		if i >= len(array) || array[i] != '[' {
			return
		}
		for {
			i = skipSpace(array, i+1) // past the bracket or the comma
			if i >= len(array) || array[i] == ']' {
				return
			}
			end := skipValue(array, i)
			if !yield(array[i:end]) {
				return
			}
			i = skipSpace(array, end)
			if i >= len(array) || array[i] != ',' {
				return
			}
		}
	}
}

// text returns the content of a string that needs no unescaping.
func text(value []byte) ([]byte, bool) {
	if len(value) < 2 || value[0] != '"' {
		return nil, false
	}
	inner := value[1 : len(value)-1]
	for _, b := range inner {
		if b == '\\' {
			return nil, false
		}
	}
	return inner, true
}

// integer reads a JSON number that is a whole number of at most 18 digits.
func integer(value []byte) (int64, error) {
	if len(value) == 0 || len(value) > 19 {
		return 0, fmt.Errorf("%.24q is not a whole number", value)
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.24q is not a whole number", value)
	}
	return n, nil
}

// decimal reads a string of digits with at most one point, as Binance writes
// prices and volumes; no sign, no exponent, no name of infinity.
func decimal(value []byte) (float64, error) {
	inner, ok := text(value)
	if !ok || len(inner) == 0 || len(inner) > 40 {
		return 0, fmt.Errorf("%.48q is not a decimal string", value)
	}
	for _, b := range inner {
		if (b < '0' || b > '9') && b != '.' {
			return 0, fmt.Errorf("%.48q is not a decimal string", value)
		}
	}
	f, err := strconv.ParseFloat(string(inner), 64)
	if err != nil {
		return 0, fmt.Errorf("%.48q is not a decimal string", value)
	}
	return f, nil
}
