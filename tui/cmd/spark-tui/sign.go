package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// Roles that sign the shipped plan, and what they decide. A plan may name others: the
// observer knows.
const (
	roleOperations  = "operations-lead"
	roleDevelopment = "development-lead"

	decideClose = "close"
	decideNoGo  = "no-go"
)

// signing are the flags of "sign".
type signing struct {
	checkpoint string
	role       string
	decision   string
	comment    string
	key        string
	yes        bool
	json       bool
}

// signed is what "sign --json" prints.
type signed struct {
	OK         bool     `json:"ok"`
	Run        string   `json:"run"`
	Checkpoint string   `json:"checkpoint,omitempty"`
	Role       string   `json:"role"`
	Decision   string   `json:"decision"`
	Name       string   `json:"name,omitempty"` // of the key
	Statement  string   `json:"statement,omitempty"`
	Signature  string   `json:"signature,omitempty"`
	State      string   `json:"state"`   // afterwards, of the run or the checkpoint
	Missing    []string `json:"missing"` // afterwards: conditions of the exit, or roles of the checkpoint
}

func (p *program) signCommand() *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign the end of hypercare, or a checkpoint",
		Long: `Sign the end of hypercare with your key. Two people with two keys are needed: the
Operations Lead and the Development Lead, over the same statement.

It shows the statement and the conditions of the exit, makes sure that the statement
is one, of the run and the record that the observer shows, asks, and signs here: only
the signature is sent. "close" is not signed while a condition is not met. A "no-go"
is signed over the same statement with no-go for its decision, so that it can never be
taken for a consent; one who has signed "close" may say it later.

With --checkpoint it is the word of a role under a checkpoint, without a key.

Exit codes: 0 signed, 1 not signed, 2 misused, 3 the observer cannot be reached.`,
		Example: `  spark-tui sign --role operations-lead --decision close
  spark-tui sign --role development-lead --decision no-go --comment "memory still grows"
  spark-tui sign --role operations-lead --decision close --yes    without a terminal
  spark-tui sign --checkpoint T+12h --role operations-lead --decision close`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.sign(cmd.Context(), s) },
	}
	f := cmd.Flags()
	f.StringVar(&s.checkpoint, "checkpoint", "", "give the role's word under this checkpoint instead, such as T+12h")
	f.StringVar(&s.role, "role", "", roleOperations+", "+roleDevelopment+" or another that the plan names")
	f.StringVar(&s.decision, "decision", "", decideClose+" or "+decideNoGo)
	f.StringVar(&s.comment, "comment", "", "a remark beside the signature")
	f.StringVar(&s.key, "key", "", keyHelp)
	f.BoolVar(&s.yes, "yes", false, "do not ask; needed where standard input is no terminal")
	jsonFlag(cmd, &s.json)
	p.operatorFlags(cmd)
	return cmd
}

func (p *program) sign(ctx context.Context, s signing) error {
	switch {
	case strings.TrimSpace(s.role) == "":
		return misuse("--role is missing: %s, %s or another that the plan names", roleOperations, roleDevelopment)
	case s.decision != decideClose && s.decision != decideNoGo:
		return misuse("--decision %q: %s or %s", s.decision, decideClose, decideNoGo)
	case s.checkpoint != "" && s.key != "":
		return misuse("--key and --checkpoint contradict each other: a checkpoint is signed with no key")
	case !s.yes && !term.IsTerminal(p.stdin.Fd()):
		return misuse("standard input is no terminal: --yes signs without asking")
	}
	o, err := p.observer()
	if err != nil {
		return err
	}
	if s.checkpoint != "" {
		return p.signCheckpoint(ctx, o, s)
	}
	_, signer, verifier, err := p.readKey(s.key)
	if err != nil {
		return err
	}
	name, err := chain.KeyName(verifier)
	if err != nil {
		return err
	}
	text, run, err := p.statement(ctx, o, s, signer)
	if err != nil {
		return err
	}
	if err := p.consent(ctx, s, fmt.Sprintf("Sign %q as %s, %s, for run %s?", s.decision, name, s.role, run)); err != nil {
		return err
	}
	note, err := chain.Sign(text, signer)
	if err != nil {
		return err
	}
	out := signed{OK: true, Run: run, Role: s.role, Decision: s.decision, Name: name, Statement: text, Signature: string(note), Missing: []string{}}
	var a wire.HypercareAnswer
	if err := o.post(ctx, wire.PathSignOff, out.act(s.comment), &a); err != nil {
		return err
	}
	if a.Run != nil {
		out.State = a.Run.State
		for _, e := range a.Run.Exit {
			if !e.Met {
				out.Missing = append(out.Missing, e.Title+": "+e.Text)
			}
		}
	}
	return p.printSigned(out, s)
}

func (s *signed) act(comment string) wire.SignAct {
	return wire.SignAct{Checkpoint: s.Checkpoint, Role: s.Role, Decision: s.Decision, Comment: comment, Signature: s.Signature}
}

// consent asks unless --yes did.
func (p *program) consent(ctx context.Context, s signing, question string) error {
	if s.yes {
		return nil
	}
	switch yes, err := ask(ctx, p.stdin, p.stderr, question); {
	case err != nil:
		return err
	case !yes:
		return errors.New("not signed")
	}
	return nil
}

func (p *program) printSigned(out signed, s signing) error {
	if s.json {
		return p.printJSON(out)
	}
	what, by := "run "+out.Run, out.Role
	if out.Checkpoint != "" {
		what = out.Checkpoint
	}
	if out.Name != "" {
		by += ", by " + out.Name
	}
	fmt.Fprintf(p.stdout, "signed: %s, %s\n", out.Decision, safetext.Clean(by))
	if out.State != "" {
		fmt.Fprintf(p.stdout, "%s is %s\n", safetext.Clean(what), safetext.Clean(out.State))
	}
	for _, m := range out.Missing {
		fmt.Fprintf(p.stdout, "missing: %s\n", safetext.Clean(m))
	}
	return nil
}

// signCheckpoint gives the word of a role under a checkpoint.
func (p *program) signCheckpoint(ctx context.Context, o *observer, s signing) error {
	var h wire.Hypercare
	if err := o.get(ctx, wire.PathHypercare, &h); err != nil {
		return err
	}
	if h.Run == nil {
		return errors.New("there is no hypercare run")
	}
	point := findCheckpoint(h.Run, s.checkpoint)
	if point == nil {
		return misuse("--checkpoint %s: the plan has no such checkpoint", s.checkpoint)
	}
	fmt.Fprintf(p.stderr, "%s  %s  %s: %s\n", safetext.Clean(point.ID), safetext.Clean(point.Title), verdictWord(point.Verdict), tally(point.Counts))
	if err := p.consent(ctx, s, fmt.Sprintf("Sign %q for %s as %s?", s.decision, point.ID, s.role)); err != nil {
		return err
	}
	out := signed{OK: true, Run: h.Run.ID, Checkpoint: point.ID, Role: s.role, Decision: s.decision, Missing: []string{}}
	var a wire.HypercareAnswer
	if err := o.post(ctx, wire.PathSignOff, out.act(s.comment), &a); err != nil {
		return err
	}
	if point = findCheckpoint(a.Run, s.checkpoint); point != nil {
		out.State = point.State
		for _, role := range point.SignOff {
			if !slices.Contains(point.Signed, role) {
				out.Missing = append(out.Missing, "the word of the "+role)
			}
		}
	}
	return p.printSigned(out, s)
}

func findCheckpoint(run *wire.HypercareRun, id string) *wire.Checkpoint {
	if run == nil {
		return nil
	}
	i := slices.IndexFunc(run.Checkpoints, func(c wire.Checkpoint) bool { return c.ID == id })
	if i < 0 {
		return nil
	}
	return &run.Checkpoints[i]
}

// statement gets the closing statement, shows it, and returns the text to sign and
// the run's id. It returns an error for one that must not be signed.
func (p *program) statement(ctx context.Context, o *observer, s signing, signer string) (text, run string, err error) {
	var h wire.Hypercare
	if err := o.get(ctx, wire.PathHypercare, &h); err != nil {
		return "", "", err
	}
	if h.Run == nil {
		return "", "", errors.New("there is no hypercare run")
	}
	var c wire.Closing
	if err := o.get(ctx, wire.PathClosing, &c); err != nil {
		return "", "", err
	}
	st, err := checkStatement(&c, h.Run)
	if err != nil {
		return "", "", fmt.Errorf("not signed: %w", err)
	}
	p.show(&c, st)
	if s.decision == decideNoGo {
		// Under the statement itself it could be handed in again as a consent, by
		// whoever reads the journal.
		st.Decision = decideNoGo
		text, err = st.Format()
		return text, st.Run, err
	}
	if c.Note != "" {
		if err := signedBefore(&c, signer); err != nil {
			return "", "", err
		}
	}
	if !c.Ready {
		return "", "", errors.New("not signed: conditions of the exit are not met")
	}
	return c.Statement, st.Run, nil
}

// checkStatement reads the statement and compares it with what the observer shows:
// nobody should sign a text that speaks of something else than what they looked at.
func checkStatement(c *wire.Closing, run *wire.HypercareRun) (chain.Statement, error) {
	st, err := chain.ParseStatement(c.Statement)
	if err != nil {
		return st, err
	}
	for _, f := range []struct{ what, says, shown string }{
		{"run", st.Run, run.ID},
		{"version", st.Version, run.Version},
		{"plan", st.Plan, run.PlanDigest},
		{"head", st.Head.Hash, c.Head},
		{"record", fmt.Sprint(st.Head.Seq), fmt.Sprint(c.Seq)},
		{"rehearsal", fmt.Sprint(st.Rehearsal), fmt.Sprint(run.Rehearsal)},
	} {
		if f.says != f.shown {
			return st, fmt.Errorf("the statement is of %s %q, the observer shows %q", f.what, f.says, f.shown)
		}
	}
	return st, nil
}

// show prints on standard error what is signed and what speaks for and against it.
func (p *program) show(c *wire.Closing, st chain.Statement) {
	w := p.stderr
	if st.Rehearsal {
		fmt.Fprintln(w, "REHEARSAL: this run was in virtual time.")
	}
	fmt.Fprintln(w, "The statement:")
	for line := range strings.Lines(c.Statement) {
		fmt.Fprintf(w, "  %s\n", safetext.Clean(strings.TrimSuffix(line, "\n")))
	}
	fmt.Fprintln(w, "Conditions of the exit:")
	for _, e := range c.Exit {
		word := "met    "
		if !e.Met {
			word = "NOT MET"
		}
		fmt.Fprintf(w, "  %s  %s: %s\n", word, safetext.Clean(e.Title), safetext.Clean(e.Text))
	}
}

// signedBefore refuses a second signature with one key: one person is not two.
func signedBefore(c *wire.Closing, signer string) error {
	if !strings.HasPrefix(c.Note, c.Statement+"\n") {
		return errors.New("not signed: the signatures so far are under another statement")
	}
	_, err := chain.AddSignature([]byte(c.Note), signer)
	if errors.Is(err, chain.ErrSameKey) {
		return fmt.Errorf("not signed again: %w; the other lead signs with another key", err)
	}
	if err != nil {
		return fmt.Errorf("not signed: the signatures so far: %w", err)
	}
	return nil
}

// ask puts a question whose answer is no unless somebody writes yes.
func ask(ctx context.Context, r io.Reader, w io.Writer, question string) (bool, error) {
	fmt.Fprintf(w, "%s [y/N] ", safetext.Clean(question))
	line, err := untilInterrupted(ctx, func() (string, error) {
		line, err := bufio.NewReader(io.LimitReader(r, 256)).ReadString('\n')
		if errors.Is(err, io.EOF) { // no answer is no
			return "", nil
		}
		return line, err
	})
	if err != nil {
		fmt.Fprintln(w)
		return false, err
	}
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes", nil
}
