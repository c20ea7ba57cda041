package sample_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/spark-ta/spark/daemon/observe/sample"
)

// FuzzReplay opens a log with a damaged segment: never a panic, and what is opened
// once is opened twice with the same samples.
func FuzzReplay(f *testing.F) {
	dir := f.TempDir()
	s, err := sample.Open(sample.Options{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	for i := range int64(30) {
		add(f, s, set("__name__", "a", "x", "y"), i*1000, float64(i))
		commit(f, s)
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "wal", "00000000"))
	if err != nil {
		f.Fatal(err)
	}
	whole = whole[:2000]
	f.Add(whole, 0, byte(0))
	f.Add(whole, 40, byte(255))
	f.Add(whole[:100], 99, byte(1))
	f.Add([]byte{}, 0, byte(0))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0}, 0, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at int, flip byte) {
		if at >= 0 && at < len(b) {
			b = append([]byte(nil), b...)
			b[at] ^= flip
		}
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "wal"), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "wal", "00000000"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		var before sample.Stats
		for i := range 2 {
			s, err := sample.Open(sample.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			st := s.Stats()
			st.Disk = 0
			if i == 1 && st != before {
				t.Errorf("the second opening found %+v, the first %+v", st, before)
			}
			before = st
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
