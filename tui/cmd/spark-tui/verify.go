package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/safetext"
)

// verifying are the flags of "verify".
type verifying struct {
	keys []string
	head string
	seq  int64
	json bool
}

// verified is what "verify --json" prints.
type verified struct {
	OK         bool        `json:"ok"`
	File       string      `json:"file"`
	Records    int64       `json:"records"` // that are sound
	Head       string      `json:"head"`    // of those
	BadRecord  int64       `json:"badRecord,omitempty"`
	Torn       bool        `json:"torn,omitempty"`
	Signatures []signature `json:"signatures"`
	Problems   []string    `json:"problems"`
}

// signature is a signed note in a journal.
type signature struct {
	Record    int64    `json:"record"` // it stands in
	Role      string   `json:"role"`   // as the journal says
	Decision  string   `json:"decision"`
	Seq       int64    `json:"seq"` // record up to which it was signed
	Run       string   `json:"run"`
	Rehearsal bool     `json:"rehearsal,omitempty"`
	SignedBy  []string `json:"signedBy"` // of the keys that were given
	Error     string   `json:"error,omitempty"`

	statement string
}

func (p *program) verifyCommand() *cobra.Command {
	var v verifying
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a journal file, without a daemon",
		Long: `Verify a journal file, without a daemon: that no record was changed, taken out, added
or moved. The first bad one is named. "-" reads standard input.

With --head also that the file holds the record of that hash, from a report or a
signature: a chain alone cannot tell that its end was cut off or that all of it was
written anew. With --key every closing signature is checked, and each of the keys must
have signed the same statement last.

Exit codes: 0 sound, 1 not sound (it says where and why), 2 misused.`,
		Example: `  spark-tui verify journal.jsonl
  spark-tui verify journal.jsonl --key "$(cat ada.pub)" --key "$(cat grace.pub)"
  spark-tui verify journal.jsonl --head 9f2c… --seq 341`,
		Args: p.oneArgument("journal file"),
		RunE: func(cmd *cobra.Command, args []string) error { return p.verify(cmd.Context(), args[0], v) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&v.keys, "key", nil, "public key that must have signed; may be given again")
	f.StringVar(&v.head, "head", "", "hash of a record that the file must hold")
	f.Int64Var(&v.seq, "seq", 0, "number of the record of --head")
	jsonFlag(cmd, &v.json)
	return cmd
}

func (p *program) verify(ctx context.Context, name string, v verifying) error {
	v.head = strings.ToLower(v.head)
	switch {
	case v.head != "" && (len(v.head) != 64 || strings.Trim(v.head, "0123456789abcdef") != ""):
		return misuse("--head: 64 hexadecimal digits")
	case v.seq < 0 || v.seq > 0 && v.head == "":
		return misuse("--seq is the number of the record of --head, from 1")
	}
	for i, k := range v.keys {
		v.keys[i] = strings.TrimSpace(k)
	}
	if err := chain.Distinct(v.keys...); err != nil {
		return misuse("--key: %v", err)
	}
	file := p.stdin
	if name != "-" {
		var err error
		if file, err = os.Open(name); err != nil {
			return err
		}
		defer file.Close()
	}
	r, err := untilInterrupted(ctx, func() (*verified, error) { return inspectJournal(file, v) })
	var e exit
	if errors.As(err, &e) {
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.File = name
	if v.json {
		if err := p.printJSON(r); err != nil {
			return err
		}
	} else {
		r.print(p.stdout, p.stderr)
	}
	if !r.OK {
		return exit{code: exitFailed}
	}
	return nil
}

// inspectJournal reads a journal to its end. Its error is one of reading; what is
// wrong with the journal is in the answer.
func inspectJournal(f io.Reader, v verifying) (*verified, error) {
	out := &verified{Signatures: []signature{}, Problems: []string{}}
	var hashes []string // of the records, from 1
	found := v.head == ""
	in := chain.NewReader(f)
	for rec, err := range in.All() {
		var broken *chain.Broken
		if errors.As(err, &broken) {
			out.BadRecord, out.Torn = broken.Seq, broken.Torn
			out.Problems = append(out.Problems, broken.Error())
			break
		}
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, rec.Hash)
		found = found || rec.Hash == v.head && (v.seq == 0 || rec.Seq == v.seq)
		if s, ok := closingSignature(&rec, v.keys, hashes); ok {
			out.Signatures = append(out.Signatures, s)
			if s.Error != "" {
				out.Problems = append(out.Problems, fmt.Sprintf("record %d: signature: %s", s.Record, s.Error))
			}
		}
	}
	out.Records, out.Head = in.Head().Seq, in.Head().Hash
	if !found {
		out.Problems = append(out.Problems, v.notFound())
	}
	out.Problems = append(out.Problems, unanimous(out.Signatures, v.keys)...)
	out.OK = len(out.Problems) == 0
	return out, nil
}

func (v verifying) notFound() string {
	if v.seq > 0 {
		return fmt.Sprintf("no sound record %d with the hash %s: it was changed, or the end was cut off", v.seq, v.head)
	}
	return fmt.Sprintf("no sound record with the hash %s: it was changed, or the end was cut off", v.head)
}

// closingSignature returns the signature in a record, if there is one: a body with a
// decision and a signed note, whatever the kind of the record.
func closingSignature(rec *chain.Record, keys, hashes []string) (signature, bool) {
	var body struct {
		Role      string `json:"role"`
		Decision  string `json:"decision"`
		Signature string `json:"signature"`
		// A role's word under a checkpoint is under no closing statement.
		Checkpoint string `json:"checkpoint"`
	}
	if json.Unmarshal(rec.Body, &body) != nil || body.Signature == "" || body.Decision == "" || body.Checkpoint != "" {
		return signature{}, false
	}
	s := signature{Record: rec.Seq, Role: body.Role, Decision: body.Decision, SignedBy: []string{}}
	text, _, _ := strings.Cut(body.Signature, "\n\n")
	s.statement = text + "\n"
	st, err := chain.ParseStatement(s.statement)
	if err != nil {
		s.Error = err.Error()
		return s, true
	}
	s.Seq, s.Run, s.Rehearsal = st.Head.Seq, st.Run, st.Rehearsal
	switch {
	case st.Head.Seq >= rec.Seq || hashes[st.Head.Seq-1] != st.Head.Hash:
		s.Error = fmt.Sprintf("its statement is of a head that this journal never had (record %d)", st.Head.Seq)
	case st.Decision == decideNoGo && body.Decision != decideNoGo:
		s.Error = fmt.Sprintf("the journal says %q, the statement %q", body.Decision, st.Decision)
	}
	if len(keys) == 0 || s.Error != "" {
		return s, true
	}
	opened, who, err := chain.Open([]byte(body.Signature), keys...)
	switch {
	case errors.Is(err, chain.ErrUnsigned): // by somebody whose key was not given
	case err != nil:
		s.Error = err.Error()
	case opened != s.statement:
		s.Error = "the text that is signed is not the statement"
	default:
		s.SignedBy = who
	}
	return s, true
}

// unanimous says which of the keys has not signed, or whose last signature is not
// under the same statement as that of the first, or for another decision.
func unanimous(signatures []signature, keys []string) []string {
	var out []string
	statement, decision, first := "", "", ""
	for _, key := range keys {
		name, err := chain.KeyName(key)
		if err != nil {
			return []string{err.Error()}
		}
		i := -1
		for j, s := range signatures {
			if s.Error == "" && slices.Contains(s.SignedBy, name) {
				i = j
			}
		}
		switch {
		case i < 0:
			out = append(out, "no signature of "+name)
		case first == "":
			statement, decision, first = signatures[i].statement, signatures[i].Decision, name
		case signatures[i].statement != statement || signatures[i].Decision != decision:
			out = append(out, fmt.Sprintf("%s and %s have signed different statements or decisions", first, name))
		}
	}
	return out
}

// print writes what is sound to w, what is not to notes.
func (r *verified) print(w, notes io.Writer) {
	word := "sound"
	if !r.OK {
		word = "NOT SOUND"
	}
	head := r.Head
	if head == "" {
		head = "none"
	}
	fmt.Fprintf(w, "%s: %s, %d sound records, head %s\n", word, safetext.Clean(r.File), r.Records, head)
	for _, s := range r.Signatures {
		who := strings.Join(s.SignedBy, ", ")
		switch {
		case s.Error != "":
			who = "NOBODY"
		case who == "":
			who = "somebody whose key was not given"
		}
		mark := ""
		if s.Rehearsal {
			mark = "REHEARSAL, "
		}
		fmt.Fprintf(w, "record %d: %s as %s, %srun %s up to record %d, signed by %s\n",
			s.Record, safetext.Clean(s.Decision), safetext.Clean(s.Role), mark, safetext.Clean(s.Run), s.Seq, safetext.Clean(who))
	}
	for _, problem := range r.Problems {
		fmt.Fprintf(notes, "spark-tui: %s\n", safetext.Clean(problem))
	}
}
