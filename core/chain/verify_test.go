package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
)

func file(lines [][]byte) []byte { return bytes.Join(lines, nil) }

// breaks verifies a file and returns where it breaks.
func breaks(t *testing.T, what string, data []byte, known chain.Head) *chain.Broken {
	t.Helper()
	head, err := chain.VerifyTo(bytes.NewReader(data), known)
	var broken *chain.Broken
	if !errors.As(err, &broken) {
		t.Fatalf("%s: Verify = %v, %v, want it broken", what, head, err)
	}
	return broken
}

func TestASoundChain(t *testing.T) {
	all, heads := lines(t, 5)
	for n := range 6 {
		head, err := chain.Verify(bytes.NewReader(file(all[:n])))
		if err != nil || head != heads[n] {
			t.Errorf("Verify of %d records = %v, %v, want %v", n, head, err, heads[n])
		}
	}
	for n, known := range heads {
		if head, err := chain.VerifyTo(bytes.NewReader(file(all)), known); err != nil || head != heads[5] {
			t.Errorf("VerifyTo head %d = %v, %v, want %v", n, head, err, heads[5])
		}
	}
	if head, err := chain.Verify(iotest.OneByteReader(bytes.NewReader(file(all)))); err != nil || head != heads[5] {
		t.Errorf("Verify byte by byte = %v, %v, want %v", head, err, heads[5])
	}
}

// TestEveryBitCounts changes each bit of a file on its own.
func TestEveryBitCounts(t *testing.T) {
	all, _ := lines(t, 4)
	data := file(all)
	at := 0
	for n, line := range all {
		for i := range line {
			for bit := range 8 {
				data[at+i] ^= 1 << bit
				b := breaks(t, fmt.Sprintf("bit %d of byte %d of record %d", bit, i, n+1), data, chain.Head{})
				if b.Seq != int64(n+1) || b.Line != int64(n+1) || b.Offset != int64(at) || b.Torn || errors.Is(b, chain.ErrTorn) {
					t.Fatalf("bit %d of byte %d of record %d: %+v, want record %d at byte %d", bit, i, n+1, b, n+1, at)
				}
				data[at+i] ^= 1 << bit
			}
		}
		at += len(line)
	}
}

func TestChangedOrderIsFoundAndNamed(t *testing.T) {
	all, heads := lines(t, 9)
	forged := func(after int) []byte {
		_, line := seal(t, heads[after], chain.Record{At: t0, Kind: "forged"})
		return line
	}
	for name, tt := range map[string]struct {
		lines [][]byte
		seq   int64
		says  string
	}{
		"first deleted":          {all[1:], 1, "record 2 stands in its place"},
		"fourth deleted":         {slices.Delete(slices.Clone(all), 3, 4), 4, "record 5 stands in its place"},
		"three deleted":          {slices.Delete(slices.Clone(all), 3, 6), 4, "record 7 stands in its place"},
		"fourth repeated":        {slices.Insert(slices.Clone(all), 4, all[3]), 5, "record 4 stands here again"},
		"an old one at the end":  {append(slices.Clone(all), all[0]), 10, "record 1 stands here again"},
		"two swapped":            {[][]byte{all[0], all[2], all[1]}, 2, "record 3 stands in its place"},
		"one from another chain": {[][]byte{all[0], all[1], forged(1)}, 3, "record 2 stands here again"},
		"a forged one inserted":  {slices.Insert(slices.Clone(all), 3, forged(3)), 5, "record 4 stands here again"},
		"one replaced":           {[][]byte{all[0], all[1], forged(2), all[3]}, 4, "does not follow record 3"},
		"an empty line":          {slices.Insert(slices.Clone(all), 3, []byte("\n")), 4, "no {"},
		"empty line at the end":  {append(slices.Clone(all), []byte("\n")), 10, "no {"},
		"a comment":              {slices.Insert(slices.Clone(all), 3, []byte("# cut here\n")), 4, "no {"},
		"zeros in the middle":    {[][]byte{all[0], make([]byte, len(all[1])), all[2]}, 2, "no {"},
		"carriage return":        {[][]byte{all[0], bytes.Replace(all[1], []byte("\n"), []byte("\r\n"), 1)}, 2, "something after"},
	} {
		b := breaks(t, name, file(tt.lines), chain.Head{})
		if b.Seq != tt.seq || !strings.Contains(b.Reason, tt.says) || b.Torn {
			t.Errorf("%s: %v, want record %d, %q", name, b, tt.seq, tt.says)
		}
	}
}

// TestRandomDamage deletes, moves, repeats and replaces runs of records, cuts runs of
// bytes, and expects the first record that differs to be named.
func TestRandomDamage(t *testing.T) {
	const n = 30
	all, heads := lines(t, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		i, j := rng.IntN(n), rng.IntN(n)
		damaged := slices.Clone(all)
		var what string
		switch rng.IntN(4) {
		case 0:
			what = fmt.Sprintf("records %d to %d deleted", min(i, j)+1, max(i, j)+1)
			damaged = slices.Delete(damaged, min(i, j), max(i, j)+1)
		case 1:
			what = fmt.Sprintf("records %d and %d swapped", i+1, j+1)
			damaged[i], damaged[j] = damaged[j], damaged[i]
		case 2:
			what = fmt.Sprintf("record %d inserted before %d", i+1, j+1)
			damaged = slices.Insert(damaged, j, damaged[i])
		case 3:
			line := damaged[i]
			from := rng.IntN(len(line) - 1)
			to := from + 1 + rng.IntN(len(line)-1-from)
			what = fmt.Sprintf("bytes %d to %d of record %d cut", from, to, i+1)
			damaged[i] = slices.Delete(slices.Clone(line), from, to)
		}
		same := 0
		for same < min(len(damaged), n) && bytes.Equal(damaged[same], all[same]) {
			same++
		}
		if same == n && len(damaged) == n {
			continue // swapped with itself
		}
		b := breaks(t, what, file(damaged), heads[n])
		if b.Seq != int64(same+1) || b.Offset != int64(len(file(all[:same]))) || b.Torn {
			t.Fatalf("%s: %v, want record %d", what, b, same+1)
		}
	}
}

// TestAFileCutAnywhere cuts a file at every byte.
func TestAFileCutAnywhere(t *testing.T) {
	all, heads := lines(t, 4)
	data := file(all)
	whole := 0 // records
	for cut := range data {
		end := len(file(all[:whole+1]))
		if cut == end {
			whole++
		}
		head, err := chain.Verify(bytes.NewReader(data[:cut]))
		start := len(file(all[:whole]))
		if cut == start {
			if err != nil || head != heads[whole] {
				t.Fatalf("cut at byte %d: %v, %v, want %v", cut, head, err, heads[whole])
			}
		} else {
			for _, zeros := range []int{0, 1, 5000} {
				head, err = chain.Verify(io.MultiReader(bytes.NewReader(data[:cut]), bytes.NewReader(make([]byte, zeros))))
				var b *chain.Broken
				if !errors.Is(err, chain.ErrTorn) || !errors.As(err, &b) || b.Seq != int64(whole+1) || b.Offset != int64(start) || head != heads[whole] {
					t.Fatalf("cut at byte %d and %d zeros: %v, %v, want it torn from byte %d", cut, zeros, head, err, start)
				}
			}
		}
		// Whoever knows the head is not deceived.
		if b := breaks(t, "cut", data[:cut], heads[4]); b.Torn || b.Seq != int64(whole+1) || !strings.Contains(b.Reason, "missing") {
			t.Fatalf("cut at byte %d: %v, want record %d missing", cut, b, whole+1)
		}
		// And a chain that was not cut before a head that is known is only torn.
		if _, err := chain.VerifyTo(bytes.NewReader(data[:cut]), heads[whole]); cut != start && !errors.Is(err, chain.ErrTorn) {
			t.Fatalf("cut at byte %d, known head %d: %v, want it torn", cut, whole, err)
		}
	}
}

func TestAnEndThatIsNoCrashIsNotTorn(t *testing.T) {
	all, _ := lines(t, 3)
	last := string(all[2][:len(all[2])-1])
	for name, end := range map[string]string{
		"no record":             "hello",
		"another number":        strings.Replace(last[:50], `"seq":3`, `"seq":4`, 1),
		"a byte for the end":    last + "*",
		"a record without ends": last + last,
		"a control character":   last[:60] + "\x01",
		"zeros, then something": last[:60] + "\x00\x00a",
		"too long":              last[:60] + strings.Repeat("x", chain.MaxLine),
	} {
		b := breaks(t, name, append(file(all[:2]), end...), chain.Head{})
		if b.Torn || b.Seq != 3 {
			t.Errorf("%s: %+v, want record 3 broken and not torn", name, b)
		}
	}
}

func TestAChainWrittenAnewIsFoundByItsHead(t *testing.T) {
	all, heads := lines(t, 6)
	data := file(all[:2])
	head := heads[2]
	for i := range 5 {
		rec, line := seal(t, head, chain.Record{At: t0, Kind: "forged", Body: fmt.Appendf(nil, "%d", i)})
		data, head = append(data, line...), rec.Head()
	}
	if got, err := chain.Verify(bytes.NewReader(data)); err != nil || got != head {
		t.Fatalf("Verify = %v, %v: sound in itself", got, err)
	}
	if b := breaks(t, "written anew", data, heads[6]); b.Seq != 6 || !strings.Contains(b.Reason, heads[6].Hash) {
		t.Errorf("VerifyTo = %v, want record 6 with the hash of the head", b)
	}
	if _, err := chain.VerifyTo(bytes.NewReader(data), heads[2]); err != nil {
		t.Errorf("VerifyTo the head before = %v, want nil", err)
	}
}

func TestReaderGivesRecordsAndGoesOnAfterOne(t *testing.T) {
	all, heads := lines(t, 6)
	r := chain.Resume(bytes.NewReader(file(all[3:])), heads[3], int64(len(file(all[:3]))))
	var got []chain.Record
	for rec, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec)
	}
	var want []chain.Record
	for _, line := range all[3:] {
		rec, err := chain.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, rec)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Head() != heads[6] || r.Offset() != int64(len(file(all))) {
		t.Errorf("at %v, byte %d, want %v, byte %d", r.Head(), r.Offset(), heads[6], len(file(all)))
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("Next at the end = %v, want io.EOF", err)
	}
	for _, err := range chain.Resume(bytes.NewReader(file(all[4:])), heads[3], 100).All() {
		var b *chain.Broken
		if !errors.As(err, &b) || b.Seq != 4 || b.Offset != 100 {
			t.Errorf("record 5 after record 3: %v, want record 4 missing at byte 100", err)
		}
	}
	for range chain.NewReader(bytes.NewReader(file(all))).All() {
		break // a reader may be left
	}
}

func TestLongRecordsAndReadErrors(t *testing.T) {
	long, line := seal(t, chain.Head{}, chain.Record{At: t0, Kind: "long", Body: []byte(`"` + strings.Repeat("é", 1<<20) + `"`)})
	second, next := seal(t, long.Head(), chain.Record{At: t0, Kind: "short"})
	if head, err := chain.Verify(bytes.NewReader(append(line, next...))); err != nil || head != second.Head() {
		t.Errorf("Verify = %v, %v, want %v", head, err, second.Head())
	}
	b := breaks(t, "endless", []byte(`{"seq":1,`+strings.Repeat("x", 2*chain.MaxLine)+"\n"), chain.Head{})
	if b.Seq != 1 || b.Torn {
		t.Errorf("endless line: %v, want record 1", b)
	}
	fault := errors.New("disk on fire")
	head, err := chain.Verify(io.MultiReader(bytes.NewReader(line), iotest.ErrReader(fault)))
	if !errors.Is(err, fault) || head != long.Head() {
		t.Errorf("Verify = %v, %v, want %v, %v", head, err, long.Head(), fault)
	}
}

// FuzzVerify: a file that verifies is the lines of its records, and damage is named
// with the place where what is sound ends.
func FuzzVerify(f *testing.F) {
	all, _ := lines(f, 4)
	f.Add(file(all), uint16(0), byte(0))
	f.Add(file(all), uint16(700), byte(3))
	f.Add(file(all)[:900], uint16(0), byte(0))
	f.Add([]byte{}, uint16(0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, by byte) {
		if len(data) > 0 {
			data = bytes.Clone(data)
			data[int(at)%len(data)] ^= by
		}
		head, err := chain.Verify(bytes.NewReader(data))
		end := len(data)
		var b *chain.Broken
		switch {
		case errors.As(err, &b):
			if b.Seq != head.Seq+1 || b.Offset < 0 || b.Offset >= int64(len(data)) {
				t.Fatalf("%+v after %v in %d bytes", b, head, len(data))
			}
			end = int(b.Offset)
		case err != nil:
			t.Fatalf("Verify = %v, want a *Broken", err)
		}
		var written []byte
		for rec, err := range chain.NewReader(bytes.NewReader(data[:end])).All() {
			if err != nil {
				t.Fatalf("what should be sound is not: %v", err)
			}
			_, line := seal(t, chain.Head{Seq: rec.Seq - 1, Hash: rec.Prev}, rec)
			written = append(written, line...)
		}
		if !bytes.Equal(written, data[:end]) {
			t.Fatal("the records are not the file")
		}
	})
}

// A plan of 48 hours leaves about 120,000 records.
func BenchmarkVerify120000(b *testing.B) {
	all, heads := lines(b, 120_000)
	data := file(all)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if head, err := chain.Verify(bytes.NewReader(data)); err != nil || head != heads[120_000] {
			b.Fatal(head, err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	rec := chain.Record{At: t0, Mono: 1, Who: "spark", Role: "machine", Kind: "verdict", Body: []byte(`{"check":"redis-memory","attempt":1,"value":12.5,"verdict":"pass","words":"used 12 MiB of 100 MiB <é>"}`)}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := chain.Seal(chain.Head{}, rec); err != nil {
			b.Fatal(err)
		}
	}
}
