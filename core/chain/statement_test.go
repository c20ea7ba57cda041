package chain_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/chain"
)

func statement() chain.Statement {
	return chain.Statement{
		Plan: strings.Repeat("a", 64), Run: "2025-10-11T00:00:00Z", Version: "1.0.0 → 1.1.0", Head: chain.Head{Seq: 120_001, Hash: strings.Repeat("b", 64)},
		Verdicts: strings.Repeat("c", 64), Waivers: strings.Repeat("d", 64), Decision: "pass-with-waivers",
	}
}

func TestStatementText(t *testing.T) {
	want := `statement: spark hypercare closing 1
plan: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
run: 2025-10-11T00:00:00Z
version: 1.0.0 → 1.1.0
seq: 120001
head: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
verdicts: cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc
waivers: dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
decision: pass-with-waivers
`
	for _, rehearsal := range []bool{false, true} {
		s := statement()
		if s.Rehearsal = rehearsal; rehearsal {
			want = "rehearsal: yes\n" + want
		}
		got, err := s.Format()
		if err != nil || got != want {
			t.Fatalf("Format = %v\n%swant\n%s", err, got, want)
		}
		back, err := chain.ParseStatement(got)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, back); diff != "" {
			t.Error(diff)
		}
		signer, verifier := key(t, "ann", 1)
		if opened, _, err := chain.OpenAll(sign(t, got, signer), verifier); err != nil || opened != got {
			t.Errorf("signed and opened it is %q, %v", opened, err)
		}
	}
}

func TestStatementFieldsAreChecked(t *testing.T) {
	for field, spoil := range map[string]func(*chain.Statement){
		"plan":     func(s *chain.Statement) { s.Plan = "" },
		"run":      func(s *chain.Statement) { s.Run = "" },
		"run:":     func(s *chain.Statement) { s.Run = "1\ndecision: pass" },
		"run: ":    func(s *chain.Statement) { s.Run = " 1" },
		"version":  func(s *chain.Statement) { s.Version = "1\u202e" },
		"version:": func(s *chain.Statement) { s.Version = strings.Repeat("1", 257) },
		"seq":      func(s *chain.Statement) { s.Head.Seq = 0 },
		"head":     func(s *chain.Statement) { s.Head.Hash = strings.Repeat("B", 64) },
		"verdicts": func(s *chain.Statement) { s.Verdicts = s.Verdicts[1:] },
		"waivers":  func(s *chain.Statement) { s.Waivers += "d" },
		"decision": func(s *chain.Statement) { s.Decision = "" },
		"decisio":  func(s *chain.Statement) { s.Decision = "Pass" },
		"decisi":   func(s *chain.Statement) { s.Decision = "pass-" },
		"decis":    func(s *chain.Statement) { s.Decision = strings.Repeat("p", 257) },
	} {
		s := statement()
		spoil(&s)
		if text, err := s.Format(); err == nil || !strings.Contains(err.Error(), strings.TrimRight(field, ": ")) || text != "" {
			t.Errorf("%s: Format = %q, %v, want an error that names it", field, text, err)
		}
	}
}

func TestParseStatementIsStrict(t *testing.T) {
	good, err := statement().Format()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, by string }{
		{"statement: spark hypercare closing 1\n", ""}, {"closing 1", "closing 2"}, {"statement", "rehearsal: no\nstatement"},
		{"statement", "rehearsal: yes\nrehearsal: yes\nstatement"}, {"plan: ", "plan:"}, {"plan: ", "plan:  "}, {"run: ", "Run: "},
		{"seq: 120001", "seq: 0120001"}, {"seq: 120001", "seq: +120001"}, {"seq: 120001", "seq: "}, {"seq: 120001\n", ""},
		{"decision: pass-with-waivers\n", "decision: pass-with-waivers"}, {"decision: pass-with-waivers\n", "decision: pass\ndecision: fail\n"},
		{"waivers: ", "note: x\nwaivers: "}, {"\nrun", "\r\nrun"}, {"\nrun", "\n\nrun"}, {"statement", "\nstatement"}, {"decision: pass-with-waivers", "rehearsal: yes"},
	} {
		changed := strings.Replace(good, tt.old, tt.by, 1)
		if changed == good {
			t.Fatalf("%q is not in the statement", tt.old)
		}
		if s, err := chain.ParseStatement(changed); err == nil {
			t.Errorf("%q for %q: ParseStatement = %+v, want an error", tt.by, tt.old, s)
		}
	}
	for cut := range good {
		if s, err := chain.ParseStatement(good[:cut]); err == nil {
			t.Errorf("cut at byte %d: ParseStatement = %+v, want an error", cut, s)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	for _, rehearsal := range []bool{false, true} {
		s := statement()
		s.Rehearsal = rehearsal
		text, err := s.Format()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := chain.ParseStatement(text)
		if err != nil {
			return
		}
		if again, err := s.Format(); err != nil || again != text {
			t.Fatalf("ParseStatement(%q) = %+v, which is written %q, %v", text, s, again, err)
		}
		if s.Rehearsal != strings.HasPrefix(text, "rehearsal: yes\n") {
			t.Fatalf("%q: rehearsal is %t", text, s.Rehearsal)
		}
		signer, _ := key(t, "ann", 1)
		if _, err := chain.Sign(text, signer); err != nil {
			t.Fatalf("%q cannot be signed: %v", text, err)
		}
	})
}
