package sample

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/record"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/compression"
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

// FuzzSalvage damages a segment of a dozen pages, whose records are a few bytes to a
// few pages long and begin with their number. What is read before the damage and
// found behind it are records that were written, in their order, and a single byte
// costs no more than what lies in its page. The first byte of a header is left alone:
// no checksum covers it, and the format cannot tell.
func FuzzSalvage(f *testing.F) {
	dir := f.TempDir()
	w, err := wlog.NewSize(quiet(), nil, dir, largestSegment, compression.Snappy)
	if err != nil {
		f.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	const records = 150
	lengths := make([]int, records)
	for i := range records {
		rec := make([]byte, 4+rnd.IntN(1<<(2+i%15)))
		for k := range rec {
			rec[k] = byte(rnd.Uint32())
		}
		binary.BigEndian.PutUint32(rec, uint32(i))
		lengths[i] = len(rec)
		if err := w.Log(rec); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(wlog.SegmentName(dir, 0))
	if err != nil {
		f.Fatal(err)
	}
	blind := headers(whole)
	for _, at := range []int{0, 1, 5, 9, pageBytes - 1, pageBytes, pageBytes + 1, 5*pageBytes + 77, len(whole) - 1} {
		f.Add(at, byte(7), -1, byte(0))
		f.Add(at, byte(255), at+3*pageBytes, byte(1))
	}
	f.Fuzz(func(t *testing.T, at int, flip byte, at2 int, flip2 byte) {
		data := slices.Clone(whole)
		for _, x := range []struct {
			at   int
			flip byte
		}{{at, flip}, {at2, flip2}} {
			if x.at >= 0 && x.at < len(data) && !blind[x.at] {
				data[x.at] ^= x.flip
			}
		}
		var all [][]byte
		r := wlog.NewReader(bytes.NewReader(data))
		good := int64(0)
		for r.Next() {
			all = append(all, slices.Clone(r.Record()))
			good = r.Offset()
		}
		if r.Err() != nil {
			all = append(all, salvage(data, good)...)
		}
		last, bytes := -1, 0
		for _, rec := range all {
			if len(rec) == 0 {
				continue // padding that begins like a header
			}
			if len(rec) < 4 {
				t.Fatalf("a record of %d bytes", len(rec))
			}
			n := int(binary.BigEndian.Uint32(rec))
			if n <= last || n >= records || len(rec) != lengths[n] {
				t.Fatalf("record %d of %d bytes after record %d", n, len(rec), last)
			}
			last, bytes = n, bytes+len(rec)
		}
		if lost := len(whole) - bytes; flip2 == 0 && lost > 4*pageBytes {
			t.Errorf("byte %d cost %d bytes", at, lost)
		}
	})
}

// headers returns where the fragments of a segment begin.
func headers(data []byte) map[int]bool {
	out := map[int]bool{}
	for page := 0; page < len(data); page += pageBytes {
		for at := page; at+7 <= min(page+pageBytes, len(data)) && data[at] != 0; {
			out[at] = true
			at += 7 + int(binary.BigEndian.Uint16(data[at+1:]))
		}
	}
	return out
}
