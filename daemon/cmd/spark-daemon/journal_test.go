package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
)

// rehearsed is the journal of a run that two people have signed, with their keys.
func rehearsed(t *testing.T) (file, text string, keys []plan.Key) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "j.jsonl")
	if code, out, errs := command(t, nil, "rehearse", short, "--journal", file); code != 0 {
		t.Fatalf("rehearse = %d %s %s", code, out, errs)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(data), "\n")
	r, err := chain.Parse([]byte(first))
	if err != nil {
		t.Fatal(err)
	}
	start, ok := plan.StartOf(r)
	if !ok {
		t.Fatalf("the first record is of kind %s, want the start", r.Kind)
	}
	return file, string(data), start.Keys
}

func TestVerifyNeedsOnlyTheFile(t *testing.T) {
	file, text, keys := rehearsed(t)
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	var args []string
	for _, k := range keys {
		if k.Name == "alice" || k.Name == "bob" {
			args = append(args, "--key", k.Verifier)
		}
	}
	var v verified
	code, out, errs := command(t, nil, append([]string{"journal", "verify", file, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || !v.OK || !v.Rehearsal || v.Seq != int64(len(lines)) || v.Outcome != "pass" {
		t.Fatalf("verify = %d %s %s: %v", code, out, errs, err)
	}
	if strings.Join(v.SignedBy, ",") != "alice,bob" || v.SignedSeq == 0 {
		t.Errorf("signed by %v over %d, want alice and bob", v.SignedBy, v.SignedSeq)
	}
	_, stranger, err := chain.GenerateKey(strings.NewReader(strings.Repeat("m", 64)), "mallory")
	if err != nil {
		t.Fatal(err)
	}
	seq, head := itoa(len(lines)), v.Head
	tests := []struct {
		name, text string
		args       []string
		want       string // "" when it is sound
	}{
		{"a head that is known", text, []string{"--seq", seq, "--head", head}, ""},
		{"an end that was cut off", strings.Join(lines[:len(lines)-2], ""), []string{"--seq", seq, "--head", head}, "record " + seq + " is missing"},
		{"an end that was cut off and is not known", strings.Join(lines[:len(lines)-2], ""), nil, ""},
		{"another journal", text, []string{"--seq", "3", "--head", head}, "record 3 has another hash"},
		{"a changed byte", strings.Replace(text, `"verdict":"pass"`, `"verdict":"fail"`, 1), nil, "record"},
		{"a record taken out", strings.Join(append(append([]string{}, lines[:4]...), lines[5:]...), ""), nil, "record 5"},
		{"half a record", text + `{"seq":`, nil, "not written whole"},
		{"a stranger's key", text, []string{"--key", stranger}, "not signed"},
		{"signatures that were taken off", strings.Join(lines[:len(lines)-4], ""), args, "nobody has signed"},
		{"nothing", "", args, "no run was started"},
	}
	for _, tt := range tests {
		code, _, errs := command(t, nil, append([]string{"journal", "verify", write(t, "j", tt.text)}, tt.args...)...)
		if bad := tt.want != ""; bad != (code == 1) || !strings.Contains(errs, tt.want) || strings.Count(errs, "\n") > 1 {
			t.Errorf("%s: %d %q, want %q", tt.name, code, errs, tt.want)
		}
	}
}

func TestShowPrintsRecords(t *testing.T) {
	file, text, _ := rehearsed(t)
	code, out, _ := command(t, nil, "journal", "show", file)
	if code != 0 || strings.Count(out, "\n") != strings.Count(text, "\n") || !strings.Contains(out, "alice/operations-lead") {
		t.Errorf("journal show = %d %.300s", code, out)
	}
	_, out, _ = command(t, nil, "journal", "show", file, "--since", "10", "--limit", "3", "--json")
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], `{"seq":11,`) {
		t.Errorf("journal show --since 10 --limit 3 = %s", out)
	}
	_, out, _ = command(t, nil, "journal", "show", file, "--kind", plan.KindSignOff)
	if strings.Count(out, "\n") < 2 || strings.Contains(out, plan.KindVerdict) {
		t.Errorf("journal show --kind signoff = %s", out)
	}
	if code, out, errs := command(t, nil, "journal", "show", write(t, "j", "{}\n")); code != 1 || out != "" || strings.Count(errs, "\n") != 1 {
		t.Errorf("no journal = %d %q %q", code, out, errs)
	}
}

func TestReportFromTheFileAlone(t *testing.T) {
	file, _, _ := rehearsed(t)
	tests := []struct {
		args   []string
		code   int
		begins string
	}{
		{nil, 0, "# "},
		{[]string{"--format", "html"}, 0, "<!DOCTYPE html>"},
		{[]string{"--format", "json", "--seq", "20"}, 0, "{"},
		{[]string{"--seq", "100000"}, 2, ""},
	}
	for _, tt := range tests {
		code, out, errs := command(t, nil, append([]string{"journal", "report", file}, tt.args...)...)
		if code != tt.code || !strings.HasPrefix(out, tt.begins) {
			t.Errorf("journal report %v = %d %.60q %s", tt.args, code, out, errs)
		}
	}
	to := filepath.Join(t.TempDir(), "out.html")
	if code, _, errs := command(t, nil, "journal", "report", file, "--out", to); code != 0 {
		t.Fatalf("journal report --out = %d %s", code, errs)
	}
	if text, err := os.ReadFile(to); err != nil || !strings.HasPrefix(string(text), "<!DOCTYPE html>") {
		t.Errorf("out.html is %.40q (%v), want HTML by its name", text, err)
	}
}
