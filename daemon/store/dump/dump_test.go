package dump_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/daemon/store/dump"
)

// samples holds a record of every type, with what is hard to write.
func samples() []dump.Record {
	return []dump.Record{
		{Key: "alert:1", Type: dump.Hash, Pairs: [][2]string{{"active", "1"}, {"json", "{\"note\":\"naïve <b>\u2028\"}\n"}}},
		{Key: "alert:1:events", Type: dump.List, Items: []string{"b", "a", "", "\x00\x1f\x7f\ufffd"}},
		{Key: "alerts:index", Type: dump.Set, Items: []string{"1", "2"}},
		{Key: "bin\xff", Type: dump.String, Text: "\xfe\x00\xff", ExpireAt: 1_790_000_000_001},
		{Key: "outbox", Type: dump.Stream, Log: dump.Log{
			Last:    "1790000000000-18446744073709551615",
			Entries: []dump.Entry{{ID: "5-1", Fields: []string{"id", "x", "channel", "\xff"}}},
			Groups: []dump.Group{{
				Name: "relay", Last: "7-0", Consumers: []string{"a", "b"},
				Pending: []dump.Pending{{ID: "4-0", Consumer: "a", At: 3, Count: 2}, {ID: "5-1", Consumer: "b", At: 4, Count: 1}},
			}},
		}},
		{Key: "outbox:dead", Type: dump.Stream, Log: dump.Log{Last: "0-0"}},
		{Key: "outbox:open", Type: dump.ZSet, Scores: []dump.Score{
			{"min", math.Inf(-1)}, {"a", 0.1}, {"b", 0.1}, {"c", 0.30000000000000004}, {"d", 1.7976931348623157e308}, {"max", math.Inf(1)},
		}},
	}
}

// write returns a file with the records.
func write(t testing.TB, records []dump.Record) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := dump.NewWriter(&b, "spark:alerts")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func read(data []byte) (records []dump.Record, err error) {
	d, err := dump.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for {
		r, err := d.Next()
		if errors.Is(err, io.EOF) {
			return records, nil
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
}

func TestWhatIsWrittenIsReadAndWrittenAgainTheSame(t *testing.T) {
	data := write(t, samples())
	got, err := read(data)
	if err != nil {
		t.Fatal(err)
	}
	again := write(t, got)
	if diff := cmp.Diff(string(data), string(again)); diff != "" {
		t.Errorf("written again (-first +again):\n%s", diff)
	}
	for i, want := range samples() {
		if got[i].Key != want.Key || got[i].Text != want.Text || got[i].ExpireAt != want.ExpireAt ||
			!cmp.Equal(got[i].Pairs, want.Pairs) || !cmp.Equal(got[i].Scores, want.Scores) || strings.Join(got[i].Items, "|") != strings.Join(want.Items, "|") {
			t.Errorf("record %d = %+v, want %+v", i, got[i], want)
		}
	}
}

// TestEveryChangeOfAFileIsFoundOut cuts a file at every byte and changes every bit.
func TestEveryChangeOfAFileIsFoundOut(t *testing.T) {
	data := write(t, samples())
	for n := range data {
		if _, err := read(data[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are accepted", n, len(data))
		}
		for bit := range 8 {
			changed := bytes.Clone(data)
			changed[n] ^= 1 << bit
			if _, err := read(changed); err == nil {
				t.Fatalf("bit %d of byte %d changed, and accepted", bit, n)
			}
		}
	}
	if _, err := read(append(bytes.Clone(data), '\n')); err == nil {
		t.Error("something after the trailer is accepted")
	}
}

func TestRefusalsNameTheLineAndTheReason(t *testing.T) {
	data := string(write(t, samples()))
	lines := strings.SplitAfter(data, "\n")
	without := func(n int) string {
		return strings.Join(append(append([]string(nil), lines[:n]...), lines[n+1:]...), "")
	}
	for _, tt := range []struct{ name, file, want string }{
		{"nothing", "", "empty"},
		{"another file", "id,price\n", "line 1: not a file of spark-daemon store export"},
		{"a later version", strings.Replace(data, `"version":1`, `"version":2`, 1), "line 1: version 2"},
		{"a cut line", data[:len(data)/2], "it was cut"},
		{"no trailer", strings.Join(lines[:len(lines)-2], ""), "without its trailer"},
		{"a line missing", without(3), "the trailer counts 7 records, the file holds 6"},
		{"another value", strings.Replace(data, `"naïve`, `"native`, 1), "line"},
		{"another id", strings.Replace(data, `["1","2"]`, `["1","3"]`, 1), "line 9: the SHA-256"},
		{"a twin", lines[0] + lines[1] + lines[1] + strings.Join(lines[2:], ""), "line 3: key \"alert:1\" comes after"},
		{"an unknown type", lines[0] + `{"key":"a","type":"json","value":1}` + "\n", "line 2"},
		{"an empty list", lines[0] + `{"key":"a","type":"list","value":[]}` + "\n", "line 2: key \"a\": an empty list"},
		{"spaces", lines[0] + `{"key": "a","type":"string","value":"x"}` + "\n", "line 2: key \"a\": not written by store export"},
	} {
		_, err := read([]byte(tt.file))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
	}
}

func TestRecordsThatNoStoreCouldHoldAreRefused(t *testing.T) {
	for name, r := range map[string]dump.Record{
		"unsorted set":        {Key: "k", Type: dump.Set, Items: []string{"b", "a"}},
		"a field twice":       {Key: "k", Type: dump.Hash, Pairs: [][2]string{{"a", "1"}, {"a", "2"}}},
		"a member twice":      {Key: "k", Type: dump.ZSet, Scores: []dump.Score{{"a", 1}, {"a", 2}}},
		"no number":           {Key: "k", Type: dump.ZSet, Scores: []dump.Score{{"a", math.NaN()}}},
		"no key":              {Type: dump.String},
		"entry 0-0":           {Key: "k", Type: dump.Stream, Log: dump.Log{Last: "1-0", Entries: []dump.Entry{{"0-0", []string{"a", "b"}}}}},
		"entry beyond last":   {Key: "k", Type: dump.Stream, Log: dump.Log{Last: "1-0", Entries: []dump.Entry{{"2-0", []string{"a", "b"}}}}},
		"pending of a nobody": {Key: "k", Type: dump.Stream, Log: dump.Log{Last: "1-0", Groups: []dump.Group{{Name: "g", Last: "0-0", Pending: []dump.Pending{{ID: "1-0", Consumer: "x"}}}}}},
	} {
		w, err := dump.NewWriter(io.Discard, "n")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(r); err == nil {
			t.Errorf("%s: written, want it refused", name)
		}
	}
}

// FuzzReader: whatever is accepted is what the writer would have written.
func FuzzReader(f *testing.F) {
	data := write(f, samples())
	f.Add(data)
	for line := range bytes.Lines(data) {
		f.Add(line)
	}
	f.Add(write(f, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		checkAccepted(t, data)
		// A trailer that fits lets the records through that it would hide.
		var b bytes.Buffer
		w, err := dump.NewWriter(&b, "spark:alerts")
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Write(dump.Record{Key: "k", Type: dump.String, Text: string(data)})
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		checkAccepted(t, b.Bytes())
	})
}

// FuzzRecord reads one line as a record of an otherwise sound file.
func FuzzRecord(f *testing.F) {
	for line := range bytes.Lines(write(f, samples())) {
		f.Add(string(bytes.TrimSuffix(line, []byte("\n"))))
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := dump.ParseRecord([]byte(line))
		if err != nil {
			return
		}
		got, err := read(write(t, []dump.Record{r}))
		if err != nil || len(got) != 1 {
			t.Fatalf("%q is accepted, and not read back: %v", line, err)
		}
		if diff := cmp.Diff(r, got[0]); diff != "" {
			t.Errorf("%q (-first +again):\n%s", line, diff)
		}
	})
}

func checkAccepted(t *testing.T, data []byte) {
	t.Helper()
	d, err := dump.NewReader(bytes.NewReader(data))
	if err != nil {
		return
	}
	var records []dump.Record
	for {
		r, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return
		}
		records = append(records, r)
	}
	var b bytes.Buffer
	w, err := dump.NewWriter(&b, d.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatalf("accepted, and not written: %v", err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Bytes(), data) {
		t.Errorf("accepted %q, written %q", data, b.Bytes())
	}
}
