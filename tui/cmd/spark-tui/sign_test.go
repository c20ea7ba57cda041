package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/wire"
)

// lead is a person with a key in a home of their own.
type lead struct {
	env      []string
	file     string
	verifier string
}

func newLead(t *testing.T, name string) lead {
	t.Helper()
	dir := t.TempDir()
	l := lead{env: []string{"XDG_CONFIG_HOME=" + dir}, file: filepath.Join(dir, "spark", "key")}
	code, out, errs := command(t, l.env, "keys", "generate", "--name", name)
	if code != exitOK || !strings.Contains(errs, l.file) || strings.Count(out, "\n") != 1 {
		t.Fatalf("keys generate = %d, %q, %q", code, out, errs)
	}
	l.verifier = strings.TrimSpace(out)
	return l
}

// closer is an observer at the end of its run: it keeps a journal, and takes sign-offs
// as the daemon does, by verifying the note with the key of the role.
type closer struct {
	*fakeObserver
	leads   map[string]lead // by role
	journal []byte
	head    chain.Head
	closing wire.Closing
}

func newCloser(t *testing.T, operations, development lead) *closer {
	t.Helper()
	c := &closer{fakeObserver: newObserver(t), leads: map[string]lead{roleOperations: operations, roleDevelopment: development}}
	for _, kind := range []string{"started", "verdict", "verdict"} {
		c.append(t, kind, map[string]string{"text": "a fact"})
	}
	c.run.State, c.run.Seq, c.run.Head = wire.RunExitReview, c.head.Seq, c.head.Hash
	text, err := chain.Statement{
		Plan: c.run.PlanDigest, Run: c.run.ID, Version: c.run.Version, Head: c.head,
		Verdicts: strings.Repeat("c", 64), Waivers: strings.Repeat("d", 64), Decision: "pass",
	}.Format()
	if err != nil {
		t.Fatal(err)
	}
	c.closing = wire.Closing{
		OK: true, Statement: text, Seq: c.head.Seq, Head: c.head.Hash, Ready: true,
		Exit: []wire.Criterion{{Title: "Checkpoints", Met: true, Text: "7 of 7 closed"}},
	}
	c.pages["GET "+wire.PathClosing] = func(w http.ResponseWriter, _ *http.Request, _ []byte) { answer(w, c.closing) }
	c.pages["POST "+wire.PathSignOff] = func(w http.ResponseWriter, _ *http.Request, body []byte) { c.signOff(t, w, body) }
	return c
}

func (c *closer) append(t *testing.T, kind string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	rec, line, err := chain.Seal(c.head, chain.Record{At: t0, Who: "x", Role: "y", Kind: kind, Body: text})
	if err != nil {
		t.Fatal(err)
	}
	c.head, c.journal = rec.Head(), append(c.journal, line...)
}

func (c *closer) signOff(t *testing.T, w http.ResponseWriter, body []byte) {
	var act wire.SignAct
	if err := json.Unmarshal(body, &act); err != nil {
		t.Error(err)
	}
	text, who, err := chain.OpenAll([]byte(act.Signature), c.leads[act.Role].verifier)
	if err != nil || len(who) != 1 {
		w.WriteHeader(http.StatusForbidden)
		answer(w, wire.Error{Error: "no signature of the " + act.Role, Code: wire.CodeForbidden})
		return
	}
	want := c.closing.Statement
	if act.Decision == decideNoGo {
		want = strings.Replace(want, "decision: pass\n", "decision: no-go\n", 1)
	}
	if text != want {
		t.Errorf("signed %q, want %q", text, want)
	}
	c.append(t, "signoff", act)
	if c.closing.Note == "" {
		c.closing.Note = act.Signature
	}
	c.run.SignOffs = append(c.run.SignOffs, wire.SignOff{Role: act.Role, Who: who[0], Decision: act.Decision, Signature: act.Signature})
	closed := 0
	for _, s := range c.run.SignOffs {
		if s.Decision == decideClose {
			closed++
		}
	}
	c.run.Exit = []wire.Criterion{{Title: "signatures", Met: closed == 2, Text: fmt.Sprintf("%d of 2", closed)}}
	answer(w, wire.HypercareAnswer{OK: true, Run: c.run})
}

func (c *closer) file(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "journal.jsonl")
	if err := os.WriteFile(name, c.journal, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestTwoPeopleSignAndAnybodyVerifies is the whole way: two keys, two signatures that
// the observer verifies, a journal that is verified without it.
func TestTwoPeopleSignAndAnybodyVerifies(t *testing.T) {
	ada, grace := newLead(t, "ada"), newLead(t, "grace")
	c := newCloser(t, ada, grace)
	code, out, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--comment", "well done", "--yes", "--url", c.URL)
	if code != exitOK || !strings.Contains(out, "signed: close, operations-lead, by ada") || !strings.Contains(out, "missing: signatures: 1 of 2\n") {
		t.Fatalf("sign = %d, %q, %q", code, out, errs)
	}
	for _, want := range []string{"run: run-1", "decision: pass", "met      Checkpoints: 7 of 7 closed"} {
		if !strings.Contains(errs, want) {
			t.Errorf("what is signed is shown without %q:\n%s", want, errs)
		}
	}
	journal := c.file(t)
	if code, _, errs := command(t, nil, "verify", journal, "--key", ada.verifier, "--key", grace.verifier); code != exitFailed || !strings.Contains(errs, "no signature of grace") {
		t.Errorf("verify with one signature of two = %d, %q", code, errs)
	}
	// One person is not two, under whatever role.
	c.leads[roleDevelopment] = ada
	if code, _, errs := command(t, ada.env, "sign", "--role", roleDevelopment, "--decision", "close", "--yes", "--url", c.URL); code != exitFailed || !strings.Contains(errs, "same key") {
		t.Errorf("signing twice with one key = %d, %q", code, errs)
	}
	c.leads[roleDevelopment] = grace
	code, out, errs = command(t, nil, "sign", "--role", roleDevelopment, "--decision", "close", "--yes", "--json", "--key", grace.file, "--url", c.URL)
	var s signed
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitOK || !s.OK || s.Name != "grace" || s.Run != "run-1" || len(s.Missing) != 0 || s.Statement != c.closing.Statement {
		t.Fatalf("sign --json = %d, %+v, %q, %v", code, s, errs, err)
	}
	private, err := os.ReadFile(grace.file)
	if err != nil {
		t.Fatal(err)
	}
	secret := string(private[strings.LastIndexByte(string(private), '+')+1 : len(private)-1])
	for _, call := range c.calls {
		if strings.Contains(call.body, secret) || strings.Contains(out+errs, secret) {
			t.Fatal("the private key left")
		}
	}

	journal = c.file(t)
	code, out, errs = command(t, nil, "verify", journal, "--key", ada.verifier, "--key", grace.verifier, "--head", strings.ToUpper(c.closing.Head), "--seq", "3")
	if code != exitOK || errs != "" || !strings.Contains(out, "5 sound records, head "+c.head.Hash) ||
		!strings.Contains(out, "record 4: close as operations-lead, run run-1 up to record 3, signed by ada\n") || !strings.Contains(out, "signed by grace\n") {
		t.Errorf("verify = %d, %q, %q", code, out, errs)
	}
	code, out, _ = command(t, nil, "verify", journal, "--json", "--key", ada.verifier, "--key", grace.verifier)
	var v verified
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != exitOK || !v.OK || v.Records != 5 || v.Head != c.head.Hash || len(v.Signatures) != 2 || v.Signatures[1].SignedBy[0] != "grace" {
		t.Errorf("verify --json = %d, %+v, %v", code, v, err)
	}
}

// TestANoGoIsNoConsent: it is signed over other bytes, at any time, and does not
// stand beside a consent as one.
func TestANoGoIsNoConsent(t *testing.T) {
	ada, grace := newLead(t, "ada"), newLead(t, "grace")
	c := newCloser(t, ada, grace)
	c.closing.Ready = false
	c.closing.Exit = append(c.closing.Exit, wire.Criterion{Title: "Incidents", Text: "i2 is open"})
	if code, _, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", c.URL); code != exitFailed || !strings.Contains(errs, "NOT MET  Incidents: i2 is open") || !strings.Contains(errs, "not met") || len(c.changes()) != 0 {
		t.Errorf("close of what is not ready = %d, %q", code, errs)
	}
	if code, out, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "no-go", "--yes", "--url", c.URL); code != exitOK || !strings.Contains(out, "signed: no-go") || !strings.Contains(out, "missing: signatures: 0 of 2\n") {
		t.Errorf("no-go = %d, %q, %q", code, out, errs)
	}
	c.closing.Ready, c.closing.Note = true, ""
	if code, _, errs := command(t, grace.env, "sign", "--role", roleDevelopment, "--decision", "close", "--yes", "--url", c.URL); code != exitOK {
		t.Errorf("close beside a no-go = %d, %q", code, errs)
	}
	if code, out, errs := command(t, nil, "verify", c.file(t), "--key", ada.verifier, "--key", grace.verifier); code != exitFailed || !strings.Contains(errs, "ada and grace have signed different statements or decisions") {
		t.Errorf("verify of a no-go beside a close = %d, %q, %q", code, out, errs)
	}
	// A journal that calls the no-go a consent does not get through.
	sold := *c
	sold.journal, sold.head = nil, chain.Head{}
	for range 3 {
		sold.append(t, "verdict", map[string]string{"text": "a fact"})
	}
	sold.append(t, "signoff", wire.SignAct{Role: roleOperations, Decision: decideClose, Signature: c.run.SignOffs[0].Signature})
	if code, _, errs := command(t, nil, "verify", sold.file(t)); code != exitFailed || !strings.Contains(errs, "record 4: signature: ") {
		t.Errorf("verify of a forged consent = %d, %q", code, errs)
	}
}

// TestWhoHasSignedMaySayNoLater: the one way back, with the same key.
func TestWhoHasSignedMaySayNoLater(t *testing.T) {
	ada := newLead(t, "ada")
	c := newCloser(t, ada, ada)
	for _, decision := range []string{decideClose, decideNoGo} {
		if code, _, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", decision, "--yes", "--url", c.URL); code != exitOK {
			t.Errorf("%s = %d, %q", decision, code, errs)
		}
	}
	if code, out, errs := command(t, nil, "verify", c.file(t), "--key", ada.verifier); code != exitOK || !strings.Contains(out, "record 5: no-go as operations-lead") {
		t.Errorf("verify = %d, %q, %q", code, out, errs)
	}
}

func TestACheckpointIsSignedWithoutAKey(t *testing.T) {
	o := newObserver(t)
	o.run.Checkpoints[1].SignOff, o.run.Checkpoints[1].Signed = []string{roleOperations, roleDevelopment}, []string{roleOperations}
	o.serve("POST "+wire.PathSignOff, nil)
	args := []string{"sign", "--checkpoint", "T+15m", "--role", roleOperations, "--decision", "close", "--comment", "quiet", "--url", o.URL}
	if code, _, errs := command(t, nil, args...); code != exitMisused || !strings.Contains(errs, "--yes") || len(o.changes()) != 0 {
		t.Errorf("sign without a terminal = %d, %q", code, errs)
	}
	code, out, errs := command(t, nil, append(args, "--yes")...)
	if code != exitOK || out != "signed: close, operations-lead\nT+15m is open\nmissing: the word of the development-lead\n" || !strings.Contains(errs, "Title of T+15m") {
		t.Errorf("sign --checkpoint = %d, %q, %q", code, out, errs)
	}
	if got := o.changes()[0].body; got != `{"role":"operations-lead","decision":"close","comment":"quiet","checkpoint":"T+15m"}` {
		t.Errorf("sign --checkpoint sends %s", got)
	}
	code, out, _ = command(t, nil, append(args, "--yes", "--json")...)
	var s signed
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitOK || s.Checkpoint != "T+15m" || len(s.Missing) != 1 || s.Signature != "" {
		t.Errorf("sign --checkpoint --json = %d, %+v, %v", code, s, err)
	}
	args[2] = "T+9d"
	if code, _, errs := command(t, nil, append(args, "--yes")...); code != exitMisused || !strings.Contains(errs, "T+9d") {
		t.Errorf("sign of an unknown checkpoint = %d, %q", code, errs)
	}
}

// TestWhatMustNotBeSignedIsNot: nothing is sent when the statement is not of what the
// observer shows, or the key is not one person's.
func TestWhatMustNotBeSignedIsNot(t *testing.T) {
	ada := newLead(t, "ada")
	tests := []struct {
		name   string
		change func(*closer)
		want   string
	}{
		{"another run", func(c *closer) { c.run.ID = "run-2" }, `run "run-1"`},
		{"another version", func(c *closer) { c.run.Version = "v9" }, "version"},
		{"another plan", func(c *closer) { c.run.PlanDigest = strings.Repeat("e", 64) }, "plan"},
		{"another head", func(c *closer) { c.closing.Head = strings.Repeat("e", 64) }, "head"},
		{"another record", func(c *closer) { c.closing.Seq++ }, "record"},
		{"a rehearsal that does not say so", func(c *closer) { c.run.Rehearsal = true }, "rehearsal"},
		{"no statement", func(c *closer) { c.closing.Statement = "I owe you 100.\n" }, "no closing statement"},
		{"a statement with a postscript", func(c *closer) { c.closing.Statement += "I owe you 100.\n" }, "canonical"},
		{"signatures under something else", func(c *closer) { c.closing.Note = "x\n\n— ada AAAA\n" }, "another statement"},
		{"no run", func(c *closer) { c.run = nil }, "no hypercare run"},
		{"refused", func(c *closer) { c.leads[roleOperations] = newLead(t, "eve") }, "refused: no signature of the operations-lead"},
	}
	for _, tt := range tests {
		c := newCloser(t, ada, ada)
		tt.change(c)
		code, out, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", c.URL)
		if code != exitFailed || out != "" || !strings.Contains(errs, tt.want) || tt.name != "refused" && len(c.changes()) != 0 {
			t.Errorf("%s: sign = %d, %q, %q, calls %v", tt.name, code, out, errs, c.changes())
		}
	}
	c := newCloser(t, ada, ada)
	c.run.Rehearsal = true
	c.closing.Statement = "rehearsal: yes\n" + c.closing.Statement
	if code, _, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", c.URL); code != exitOK || !strings.HasPrefix(errs, "REHEARSAL") {
		t.Errorf("sign of a rehearsal = %d, %q", code, errs)
	}
	if code, _, errs := command(t, ada.env, "sign", "--role", roleOperations, "--decision", "close", "--yes", "--url", nowhere(t)); code != exitUnreachable || strings.Count(errs, "\n") != 1 {
		t.Errorf("sign without a daemon = %d, %q", code, errs)
	}
}

func TestAnAnswerIsNoUnlessItIsYes(t *testing.T) {
	for in, want := range map[string]bool{"y\n": true, " YES \n": true, "": false, "\n": false, "n\n": false, "yes, but\n": false, "y": false, strings.Repeat(" ", 300) + "y\n": false} {
		var out strings.Builder
		if got, err := ask(t.Context(), strings.NewReader(in), &out, "Sign?"); err != nil || got != want || out.String() != "Sign? [y/N] " {
			t.Errorf("answer %q = %v, %v, asked %q", in, got, err, out.String())
		}
	}
}
