package journal_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/spark-ta/spark/daemon/observe/journal"
)

// verdict is a body of the size that most records have.
var verdict = map[string]any{"check": "redis-memory", "attempt": 1, "value": 12.5, "verdict": "pass", "words": "used 12 MiB of 100 MiB"}

func benchmarkAppend(b *testing.B, j *journal.Journal) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := j.Append(t0, "spark", "machine", "verdict", verdict); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendMemory(b *testing.B) {
	benchmarkAppend(b, journal.NewMemory(journal.Options{}))
}

func BenchmarkAppendFsync(b *testing.B) {
	benchmarkAppend(b, open(b, filepath.Join(b.TempDir(), "run.journal"), journal.Options{}))
}

// BenchmarkOpen120000 is a restart at T+48h: one verdict every 1.44 s.
func BenchmarkOpen120000(b *testing.B) {
	path := filepath.Join(b.TempDir(), "run.journal")
	m := journal.NewMemory(journal.Options{})
	for i := range 120_000 {
		if _, err := m.Append(t0.Add(time.Duration(i)*1440*time.Millisecond), "spark", "machine", "verdict", verdict); err != nil {
			b.Fatal(err)
		}
	}
	if err := m.Save(path); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		j, err := journal.Open(path, journal.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if j.Head() != m.Head() {
			b.Fatal("another head")
		}
		_ = j.Close()
	}
}
