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

// Roles that sign the end of hypercare, and what they decide.
const (
	roleOperations  = "operations-lead"
	roleDevelopment = "development-lead"

	decideClose = "close"
	decideNoGo  = "no-go"
)

// signing are the flags of "sign".
type signing struct {
	role     string
	decision string
	comment  string
	key      string
	yes      bool
	json     bool
}

// signed is what "sign --json" prints.
type signed struct {
	OK        bool     `json:"ok"`
	Run       string   `json:"run"`
	Role      string   `json:"role"`
	Decision  string   `json:"decision"`
	Name      string   `json:"name"` // of the key
	Statement string   `json:"statement"`
	Signature string   `json:"signature"`
	State     string   `json:"state"` // of the run afterwards
	Missing   []string `json:"missing"`
}

func (p *program) signCommand() *cobra.Command {
	var s signing
	cmd := &cobra.Command{
		Use:   "sign",
		Short: "Sign the end of hypercare",
		Long: `Sign the end of hypercare with your key. Two people with two keys are needed: the
Operations Lead and the Development Lead, over the same statement.

It shows the statement and the conditions of the exit, makes sure that the statement
is one, of the run and the record that the observer shows, asks, and signs here: only
the signature is sent. "close" is not signed while a condition is not met. A "no-go"
is signed over the same statement with no-go for its decision, so that it can never be
taken for a consent.

Exit codes: 0 signed, 1 not signed, 2 misused, 3 the observer cannot be reached.`,
		Example: `  spark-tui sign --role operations-lead --decision close
  spark-tui sign --role development-lead --decision no-go --comment "memory still grows"
  spark-tui sign --role operations-lead --decision close --yes    without a terminal`,
		Args: p.noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.sign(cmd.Context(), s) },
	}
	f := cmd.Flags()
	f.StringVar(&s.role, "role", "", roleOperations+" or "+roleDevelopment)
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
	case s.role != roleOperations && s.role != roleDevelopment:
		return misuse("--role %q: %s or %s", s.role, roleOperations, roleDevelopment)
	case s.decision != decideClose && s.decision != decideNoGo:
		return misuse("--decision %q: %s or %s", s.decision, decideClose, decideNoGo)
	case !s.yes && !term.IsTerminal(p.stdin.Fd()):
		return misuse("standard input is no terminal: --yes signs without asking")
	}
	_, signer, verifier, err := p.readKey(s.key)
	if err != nil {
		return err
	}
	name, err := chain.KeyName(verifier)
	if err != nil {
		return err
	}
	o, err := p.observer()
	if err != nil {
		return err
	}
	text, run, err := p.statement(ctx, o, s, signer)
	if err != nil {
		return err
	}
	if !s.yes {
		yes, err := ask(ctx, p.stdin, p.stderr, fmt.Sprintf("Sign %q as %s, %s, for run %s?", s.decision, name, s.role, run))
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("not signed")
		}
	}
	note, err := chain.Sign(text, signer)
	if err != nil {
		return err
	}
	act := wire.SignAct{Role: s.role, Decision: s.decision, Comment: s.comment, Signature: string(note)}
	var a wire.HypercareAnswer
	if err := o.post(ctx, wire.PathSignOff, act, &a); err != nil {
		return err
	}
	out := signed{OK: true, Run: run, Role: s.role, Decision: s.decision, Name: name, Statement: text, Signature: string(note), Missing: []string{}}
	if a.Run != nil {
		out.State, out.Missing = a.Run.State, missing(a.Run)
	}
	if s.json {
		return p.printJSON(out)
	}
	fmt.Fprintf(p.stdout, "signed: %s, %s, by %s\n", s.decision, s.role, name)
	if a.Run != nil {
		fmt.Fprintf(p.stdout, "run %s is %s\n", safetext.Clean(a.Run.ID), safetext.Clean(a.Run.State))
		for _, role := range out.Missing {
			fmt.Fprintf(p.stdout, "missing: the signature of the %s\n", role)
		}
	}
	return nil
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
	if c.Note != "" {
		if err := signedBefore(&c, signer); err != nil {
			return "", "", err
		}
	}
	if s.decision == decideNoGo {
		st.Decision = decideNoGo
		text, err = st.Format()
		return text, st.Run, err
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

// missing returns the roles that have not signed the exit with "close", or whose
// signature is stale.
func missing(run *wire.HypercareRun) []string {
	out := []string{}
	for _, role := range []string{roleOperations, roleDevelopment} {
		if !slices.ContainsFunc(run.SignOffs, func(s wire.SignOff) bool {
			return s.Checkpoint == "" && s.Role == role && s.Decision == decideClose && !s.Stale
		}) {
			out = append(out, role)
		}
	}
	return out
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
