package chain_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
)

// t0 is when the runs of these tests start, in ms.
const t0 = 1760140800000

func seal(t testing.TB, prev chain.Head, rec chain.Record) (chain.Record, []byte) {
	t.Helper()
	sealed, line, err := chain.Seal(prev, rec)
	if err != nil {
		t.Fatalf("Seal(%+v): %v", rec, err)
	}
	return sealed, line
}

// lines returns a chain of n records.
func lines(t testing.TB, n int) (out [][]byte, heads []chain.Head) {
	t.Helper()
	heads = []chain.Head{{}}
	for i := range n {
		rec, line := seal(t, heads[i], chain.Record{
			At: t0 + int64(i)*1440, Mono: int64(i) * 1440, Who: "spark", Role: "machine", Kind: "verdict",
			Body: fmt.Appendf(nil, `{"check":"redis-memory","attempt":%d,"value":%d.5,"verdict":"pass","words":"used 12 MiB of 100 MiB <é>"}`, i%3+1, i),
		})
		out, heads = append(out, line), append(heads, rec.Head())
	}
	return out, heads
}

func TestSealWritesALineWithEverythingInItsOrder(t *testing.T) {
	first, line := seal(t, chain.Head{}, chain.Record{
		Seq: 99, Prev: "ignored", Hash: "ignored",
		At: t0, Mono: 5, Who: "Ann \"ops\" Å", Role: "operations", Kind: "note", Body: json.RawMessage(` {"b": "x\u003c", "a": 1} `),
	})
	want := `{"seq":1,"at":1760140800000,"mono":5,"who":"Ann \"ops\" Å","role":"operations","kind":"note","body":{"a":1,"b":"x<"},"prev":"` +
		strings.Repeat("0", 64) + `","hash":"` + first.Hash + "\"}\n"
	if string(line) != want {
		t.Errorf("line\n%swant\n%s", line, want)
	}
	// As the package comment tells a shell to do it.
	bare := regexp.MustCompile(`,"hash":"[0-9a-f]*"}$`).ReplaceAllString(strings.TrimSuffix(string(line), "\n"), "}")
	if sum := sha256.Sum256([]byte(bare)); hex.EncodeToString(sum[:]) != first.Hash {
		t.Errorf("hash %s, want that of the line without it, %x", first.Hash, sum)
	}
	second, line := seal(t, first.Head(), chain.Record{Kind: "empty"})
	if second.Seq != 2 || second.Prev != first.Hash || string(second.Body) != "null" {
		t.Errorf("second record %+v, want it after %+v with the body null", second, first)
	}
	parsed, err := chain.Parse(line)
	if err != nil {
		t.Fatalf("Parse(%s): %v", line, err)
	}
	if diff := cmp.Diff(second, parsed); diff != "" {
		t.Errorf("parsed differs from sealed:\n%s", diff)
	}
	line[0] = '!'
	line[strings.Index(string(line), "null")] = '!'
	if string(parsed.Body) != "null" {
		t.Error("the body of a parsed record lies in the caller's line")
	}
}

func TestSealRefuses(t *testing.T) {
	good := chain.Record{At: t0, Kind: "k"}
	for name, tt := range map[string]struct {
		prev chain.Head
		with func(*chain.Record)
		says string
	}{
		"no kind":              {with: func(r *chain.Record) { r.Kind = "" }, says: "kind: empty"},
		"a line break in who":  {with: func(r *chain.Record) { r.Who = "a\nb" }, says: "who"},
		"bidi in role":         {with: func(r *chain.Record) { r.Role = "a\u202eb" }, says: "role"},
		"invalid UTF-8":        {with: func(r *chain.Record) { r.Kind = "\xff" }, says: "kind"},
		"a long who":           {with: func(r *chain.Record) { r.Who = strings.Repeat("x", 257) }, says: "longer"},
		"a negative time":      {with: func(r *chain.Record) { r.At = -1 }, says: "at:"},
		"nanoseconds":          {with: func(r *chain.Record) { r.At = t0 * 1e6 }, says: "at:"},
		"a negative mono":      {with: func(r *chain.Record) { r.Mono = -1 }, says: "mono:"},
		"a body that is none":  {with: func(r *chain.Record) { r.Body = json.RawMessage(`{`) }, says: "body:"},
		"a key twice":          {with: func(r *chain.Record) { r.Body = json.RawMessage(`{"a":1,"a":2}`) }, says: "twice"},
		"a body without end":   {with: func(r *chain.Record) { r.Body = json.RawMessage(`"` + strings.Repeat("x", chain.MaxLine) + `"`) }, says: "at most"},
		"a head without hash":  {prev: chain.Head{Seq: 3}, says: "no head"},
		"a head in upper case": {prev: chain.Head{Seq: 3, Hash: strings.Repeat("A", 64)}, says: "no head"},
		"a negative head":      {prev: chain.Head{Seq: -1}, says: "no head"},
	} {
		rec := good
		if tt.with != nil {
			tt.with(&rec)
		}
		if _, line, err := chain.Seal(tt.prev, rec); err == nil || !strings.Contains(err.Error(), tt.says) || line != nil {
			t.Errorf("%s: Seal = %.80q, %v, want an error with %q", name, line, err, tt.says)
		}
	}
}

// rehash puts the right hash into a line that was changed by hand.
func rehash(line string) string {
	bare := line[:strings.LastIndex(line, `,"hash":"`)]
	sum := sha256.Sum256([]byte(bare + "}"))
	return bare + `,"hash":"` + hex.EncodeToString(sum[:]) + `"}`
}

// TestParseRefusesWhatSealDoesNotWrite changes a line and gives it the hash of its
// new contents, so that only its form is wrong.
func TestParseRefusesWhatSealDoesNotWrite(t *testing.T) {
	_, b := seal(t, chain.Head{}, chain.Record{At: t0, Mono: 7, Who: "w", Role: "r", Kind: "k", Body: json.RawMessage(`{"a":1,"b":"<"}`)})
	line := strings.TrimSuffix(string(b), "\n")
	if _, err := chain.Parse([]byte(rehash(line))); err != nil {
		t.Fatalf("Parse(%s): %v", line, err)
	}
	for _, tt := range []struct{ old, by string }{
		{`"seq":1`, `"seq":0`}, {`"seq":1`, `"seq":-1`}, {`"seq":1`, `"seq":01`}, {`"seq":1`, `"seq":+1`}, {`"seq":1`, `"seq":1.0`},
		{`"seq":1`, `"seq":"1"`}, {`"seq":1`, `"seq": 1`}, {`"seq":1`, `"seq":9223372036854775808`}, {`{"seq":1,`, `{`}, {`{`, ` {`},
		{`"mono":7`, `"mono":-7`}, {`"mono":7`, `"mono":-0`}, {`"at":17`, `"at":9917`}, {`"at"`, `"At"`},
		{`"who":"w"`, `"who":"\u0077"`}, {`"who":"w"`, `"who":null`}, {`"who":"w"`, `"who":"\n"`}, {`"kind":"k"`, `"kind":""`},
		{`"role":"r"`, `"role":"r","role":"r"`}, {`"who":"w","role":"r"`, `"role":"r","who":"w"`},
		{`{"a":1`, `{"a": 1`}, {`{"a":1,"b":"<"}`, `{"b":"<","a":1}`}, {`"a":1`, `"a":1.0`}, {`<`, `\u003c`}, {`{"a":1`, `{"a":1,"a":1`},
		{`"prev":"0`, `"prev":"A`}, {`"prev":"0`, `"prev":"`}, {`"prev":"0`, `"prev":"00`}, {`,"prev"`, `,"more":1,"prev"`},
	} {
		if !strings.Contains(line, tt.old) {
			t.Fatalf("%s is not in the line", tt.old)
		}
		changed := rehash(strings.Replace(line, tt.old, tt.by, 1))
		if rec, err := chain.Parse([]byte(changed)); err == nil {
			t.Errorf("%s for %s: Parse = %+v, want an error", tt.by, tt.old, rec)
		}
	}
	for name, changed := range map[string]string{
		"nothing": "", "a newline": "\n", "two newlines": line + "\n\n", "carriage return": line + "\r\n", "no end": line[:len(line)-1],
		"a second record": line + line, "no hash": line[:strings.LastIndex(line, `,"hash"`)] + "}", "hash in upper case": line[:len(line)-66] + strings.ToUpper(line[len(line)-66:]),
		"too long": line + strings.Repeat(" ", chain.MaxLine),
	} {
		if rec, err := chain.Parse([]byte(changed)); err == nil {
			t.Errorf("%s: Parse = %+v, want an error", name, rec)
		}
	}
}

// FuzzParse: what Parse accepts is what Seal writes for it.
func FuzzParse(f *testing.F) {
	all, _ := lines(f, 3)
	for _, line := range all {
		f.Add(line)
		f.Add([]byte(strings.Replace(string(line), "pass", "fail", 1)))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, line := range [][]byte{line, []byte(rehashed(string(line)))} {
			rec, err := chain.Parse(line)
			if err != nil {
				continue
			}
			prev := chain.Head{Seq: rec.Seq - 1, Hash: rec.Prev}
			if rec.Seq == 1 && rec.Prev != strings.Repeat("0", 64) {
				continue // sound on its own, but first of no chain
			}
			again, written, err := chain.Seal(prev, rec)
			if err != nil || strings.TrimSuffix(string(line), "\n")+"\n" != string(written) {
				t.Fatalf("Parse accepted %q, Seal writes %q, %v", line, written, err)
			}
			if diff := cmp.Diff(rec, again); diff != "" {
				t.Fatal(diff)
			}
		}
	})
}

// rehashed is rehash for any line, so that a fuzzer comes past the hash.
func rehashed(line string) string {
	if !strings.Contains(line, `,"hash":"`) {
		line += `,"hash":"`
	}
	return rehash(line)
}
