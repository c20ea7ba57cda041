package sample

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"
)

// answer is what a request gets. data is JSON.
type answer struct {
	data     []byte
	warnings []string
}

func (a answer) write(w http.ResponseWriter) {
	out := append([]byte(nil), `{"status":"success","data":`...)
	out = append(out, a.data...)
	if len(a.warnings) > 0 {
		out = append(out, `,"warnings":`...)
		out = append(out, appendStrings(a.warnings)...)
	}
	send(w, http.StatusOK, append(out, '}'))
}

func refuse(w http.ResponseWriter, status int, kind Trouble, msg string) {
	out := append([]byte(nil), `{"status":"error","errorType":`...)
	out = appendJSON(out, string(kind))
	out = append(out, `,"error":`...)
	out = appendJSON(out, msg)
	send(w, status, append(out, '}'))
}

func send(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

func appendJSON(b []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil {
		panic(err) // of a string: cannot be
	}
	return append(b, q...)
}

func appendStrings(list []string) []byte {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, s)
	}
	return append(b, ']')
}

func appendLabels(b []byte, ls Labels) []byte {
	b = append(b, '{')
	for i, l := range ls {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, l.Name)
		b = append(b, ':')
		b = appendJSON(b, l.Value)
	}
	return append(b, '}')
}

func appendSeries(list []Labels) []byte {
	b := []byte{'['}
	for i, ls := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLabels(b, ls)
	}
	return append(b, ']')
}

// appendTime writes seconds, with three digits behind the point when needed.
func appendTime(b []byte, ms int64) []byte {
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if f := ms % 1000; f != 0 {
		b = append(b, '.', byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
	}
	return b
}

// appendPoint writes [time, "value"].
func appendPoint(b []byte, p Point) []byte {
	b = append(b, '[')
	b = appendTime(b, p.T)
	b = append(b, ',', '"')
	form := byte('f')
	if a := math.Abs(p.V); a != 0 && (a < 1e-6 || a >= 1e21) {
		form = 'e'
	}
	b = strconv.AppendFloat(b, p.V, form, -1, 64)
	return append(b, '"', ']')
}

func appendScalar(s Sample) []byte {
	b := appendPoint([]byte(`{"resultType":"scalar","result":`), Point{s.T, s.V})
	return append(b, '}')
}

func appendText(at time.Time, s string) []byte {
	b := appendTime([]byte(`{"resultType":"string","result":[`), at.UnixMilli())
	b = appendJSON(append(b, ','), s)
	return append(b, ']', '}')
}

func appendVector(v Vector, limit int) ([]byte, []string) {
	v, more := cut(v, limit)
	b := []byte(`{"resultType":"vector","result":[`)
	for i, s := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLabels(append(b, `{"metric":`...), s.Labels)
		b = appendPoint(append(b, `,"value":`...), Point{s.T, s.V})
		b = append(b, '}')
	}
	return append(b, ']', '}'), more
}

func appendMatrix(m Matrix, limit int) ([]byte, []string) {
	m, more := cut(m, limit)
	b := []byte(`{"resultType":"matrix","result":[`)
	for i, s := range m {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendLabels(append(b, `{"metric":`...), s.Labels)
		b = append(b, `,"values":[`...)
		for k, p := range s.Points {
			if k > 0 {
				b = append(b, ',')
			}
			b = appendPoint(b, p)
		}
		b = append(b, ']', '}')
	}
	return append(b, ']', '}'), more
}
