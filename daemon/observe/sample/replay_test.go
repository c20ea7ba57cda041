package sample

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
)

// FuzzRecord hands records to the replay that the checksum found whole.
func FuzzRecord(f *testing.F) {
	var enc record.Encoder
	series := enc.Series([]record.RefSeries{{Ref: 1, Labels: labels.FromStrings("__name__", "a", "x", "y")}, {Ref: 9, Labels: labels.EmptyLabels()}}, nil)
	samples := enc.Samples([]record.RefSample{{Ref: 1, T: 5, V: 1}, {Ref: chunks.HeadSeriesRef(7), T: -5, V: 2}, {Ref: 1, T: 9, V: 3}}, nil)
	f.Add(series, samples)
	f.Add(samples, series)
	f.Add([]byte{1}, []byte{2})
	f.Add(append([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		s, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		in := newReplay(s)
		for _, rec := range [][]byte{a, b, b} {
			if _, err := in.record(rec); err == nil && len(rec) > 0 && rec[0] == byte(record.Series) && !wellFormed(rec) {
				t.Errorf("record %x was taken", rec)
			}
		}
		v := in.finish()
		n := uint64(0)
		for i := range v.columns {
			l := line{column: v.columns[i]}
			for it, last := l.Iterator(nil), int64(0); it.Next() != 0; n++ {
				if it.AtT() <= last && n > 0 && last != 0 {
					t.Error("samples out of order")
				}
				last = it.AtT()
			}
		}
		if n != v.samples {
			t.Errorf("%d samples, %d counted", n, v.samples)
		}
	})
}
