package plan

import (
	"errors"
	"math"
	"os"
	"strings"
	"testing"
)

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"98%", "512MiB", "2s", "-1.5e3", "1e308GiB", ".", "", "NaN"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseValue(s)
		if err == nil && (math.IsNaN(v.Num) || math.IsInf(v.Num, 0) || v.IsText) {
			t.Errorf("ParseValue(%q) = %+v", s, v)
		}
		if err == nil && v.String() == "" {
			t.Errorf("ParseValue(%q) is written as nothing", s)
		}
	})
}

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"15m", "1h30m", "0", "400d400d", "1.5h", "9e9s", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDuration(s)
		if err == nil && (d < 0 || d > maxDuration) {
			t.Errorf("ParseDuration(%q) = %v", s, d)
		}
	})
}

func FuzzParseExpect(f *testing.F) {
	for _, s := range []string{"status == 200 and latency < 1s", "not (any(value > $x) or has(y))", `a contains "b c"`, "== 1", "len(x) >= 2 s", "((("} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseExpect(s)
		if err != nil {
			return
		}
		if misses, missing := e.satisfied(nil, nil); len(misses) == 0 && missing == "" {
			t.Errorf("%q is satisfied without series", s)
		}
		e.satisfied(answer, nil)
		e.Fields()
		e.comparisons()
		again, err := ParseExpect(e.Text)
		if err != nil || again.Text != e.Text {
			t.Errorf("%q was kept as %q, which reads %v", s, e.Text, err)
		}
	})
}

// FuzzParse: no text ends the process; each error has a place inside the text; what
// was parsed has boxes where it says, and its copy for a report is the same plan.
func FuzzParse(f *testing.F) {
	clean, err := os.ReadFile("testdata/clean.md")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(clean)
	front, body, _ := strings.Cut(string(clean), "# Two days")
	f.Add([]byte(front + "# T\n\n## T+0\n\n- [ ] a `a.b`\n  ```promql\n  # expect: == 1\n  up\n  ```\n"))
	f.Add([]byte(front + "# T\n## T+0\n1. [ ] a `a.b`\n   - b\n\n   ```http\n   # expect: status == 200\n   GET /\n   ```\n"))
	f.Add([]byte("# Two days" + body))
	f.Add([]byte("---\n&a [*a, *a]\n---\n> - [ ] x\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Parse("f.md", text)
		if err != nil {
			var errs Errors
			if !errors.As(err, &errs) || p != nil {
				t.Fatalf("Parse returned %v, %v", p, err)
			}
			lines := strings.Count(string(text), "\n") + 1
			for _, e := range errs {
				if e.Line < 1 || e.Line > lines || e.Column < 1 || e.Text == "" {
					t.Errorf("an error without its place: %+v", e)
				}
			}
			return
		}
		lines := strings.Split(p.Text, "\n")
		for _, c := range p.Checks() {
			runes := []rune(lines[c.Line-1])
			if rest := string(runes[c.Column-1:]); !strings.HasPrefix(rest, "[") {
				t.Errorf("%s at %d:%d is %q", c.ID, c.Line, c.Column, rest)
			}
		}
		Lint(p, LintOptions{})
		q, err := Parse("f.md", Render(p, func(string) (bool, string) { return true, "a note" }))
		if err != nil {
			t.Fatalf("the copy is no plan: %v", err)
		}
		if q.Digest != p.Digest {
			t.Error("the copy is another plan")
		}
	})
}
