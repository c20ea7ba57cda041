package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func series(fields map[string]Value) Series { return Series{Name: "s", Fields: fields} }

func values(v ...float64) []Series {
	var out []Series
	for _, n := range v {
		out = append(out, series(map[string]Value{FieldValue: Number(n)}))
	}
	return out
}

var answer = []Series{series(map[string]Value{
	"status": Number(200), "latency": {Num: 0.4, Unit: UnitSeconds}, "state": Text("ok"), "title": Text("Spark Trading"),
	"used": {Num: 100 << 20, Unit: UnitBytes}, "limit": {Num: 1 << 30, Unit: UnitBytes}, "body.ok": Text("true"), "header.x-n": Number(0),
	"empty": Text(""), "not-a-number": Number(math.NaN()), "value": Number(5),
})}

func TestExpectIsSatisfied(t *testing.T) {
	params := map[string]Value{"target": {Num: 0.98, Unit: UnitShare}, "word": Text("ok"), "most": Number(250)}
	tests := []struct {
		expect  string
		series  []Series
		ok      bool
		missing string
	}{
		// Comparisons and units.
		{"status == 200", answer, true, ""},
		{"status != 200", answer, false, ""},
		{"status >= 200 and status < 300", answer, true, ""},
		{"latency < 1s", answer, true, ""},
		{"latency < 300ms", answer, false, ""},
		{"latency < 0.5", answer, true, ""},
		{"latency < 1 s", answer, true, ""},
		{"used < 512MiB", answer, true, ""},
		{"used < 100MB", answer, false, ""},
		{"used < limit", answer, true, ""},
		{"200 == status", answer, true, ""},
		{"== 5", answer, true, ""},
		{"> -1", answer, true, ""},
		{"value<=5", answer, true, ""},
		{"== 0.98", values(0.98), true, ""},
		{">= 98%", values(0.98), true, ""},
		{">= $target", values(0.97), false, ""},
		{"status <= $most", answer, true, ""},
		// Texts.
		{"state == ok", answer, true, ""},
		{`state == "ok"`, answer, true, ""},
		{"state != ok", answer, false, ""},
		{"state == $word", answer, true, ""},
		{"state < z", answer, false, ""},
		{"title contains spark", answer, true, ""},
		{`title contains "trading"`, answer, true, ""},
		{"title contains other", answer, false, ""},
		{"body.ok == true", answer, true, ""},
		{"len(title) == 13", answer, true, ""},
		{"len(empty) > 0", answer, false, ""},
		{"status == ok", answer, false, "ok"},
		{"status != abc", answer, false, "abc"},
		{`status != "abc"`, answer, true, ""},
		// Precedence: not, and, or.
		{"status == 1 and status == 2 or status == 200", answer, true, ""},
		{"status == 200 or status == 1 and status == 2", answer, true, ""},
		{"(status == 200 or status == 1) and status == 2", answer, false, ""},
		{"not status == 1 and status == 200", answer, true, ""},
		{"not (status == 200 or status == 1)", answer, false, ""},
		{"not not status == 200", answer, true, ""},
		// What is missing is never satisfied.
		{"absent == 1", answer, false, "absent"},
		{"absent != 1", answer, false, "absent"},
		{"absent == ok", answer, false, "absent"},
		{"absent != ok", answer, false, "absent"},
		{`absent != "ok"`, answer, false, "absent"},
		{"absent contains abs", answer, false, "absent"},
		{"absent != $word", answer, false, "absent"},
		{"ok != absent", answer, false, "ok"},
		{"not absent == 1", answer, false, "absent"},
		{"not (absent == 1 or status == 1)", answer, false, "absent"},
		{"body.absent != 1", answer, false, "body.absent"},
		{"len(absent) == 0", answer, false, "absent"},
		{"len(status) == 3", answer, false, "status"},
		{"status <= $undefined", answer, false, "undefined"},
		{"value != 1", []Series{series(map[string]Value{"x": Number(1)})}, false, "value"},
		{"not-a-number > 1", answer, false, "not-a-number"},
		{"not (not-a-number > 1)", answer, false, "not-a-number"},
		{"1 != not-a-number", answer, false, "not-a-number"},
		// What is false is false, whatever is missing beside it.
		{"absent == 1 and status == 1", answer, false, ""},
		{"status == 1 and absent == 1", answer, false, ""},
		{"not (absent == 1 and status == 1)", answer, true, ""},
		{"absent == 1 or status == 200", answer, true, ""},
		{"has(status)", answer, true, ""},
		{"has(absent)", answer, false, ""},
		{"not has(absent)", answer, true, ""},
		{"has(absent) and absent == 1", answer, false, ""},
		// Several series.
		{"== 1", values(1, 1, 1), true, ""},
		{"== 1", values(1, 0, 1), false, ""},
		{"any(== 1)", values(0, 0, 1), true, ""},
		{"any(== 1)", values(0, 0, 0), false, ""},
		{"all(== 1)", values(1, 1), true, ""},
		{"all(== 1)", values(1, 0), false, ""},
		{"not all(== 1)", values(1, 0), true, ""},
		{"series == 2", values(1, 0), true, ""},
		{"series >= 3 and any(value > 0)", values(1, 0), false, ""},
		{"value == 1", append(values(0), series(nil)), false, ""},
		{"value == 1", append(values(1), series(nil)), false, "value"},
		{"all(value == 1)", append(values(0), series(nil)), false, ""},
	}
	for _, tt := range tests {
		e, err := ParseExpect(tt.expect)
		if err != nil {
			t.Errorf("ParseExpect(%q): %v", tt.expect, err)
			continue
		}
		misses, missing := e.satisfied(tt.series, params)
		if ok := len(misses) == 0 && missing == ""; ok != tt.ok || missing != tt.missing {
			t.Errorf("%s: satisfied %v, missing %q, want %v, %q", tt.expect, ok, missing, tt.ok, tt.missing)
		}
	}
}

func TestSatisfiedNamesTheSeriesThatMiss(t *testing.T) {
	e, err := ParseExpect("< 2")
	if err != nil {
		t.Fatal(err)
	}
	if misses, _ := e.satisfied(values(1, 2, 0, 3), nil); !slices.Equal(misses, []int{1, 3}) {
		t.Errorf("misses %v, want [1 3]", misses)
	}
}

func TestParseExpectNamesTheColumn(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "column 1: a value is missing"},
		{"status", "column 7: a comparison"},
		{"status ==", "column 10: a value is missing"},
		{"status = 200", `column 8: "=" has no meaning here`},
		{"status == 200 and", "column 18: a value is missing"},
		{"status == 200 200", `column 15: "200" is left over`},
		{"(status == 200", "column 15: a closing parenthesis is missing"},
		{"status == 200)", `column 14: ")" is left over`},
		{`state == "ok`, "column 10: a text without its closing quote"},
		{"latency < 5xx", `column 11: "5xx"`},
		{"and == 1", `column 1: a value is missing before "and"`},
		{"has(", "column 5: has(field) is meant"},
		{"len() == 1", "column 5: len(field) is meant"},
		{"value ≥ 1", "column 7: "},
		{"1 == 1", "column 3: the comparison asks nothing of the answer"},
		{"$a >= 98%", "column 4: the comparison asks nothing of the answer"},
		{strings.Repeat("(", 100) + "== 1" + strings.Repeat(")", 100), "column 52: nested too deeply"},
		{strings.Repeat("not ", 100) + "== 1", "column 209: nested too deeply"},
	}
	for _, tt := range tests {
		if _, err := ParseExpect(tt.in); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("ParseExpect(%.20q): %v, want %s", tt.in, err, tt.want)
		}
	}
}

func TestResolveWritesParametersOut(t *testing.T) {
	e, err := ParseExpect("value <= $latency_target and len(x) > $latency or y < $unknown")
	if err != nil {
		t.Fatal(err)
	}
	got := e.Resolve(map[string]Value{"latency": Number(3), "latency_target": {Num: 2, Unit: UnitSeconds}})
	if want := "value <= 2 s and len(x) > 3 or y < $unknown"; got != want {
		t.Errorf("Resolve = %q, want %q", got, want)
	}
	words, params := e.Fields()
	if want := "[value x y] [latency latency_target unknown]"; fmt.Sprint(words, params) != want {
		t.Errorf("Fields = %v %v, want %s", words, params, want)
	}
}

// randomExpect makes a condition of any shape.
func randomExpect(r *rand.Rand, depth int) string {
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	if depth > 0 {
		switch r.IntN(7) {
		case 0:
			return randomExpect(r, depth-1) + " and " + randomExpect(r, depth-1)
		case 1:
			return randomExpect(r, depth-1) + " or " + randomExpect(r, depth-1)
		case 2:
			return "not (" + randomExpect(r, depth-1) + ")"
		case 3:
			return pick("any", "all") + "(" + randomExpect(r, depth-1) + ")"
		case 4:
			return pick("has(x)", "not has(x)", "not has(value)")
		}
	}
	left := pick("", "value", "x", "y.z", "len(x)", "series", "state")
	return left + " " + pick("==", "!=", "<", "<=", ">", ">=", "contains") + " " + pick("1", "0", "98%", "$p", "word", `"text"`, "-3s")
}

// Whatever is expected, an answer without series does not meet it; and series whose
// only content is not a number meet nothing that compares.
func TestNothingIsNeverEnough(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	nan := values(math.NaN())
	for range 20_000 {
		text := randomExpect(r, 4)
		e, err := ParseExpect(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if misses, missing := e.satisfied(nil, map[string]Value{"p": Number(1)}); len(misses) == 0 && missing == "" {
			t.Fatalf("%s is satisfied without series", text)
		}
		compares := !strings.Contains(text, "has(") && !strings.Contains(text, "series")
		if misses, missing := e.satisfied(nan, nil); compares && len(misses) == 0 && missing == "" {
			t.Fatalf("%s is satisfied by what is not a number", text)
		}
	}
}

func BenchmarkExpect(b *testing.B) {
	e, err := ParseExpect("status == 200 and latency < 1s or state == failed")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		e.satisfied(answer, nil)
	}
}
