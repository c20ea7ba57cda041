package sample_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

func add(t testing.TB, s *sample.Store, ls labels.Labels, ms int64, v float64) {
	t.Helper()
	if err := s.Add(s.Series(ls), ms, v); err != nil {
		t.Fatalf("%v at %d: %v", ls, ms, err)
	}
}

func commit(t testing.TB, s *sample.Store) {
	t.Helper()
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
}

// raw returns every sample, oldest first.
func raw(t testing.TB, s *sample.Store, selector string) sample.Matrix {
	t.Helper()
	st := s.Stats()
	q := sample.NewLocal(s, sample.LocalOptions{})
	d := st.Last.Sub(st.First) + time.Hour
	m, err := q.Samples(t.Context(), fmt.Sprintf("%s[%dms]", selector, d.Milliseconds()), st.Last)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOnlyCommittedSamplesAreSeen(t *testing.T) {
	s := openStore(t, sample.Options{})
	q := sample.NewLocal(s, sample.LocalOptions{})
	count := func() int {
		v, err := q.Instant(t.Context(), "a", time.UnixMilli(2000))
		if err != nil {
			t.Fatal(err)
		}
		return len(v)
	}
	add(t, s, set("__name__", "a"), 1000, 1)
	if n := count(); n != 0 {
		t.Errorf("%d results before Commit, want 0", n)
	}
	commit(t, s)
	if n := count(); n != 1 {
		t.Errorf("%d results after Commit, want 1", n)
	}
}

func TestAddRefuses(t *testing.T) {
	s := openStore(t, sample.Options{})
	h := s.Series(set("__name__", "a"))
	if other := s.Series(set("__name__", "a")); other != h {
		t.Errorf("Series of the same labels = %d, want %d", other, h)
	}
	for _, c := range []struct {
		h    uint64
		ms   int64
		want error
	}{
		{h, 1000, nil},
		{h, 1000, sample.ErrOutOfOrder},
		{h, 999, sample.ErrOutOfOrder},
		{h, 1001, nil},
		{0, 2000, sample.ErrUnknownSeries},
		{h + 1, 2000, sample.ErrUnknownSeries},
	} {
		if err := s.Add(c.h, c.ms, 1); !errors.Is(err, c.want) {
			t.Errorf("Add(%d, %d) = %v, want %v", c.h, c.ms, err, c.want)
		}
	}
	commit(t, s)
	if err := s.Add(h, 1001, 1); !errors.Is(err, sample.ErrOutOfOrder) {
		t.Errorf("Add of a committed time = %v, want ErrOutOfOrder", err)
	}
	if st := s.Stats(); st.Samples != 2 || st.Refused != 3 {
		t.Errorf("stats %+v, want 2 samples and 3 refused", st)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(h, 3000, 1); !errors.Is(err, sample.ErrClosed) {
		t.Errorf("Add after Close = %v", err)
	}
	if err := s.Commit(); !errors.Is(err, sample.ErrClosed) {
		t.Errorf("Commit after Close = %v", err)
	}
}

func TestDirectoryBelongsToOneStore(t *testing.T) {
	dir := t.TempDir()
	openStore(t, sample.Options{Dir: dir})
	if s, err := sample.Open(sample.Options{Dir: dir}); err == nil {
		s.Close()
		t.Error("a second store opened the same directory")
	}
}

// TestEverySampleComesBack writes awkward values, opens again, and compares bits.
func TestEverySampleComesBack(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, sample.Options{Dir: dir})
	s.NoSync()
	values := []float64{0, 1, -1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1}
	const n = 3*sample.PerChunk + 17
	for i := range int64(n) {
		add(t, s, set("__name__", "a"), i*15_000+i%7, values[i%9])
		if i%3 == 0 {
			add(t, s, set("__name__", "b", "x", "ü"), i*15_000, float64(i))
		}
		commit(t, s)
	}
	before := raw(t, s, `{__name__=~".+"}`)
	if len(before) != 2 || len(before[0].Points) != n {
		t.Fatalf("%d series", len(before))
	}
	for i, p := range before[0].Points {
		if want := values[i%9]; p.T != int64(i)*15_000+int64(i)%7 || math.Float64bits(p.V) != math.Float64bits(want) {
			t.Fatalf("sample %d is %d %v, want %v", i, p.T, p.V, want)
		}
	}
	for range 3 { // each opening begins a segment
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, sample.Options{Dir: dir})
		if after := raw(t, s, `{__name__=~".+"}`); after.Digest() != before.Digest() {
			t.Fatal("other samples after opening again")
		}
	}
	add(t, s, set("__name__", "a"), n*15_000, 1)
	commit(t, s)
	if got := s.Stats().Samples; got != n+n/3+1+1 {
		t.Errorf("%d samples, want %d", got, n+n/3+2)
	}
}

// TestQueriesSeeWholeCommits reads while a writer writes: both series have the same
// number of samples in every answer.
func TestQueriesSeeWholeCommits(t *testing.T) {
	s := openStore(t, sample.Options{})
	q := sample.NewLocal(s, sample.LocalOptions{})
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				v, err := q.Instant(t.Context(), `sum(count_over_time(a[1d])) != sum(count_over_time(b[1d]))`, time.UnixMilli(20_000_000))
				if err != nil || len(v) != 0 {
					t.Errorf("half a commit: %v, %v", v, err)
					return
				}
			}
		})
	}
	a, b := s.Series(set("__name__", "a")), s.Series(set("__name__", "b"))
	for i := range int64(3000) {
		for _, h := range []uint64{a, b} {
			if err := s.Add(h, i*1000, float64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if i%100 == 0 { // the index changes as well
			add(t, s, set("__name__", "c", "i", fmt.Sprint(i)), i, 1)
		}
		commit(t, s)
	}
	close(done)
	wg.Wait()
}

func TestStaleEndsASeries(t *testing.T) {
	s := openStore(t, sample.Options{})
	add(t, s, set("__name__", "a"), 1000, 7)
	commit(t, s)
	add(t, s, set("__name__", "a"), 16_000, stale)
	commit(t, s)
	q := sample.NewLocal(s, sample.LocalOptions{})
	for _, c := range []struct {
		ms   int64
		want int
	}{{15_999, 1}, {16_000, 0}, {20_000, 0}} {
		v, err := q.Instant(t.Context(), "a", time.UnixMilli(c.ms))
		if err != nil || len(v) != c.want {
			t.Errorf("at %d: %v, %v, want %d results", c.ms, v, err, c.want)
		}
	}
}

// TestDamage flips, cuts and adds bytes in each of three segments. Whatever lies
// outside the damaged segment is kept, and so is its beginning; a second opening
// finds nothing more to cut.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, sample.Options{Dir: dir})
	s.NoSync()
	for seg := range 3 {
		for i := range 100 {
			add(t, s, set("__name__", "a"), int64(seg*100+i)*15_000, float64(i*i))
			commit(t, s)
		}
		if seg < 2 {
			if err := s.NextSegment(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		segment string
		hurt    func(b []byte) []byte
		atLeast int // samples that are left
		exactly bool
	}{
		{"a bit in the middle of the second", "00000001", func(b []byte) []byte { b[1500] ^= 4; return b }, 200, false},
		{"the second is cut within a record", "00000001", func(b []byte) []byte { return b[:1500] }, 200, false},
		{"the last is torn", "00000002", func(b []byte) []byte { return bytes.TrimRight(b, "\x00")[:3180] }, 298, false},
		{"rubbish after the end", "00000002", func(b []byte) []byte { return append(b, "rubbish"...) }, 300, true},
		{"zeros after the end", "00000002", func(b []byte) []byte { return append(b, make([]byte, 100)...) }, 300, true},
		{"the second is empty", "00000001", func([]byte) []byte { return nil }, 200, true},
		{"the labels are lost", "00000000", func(b []byte) []byte { b[10] ^= 1; return b }, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			hurt := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(hurt, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			name := filepath.Join(hurt, "wal", c.segment)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, c.hurt(b), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openStore(t, sample.Options{Dir: hurt})
			n := int(s.Stats().Samples)
			if n < c.atLeast || c.exactly && n != c.atLeast {
				t.Errorf("%d samples are left, want %d", n, c.atLeast)
			}
			add(t, s, set("__name__", "a"), 5_000_000, 1)
			commit(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			var said bytes.Buffer
			s = openStore(t, sample.Options{Dir: hurt, Log: textLog(&said)})
			if got := int(s.Stats().Samples); got != n+1 || strings.Contains(said.String(), "cut") {
				t.Errorf("after opening again %d samples, want %d\n%s", got, n+1, &said)
			}
		})
	}
}

// TestDamageCostsAPage flips a bit in the middle of a long segment: what is lost
// lies within two pages, and a stock Prometheus reads all the rest.
func TestDamageCostsAPage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, sample.Options{Dir: dir})
	s.NoSync()
	const steps, series, page = 300, 200, 32 << 10
	for i := range int64(steps) {
		for k := range int64(series) {
			add(t, s, set("__name__", "a", "k", fmt.Sprint(k)), epoch.UnixMilli()+i*15_000, math.Sqrt(float64(i*k*7)))
		}
		commit(t, s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "wal", "00000000")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{3*page + 1, 3*page + 20_000, 4*page - 1, 4 * page, 4*page + 3, 5*page + 6} {
		b := append([]byte(nil), whole...)
		b[at] ^= 0x07
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, sample.Options{Dir: dir})
		got := int(s.Stats().Samples)
		if least := steps*series - 2*page*steps*series/len(whole) - 2*series; got < least || got > steps*series {
			t.Errorf("a bit at %d: %d samples of %d are left, want at least %d", at, got, steps*series, least)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		s = openStore(t, sample.Options{Dir: dir, Log: textLog(&said)})
		if n := int(s.Stats().Samples); n != got || said.Len() > 0 {
			t.Errorf("a bit at %d: %d samples when opened again, want %d\n%s", at, n, got, &said)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want := s.Stats().Samples
	t.Run("prometheus", func(t *testing.T) {
		remote, err := sample.NewRemote(startPrometheus(t, dir), sample.RemoteOptions{})
		if err != nil {
			t.Fatal(err)
		}
		v, err := remote.Instant(t.Context(), `sum(count_over_time(a[1d]))`, epoch.Add(2*time.Hour))
		if err != nil || len(v) != 1 || v[0].V != float64(want) {
			t.Errorf("prometheus counts %v, %v, want %d", v, err, want)
		}
	})
}

// TestRetention keeps 2 h, or what is held, in memory and on disk.
func TestRetention(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, sample.Options{Dir: dir, Keep: 2 * time.Hour})
	s.NoSync()
	step := 0
	run := func(d time.Duration) {
		for range int(d / interval) {
			ms := epoch.UnixMilli() + int64(step)*interval.Milliseconds()
			add(t, s, set("__name__", "a"), ms, float64(step))
			if step < 100 {
				add(t, s, set("__name__", "early"), ms, 1)
			}
			commit(t, s)
			step++
			if step%240 == 0 { // an hour
				if err := s.NextSegment(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s.Hold(epoch)
	run(6 * time.Hour)
	if st := s.Stats(); st.Samples != 1440+100 || !st.First.Equal(epoch) || s.Segments() != 7 {
		t.Fatalf("held: %+v in %d segments, want everything", st, s.Segments())
	}
	s.Hold(epoch.Add(3 * time.Hour))
	run(time.Hour)
	if st := s.Stats(); st.First.After(epoch.Add(3*time.Hour)) || st.First.Before(epoch.Add(time.Hour)) || st.Series != 1 {
		t.Fatalf("held from 3 h: %+v", st)
	}
	s.Hold(time.Time{})
	run(3 * time.Hour)
	st := s.Stats()
	if age := st.Last.Sub(st.First); age < 2*time.Hour || age > 3*time.Hour+15*time.Minute {
		t.Errorf("%v are kept, want 2 h and at most a chunk more", age)
	}
	if n := s.Segments(); n > 4 {
		t.Errorf("%d segments, want at most 4", n)
	}
	// A series that was forgotten comes back with its old handle.
	add(t, s, set("__name__", "early"), epoch.Add(11*time.Hour).UnixMilli(), 5)
	commit(t, s)
	want := raw(t, s, `{__name__=~".+"}`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, sample.Options{Dir: dir, Keep: 2 * time.Hour})
	got := raw(t, s, `{__name__=~".+"}`)
	if len(got) != 2 || len(got[1].Points) != 1 || got[1].Points[0].V != 5 {
		t.Fatalf("after opening again: %v", got)
	}
	a, b := want[0].Points, got[0].Points
	if len(b) < len(a) {
		a = a[len(a)-len(b):] // what was dropped from memory and not yet from disk
	}
	b = b[len(b)-len(a):]
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("sample %d: %v, want %v", i, b[i], a[i])
		}
	}
	if first := b[0].T; first > epoch.Add(9*time.Hour).UnixMilli() { // 2 h before the newest
		t.Error("less than 2 h are left on disk")
	}
	t.Run("prometheus", func(t *testing.T) { prometheusCounts(t, dir, got) })
}

// prometheusCounts lets the real server open a log with a checkpoint.
func prometheusCounts(t *testing.T, dir string, want sample.Matrix) {
	remote, err := sample.NewRemote(startPrometheus(t, dir), sample.RemoteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := remote.Samples(t.Context(), `{__name__=~"a|early"}[1d]`, epoch.Add(12*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if m.Digest() != want.Digest() {
		t.Errorf("prometheus has %d series, %d and %d samples, want %d and %d", len(m), len(m[0].Points), len(m[1].Points), len(want[0].Points), len(want[1].Points))
	}
}

func TestMemoryOnlyForgets(t *testing.T) {
	s := openStore(t, sample.Options{Keep: time.Hour})
	for i := range int64(2000) {
		add(t, s, set("__name__", "a"), i*15_000, 1)
		commit(t, s)
	}
	st := s.Stats()
	if st.Samples > 3*sample.PerChunk || st.Samples < sample.PerChunk || st.Disk != 0 {
		t.Errorf("%+v, want about an hour", st)
	}
	if int(st.Samples) != len(raw(t, s, "a")[0].Points) {
		t.Errorf("%d samples counted, %d there", st.Samples, len(raw(t, s, "a")[0].Points))
	}
}

// textLog writes to w.
func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
