package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe"
)

func (p *program) journalCommand() *cobra.Command {
	c := &cobra.Command{Use: "journal", Short: "Verify, read and report from the journal of a hypercare run", Args: noArgs,
		Long: `The journal is the truth of a run: a file of lines, each chained to the one before by
its hash. These commands need nothing but that file, on any machine, and never write
to it.

  spark-daemon journal verify journal.jsonl
  spark-daemon journal verify journal.jsonl --key alice+… --key bob+…
  spark-daemon journal show journal.jsonl --since 120
  spark-daemon journal report journal.jsonl --format html > report.html

The observer keeps it in SPARK_DATA_DIR/observer.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(p.journalVerifyCommand(), p.journalShowCommand(), p.journalReportCommand())
	return c
}

// journalFile opens the only argument; "-" is standard input.
func journalFile(cmd *cobra.Command, args []string) (io.ReadCloser, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("%w: %s takes one file, or -", errUsage, cmd.CommandPath())
	}
	if args[0] == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errUsage, err)
	}
	return f, nil
}

// verified is what a journal was found to be.
type verified struct {
	OK        bool     `json:"ok"`
	Seq       int64    `json:"seq"` // of the newest sound record
	Head      string   `json:"head"`
	Run       string   `json:"run,omitempty"`
	Rehearsal bool     `json:"rehearsal,omitempty"`
	Outcome   string   `json:"outcome,omitempty"` // of a closed run
	SignedBy  []string `json:"signedBy,omitempty"`
	SignedSeq int64    `json:"signedSeq,omitempty"` // the record that the signatures stand over
	Error     string   `json:"error,omitempty"`     // names the first bad record
}

func (p *program) journalVerifyCommand() *cobra.Command {
	var keys []string
	var known chain.Head
	var asJSON bool
	c := &cobra.Command{Use: "verify FILE", Short: "Verify the chain of a journal and the signatures under it",
		Long: `Reads every record and names the first one that was changed, taken out, repeated or
moved. With keys, the closing statement must be signed by each of them, over the
very records of this file.

A chain alone cannot tell that its end was cut off, or that all of it was written
anew. Give what you noted elsewhere, from a notification or the printed report:

  spark-daemon journal verify journal.jsonl --seq 412 --head 9f2c…
  spark-daemon journal verify journal.jsonl --key alice+d3e2…+Aa3r… --key bob+b13c…+AQGv…

A file that ends in half a line is what a crash leaves. Everything before it is
sound, nobody was told that the rest is safe; it is said, and counts as a failure.

Exit status: 0 sound (and signed by all keys), 1 not, 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (known.Hash == "") != (known.Seq == 0) {
				return fmt.Errorf("%w: --head and --seq go together", errUsage)
			}
			if err := chain.Distinct(keys...); err != nil && len(keys) > 0 {
				return fmt.Errorf("%w: --key: %v", errUsage, err)
			}
			f, err := journalFile(cmd, args)
			if err != nil {
				return err
			}
			defer f.Close()
			out, err := verify(f, known, keys)
			if out.OK = err == nil; err != nil {
				out.Error = err.Error()
			}
			return errors.Join(p.printVerified(out, asJSON), err)
		}}
	c.Flags().StringArrayVar(&keys, "key", nil, "verifier of a person who must have signed; may be given several times")
	c.Flags().StringVar(&known.Hash, "head", "", "hash that the record --seq had when you saw it")
	c.Flags().Int64Var(&known.Seq, "seq", 0, "number of that record")
	c.Flags().BoolVar(&asJSON, "json", false, "for machines")
	return c
}

// verify reads a journal once: the chain, the record that is known from elsewhere, the
// run, and the record that a signature names.
func verify(f io.Reader, known chain.Head, keys []string) (verified, error) {
	var out verified
	m := &plan.Machine{}
	hashes := []string{""} // by sequence number
	foreign := false
	for r, err := range chain.NewReader(f).All() {
		if err != nil {
			return out, err
		}
		out.Seq, out.Head = r.Seq, r.Hash
		hashes = append(hashes, r.Hash)
		if r.Seq == known.Seq && r.Hash != known.Hash {
			return out, fmt.Errorf("record %d has another hash than the one that is known: this is another journal, or it was written anew", r.Seq)
		}
		if foreign = foreign || m.Apply(r) != nil; foreign && len(keys) > 0 {
			return out, fmt.Errorf("record %d is no record of a run that this version can read", r.Seq)
		}
	}
	if out.Seq < known.Seq {
		return out, fmt.Errorf("record %d is missing: the journal ends at %d, so that its end was cut off", known.Seq, out.Seq)
	}
	s := m.State()
	if foreign || s.Plan == nil {
		if len(keys) > 0 {
			return out, errors.New("nothing is signed: no run was started")
		}
		return out, nil
	}
	out.Run, out.Rehearsal, out.Outcome = s.ID, s.Rehearsal, s.Outcome
	return out, signatures(&out, s, hashes, keys)
}

// signatures verifies the note under the closing statement with the keys that are
// given: those in the journal are the journal's own word.
func signatures(out *verified, s *plan.State, hashes, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	note := s.Note()
	if note == "" {
		return errors.New("nobody has signed the closing statement")
	}
	text, who, err := chain.OpenAll([]byte(note), keys...)
	if err != nil {
		return fmt.Errorf("the closing statement: %w", err)
	}
	st, err := chain.ParseStatement(text)
	if err != nil {
		return err
	}
	if st.Head.Seq >= int64(len(hashes)) || hashes[st.Head.Seq] != st.Head.Hash {
		return fmt.Errorf("the signatures stand over a record %d that is not in this journal", st.Head.Seq)
	}
	if st.Run != s.ID {
		return fmt.Errorf("the signatures are of run %s, not of %s", st.Run, s.ID)
	}
	out.SignedBy, out.SignedSeq = who, st.Head.Seq
	return nil
}

func (p *program) printVerified(v verified, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(p.stdout).Encode(v)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d records are sound, head %s\n", v.Seq, v.Head)
	if v.Run != "" {
		kind, end := "run", "not closed"
		if v.Rehearsal {
			kind = "REHEARSAL"
		}
		if v.Outcome != "" {
			end = "closed: " + v.Outcome
		}
		fmt.Fprintf(&b, "%s %s, %s\n", kind, safetext.Clean(v.Run), safetext.Clean(end))
	}
	if len(v.SignedBy) > 0 {
		fmt.Fprintf(&b, "signed by %s over record %d\n", strings.Join(v.SignedBy, " and "), v.SignedSeq)
	}
	_, err := io.WriteString(p.stdout, b.String())
	return err
}

func (p *program) journalShowCommand() *cobra.Command {
	var since, most int64
	var kind string
	var asJSON bool
	c := &cobra.Command{Use: "show FILE", Short: "Print the records of a journal, a line each",
		Long: `Prints number, time, who, kind and body of each record, and verifies the chain on the
way. --json prints what GET /api/audit answers for a record, one a line.

  spark-daemon journal show journal.jsonl --since 400
  spark-daemon journal show journal.jsonl --kind verdict --json | jq .body.check

Exit status: 0 printed, 1 the chain is broken (what stands before is printed), 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := journalFile(cmd, args)
			if err != nil {
				return err
			}
			defer f.Close()
			var n int64
			for r, err := range chain.NewReader(f).All() {
				if err != nil {
					return err
				}
				if r.Seq <= since || kind != "" && r.Kind != kind {
					continue
				}
				if n++; most > 0 && n > most {
					return nil
				}
				if err := p.printRecord(r, asJSON); err != nil {
					return err
				}
			}
			return nil
		}}
	c.Flags().Int64Var(&since, "since", 0, "only records after this number")
	c.Flags().Int64Var(&most, "limit", 0, "at most so many; 0 means all")
	c.Flags().StringVar(&kind, "kind", "", "only records of this kind, such as verdict, tick or incident")
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON object a line")
	return c
}

// shownBody is how much of a body a line shows.
const shownBody = 160

func (p *program) printRecord(r chain.Record, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetEscapeHTML(false)
		return enc.Encode(wire.JournalRecord{Seq: r.Seq, At: r.At, Who: r.Who, Role: r.Role, Kind: r.Kind, Body: r.Body, Hash: r.Hash})
	}
	who := r.Who
	if who == "" {
		who = "machine"
	}
	if r.Role != "" {
		who += "/" + r.Role
	}
	body := []rune(string(safetext.Clean(string(r.Body))))
	if len(body) > shownBody {
		body = append(body[:shownBody], '…')
	}
	_, err := fmt.Fprintf(p.stdout, "%6d  %s  %-16s  %-18s  %s\n", r.Seq, time.UnixMilli(r.At).UTC().Format("2006-01-02 15:04:05"), safetext.Clean(who), safetext.Clean(r.Kind), string(body))
	return err
}

func (p *program) journalReportCommand() *cobra.Command {
	var format, out string
	var seq int64
	c := &cobra.Command{Use: "report FILE", Short: "Write the report of a run, from its journal alone",
		Long: `The same records give the same bytes as the observer's report, today and in ten years.

  spark-daemon journal report journal.jsonl > report.md
  spark-daemon journal report journal.jsonl --format html --out report.html
  spark-daemon journal report journal.jsonl --seq 120        as it was then

Exit status: 0 written, 1 the journal is broken or has no run, 2 misused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := reportFormat(format, out)
			if err != nil {
				return err
			}
			if seq < 0 {
				return fmt.Errorf("%w: --seq %d is negative", errUsage, seq)
			}
			f, err := journalFile(cmd, args)
			if err != nil {
				return err
			}
			defer f.Close()
			text, err := reportOf(f, format, seq)
			if err != nil {
				return err
			}
			return writeWhole(out, p.stdout, func(w io.Writer) error {
				_, err := w.Write(text)
				return err
			})
		}}
	c.Flags().StringVar(&format, "format", "", "md, html or json; by default as the name of --out ends, else md")
	c.Flags().StringVar(&out, "out", "-", "file to write; - is standard output")
	c.Flags().Int64Var(&seq, "seq", 0, "as it was at this record; 0 means the newest")
	return c
}

// reportOf writes the report of a journal as it was at a record, the newest for 0.
func reportOf(f io.Reader, format string, seq int64) ([]byte, error) {
	r := chain.NewReader(f)
	last := seq
	if last == 0 {
		last = 1<<63 - 1
	}
	text, err := observe.ReportAt(r.All(), format, last)
	if err == nil && seq > r.Head().Seq {
		return nil, fmt.Errorf("%w: there is no record %d: the newest is %d", errUsage, seq, r.Head().Seq)
	}
	return text, err
}
