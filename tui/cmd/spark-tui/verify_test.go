package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/wire"
)

// TestVerifyNamesTheFirstBadRecord: whatever was done to the file.
func TestVerifyNamesTheFirstBadRecord(t *testing.T) {
	ada, grace := newLead(t, "ada"), newLead(t, "grace")
	c := newCloser(t, ada, grace)
	if code, _, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", c.URL); code != exitOK {
		t.Fatal(errs)
	}
	sound := string(c.journal)
	lines := strings.SplitAfter(sound, "\n") // four, and an empty one
	signature := c.run.SignOffs[0].Signature
	// A sound chain with this one as its fourth record.
	record4 := func(body any) string {
		w := closer{}
		for range 3 {
			w.append(t, "verdict", 0)
		}
		w.append(t, "signoff", body)
		return string(w.journal)
	}
	tests := []struct {
		name string
		text string
		args []string
		code int
		want string
	}{
		{"sound", sound, nil, exitOK, "4 sound records"},
		{"empty", "", nil, exitOK, "0 sound records, head none"},
		{"sound, head known", sound, []string{"--head", c.closing.Head}, exitOK, "sound"},
		{"sound, signer known", sound, []string{"--key", ada.verifier}, exitOK, "signed by ada"},
		{"sound, signer not given", sound, nil, exitOK, "signed by somebody whose key was not given"},
		{"signed by another", sound, []string{"--key", grace.verifier}, exitFailed, "no signature of grace"},
		{"changed", strings.Replace(sound, "a fact", "a fiction", 1), nil, exitFailed, "record 1 (line 1"},
		{"taken out", lines[0] + lines[2] + lines[3], nil, exitFailed, "record 2 (line 2"},
		{"moved", lines[0] + lines[2] + lines[1] + lines[3], nil, exitFailed, "record 2"},
		{"torn", sound[:len(sound)-9], nil, exitFailed, "record 4"},
		{"end cut off", lines[0] + lines[1], []string{"--head", c.closing.Head, "--seq", "3"}, exitFailed, "no sound record 3 with the hash"},
		{"end cut off, number unknown", lines[0] + lines[1], []string{"--head", c.closing.Head}, exitFailed, "no sound record with the hash"},
		{"head of another record", sound, []string{"--head", c.closing.Head, "--seq", "2"}, exitFailed, "no sound record 2"},
		{"a signature from another journal", record4(wire.SignAct{Role: roleOperations, Decision: "close", Signature: signature}), nil, exitFailed, "a head that this journal never had"},
		{"a signature under no statement", record4(wire.SignAct{Role: roleOperations, Decision: "close", Signature: "hello"}), nil, exitFailed, "no closing statement"},
		{"a word under a checkpoint", record4(wire.SignAct{Checkpoint: "T+1h", Role: roleOperations, Decision: "close", Signature: "hello"}), nil, exitOK, "sound"},
	}
	for _, tt := range tests {
		name := filepath.Join(t.TempDir(), "journal")
		if err := os.WriteFile(name, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"verify", name}, tt.args...)
		code, out, errs := command(t, nil, args...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) || (errs == "") != (code == exitOK) {
			t.Errorf("%s: verify = %d, %q, %q, want %d with %q", tt.name, code, out, errs, tt.code, tt.want)
		}
		code, out, errs = command(t, nil, append(args, "--json")...)
		var v verified
		if err := json.Unmarshal([]byte(out), &v); err != nil || code != tt.code || v.OK != (code == exitOK) || v.OK != (len(v.Problems) == 0) || errs != "" || v.Torn != (tt.name == "torn") {
			t.Errorf("%s: verify --json = %d, %+v, %q, %v", tt.name, code, v, errs, err)
		}
	}
	if code, out, errs := command(t, nil, "verify", filepath.Join(t.TempDir(), "none")); code != exitFailed || out != "" || strings.Count(errs, "\n") != 1 {
		t.Errorf("verify of no file = %d, %q, %q", code, out, errs)
	}
	if code, out, _ := command(t, nil, "verify", "-"); code != exitOK || !strings.Contains(out, "0 sound records") {
		t.Errorf("verify of an empty standard input = %d, %q", code, out)
	}
}

// TestAFalseSignatureIsFound: a bit of it that changed, in a chain that is sound.
func TestAFalseSignatureIsFound(t *testing.T) {
	ada := newLead(t, "ada")
	c := newCloser(t, ada, ada)
	if code, _, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", c.URL); code != exitOK {
		t.Fatal(errs)
	}
	act := wire.SignAct{Role: roleOperations, Decision: "close", Signature: c.run.SignOffs[0].Signature}
	end := len(act.Signature) - 20
	other := byte('A')
	if act.Signature[end] == other {
		other = 'B'
	}
	act.Signature = act.Signature[:end] + string(other) + act.Signature[end+1:]
	c.append(t, "signoff", act)
	if code, out, errs := command(t, nil, "verify", c.file(t), "--key", ada.verifier); code != exitFailed || !strings.Contains(errs, "record 5: signature:") || !strings.Contains(out, "record 5: close as operations-lead, run run-1 up to record 3, signed by NOBODY") {
		t.Errorf("verify = %d, %q, %q", code, out, errs)
	}
}
