package chain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The first line of a statement, which no other text that is signed begins with, and
// the line before it when nothing was deployed.
const (
	statementLine = "statement: spark hypercare closing 1"
	rehearsalLine = "rehearsal: yes"
)

const maxValue = 256 // bytes of a value of a statement

// Statement is what the Operations Lead and the Development Lead sign when hypercare
// ends: not "it went well" but which plan, which run, which records and which
// verdicts they mean. It is frozen: a record that is appended afterwards moves the
// head of the chain away from it.
type Statement struct {
	Rehearsal bool   // of a run in virtual time: worth nothing
	Plan      string // digest of the plan
	Run       string // id of the run
	Version   string // of the service that was deployed
	Head      Head   // of the chain that is signed
	Verdicts  string // digest of the table of verdicts
	Waivers   string // digest of the list of waivers
	Decision  string // lower-case words joined by hyphens: pass, pass-with-waivers, fail, aborted
}

// lines returns the lines of a statement in their order.
func (s *Statement) lines() []struct{ key, value string } {
	return []struct{ key, value string }{
		{"plan", s.Plan},
		{"run", s.Run},
		{"version", s.Version},
		{"seq", strconv.FormatInt(s.Head.Seq, 10)},
		{"head", s.Head.Hash},
		{"verdicts", s.Verdicts},
		{"waivers", s.Waivers},
		{"decision", s.Decision},
	}
}

// Format returns the text to sign, lines of "key: value" in a fixed order. A
// rehearsal's begins with the line "rehearsal: yes". Digests and the head are 64
// hexadecimal digits, the sequence number is positive, and the run and version 1 to
// 256 bytes of printed characters without space at their ends; otherwise Format
// returns an error that names the field.
func (s Statement) Format() (string, error) {
	if s.Head.Seq < 1 {
		return "", fmt.Errorf("statement: seq: %d is not positive", s.Head.Seq)
	}
	var out strings.Builder
	if s.Rehearsal {
		out.WriteString(rehearsalLine + "\n")
	}
	out.WriteString(statementLine + "\n")
	for _, l := range s.lines() {
		var ok bool
		switch l.key {
		case "plan", "head", "verdicts", "waivers":
			ok = isHash(l.value)
		case "decision":
			ok = isWord(l.value)
		default:
			ok = l.value != "" && len(l.value) <= maxValue && printable(l.value) && strings.TrimSpace(l.value) == l.value
		}
		if !ok {
			return "", fmt.Errorf("statement: %s: %.80q is not allowed", l.key, l.value)
		}
		out.WriteString(l.key + ": " + l.value + "\n")
	}
	return out.String(), nil
}

// isWord reports whether s is lower-case letters in groups joined by hyphens.
func isWord(s string) bool {
	if len(s) > maxValue {
		return false
	}
	for group := range strings.SplitSeq(s, "-") {
		if group == "" || strings.Trim(group, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}

// ParseStatement reads the text of a statement. It accepts what
// [Statement.Format] writes and nothing else.
func ParseStatement(text string) (Statement, error) {
	var s Statement
	rest, rehearsal := strings.CutPrefix(text, rehearsalLine+"\n")
	s.Rehearsal = rehearsal
	rest, ok := strings.CutPrefix(rest, statementLine+"\n")
	if !ok {
		return Statement{}, errors.New("statement: no closing statement")
	}
	values := make(map[string]string)
	for _, l := range s.lines() {
		var line string
		if line, rest, ok = strings.Cut(rest, "\n"); ok {
			values[l.key], ok = strings.CutPrefix(line, l.key+": ")
		}
		if !ok {
			return Statement{}, fmt.Errorf("statement: no line %q in its place", l.key)
		}
	}
	seq, err := strconv.ParseInt(values["seq"], 10, 64)
	if err != nil {
		return Statement{}, errors.New("statement: seq: no number")
	}
	s.Plan, s.Run, s.Version, s.Head = values["plan"], values["run"], values["version"], Head{seq, values["head"]}
	s.Verdicts, s.Waivers, s.Decision = values["verdicts"], values["waivers"], values["decision"]
	again, err := s.Format()
	if err != nil {
		return Statement{}, err
	}
	if again != text {
		return Statement{}, errors.New("statement: not in its canonical form")
	}
	return s, nil
}
