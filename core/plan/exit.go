package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/chain"
)

// The decisions of a sign-off.
const (
	DecisionClose = "close" // hypercare ends
	DecisionNoGo  = "no-go" // it does not
)

// Criterion is one condition of the exit.
type Criterion struct {
	Title string
	Met   bool
	Text  string
}

// Criteria lists the conditions of the exit. Signatures are the last one.
func (s *State) Criteria(now time.Time) []Criterion {
	if s.Plan == nil {
		return nil
	}
	out := []Criterion{s.enoughTime(now), s.allClosed(), s.keyChecks(), s.waivers(), s.incidents(), s.objectives(), s.userIssues()}
	return append(out, s.signatures())
}

func (s *State) enoughTime(now time.Time) Criterion {
	c := Criterion{Title: FormatDuration(s.Plan.End()) + " since T0"}
	left := s.End().Sub(now)
	c.Met, c.Text = left <= 0, "over"
	if !c.Met {
		c.Text = FormatDuration(left.Round(time.Second)) + " left"
	}
	return c
}

func (s *State) allClosed() Criterion {
	c := Criterion{Title: "every checkpoint closed", Met: true}
	var open []string
	for _, p := range s.Checkpoints {
		if p.ClosedAt.IsZero() {
			open = append(open, p.ID)
		}
	}
	if c.Met = len(open) == 0; !c.Met {
		c.Text = joined(open) + " not closed"
	} else {
		c.Text = fmt.Sprintf("all %d", len(s.Checkpoints))
	}
	return c
}

func (s *State) keyChecks() Criterion {
	c := Criterion{Title: "no key check failing or unknown"}
	var bad []string
	n := 0
	for _, p := range s.Checkpoints {
		for _, k := range p.States {
			if !k.Key || k.Verdict == NotApplicable {
				continue
			}
			n++
			if k.Verdict == Fail || k.Verdict == NoData || k.Verdict == Pending {
				bad = append(bad, k.ID+" is "+k.Verdict.String())
			}
		}
	}
	if c.Met = len(bad) == 0; c.Met {
		c.Text = plural(n, "key check")
		return c
	}
	if len(bad) > 5 {
		bad = append(bad[:4], fmt.Sprintf("%d more", len(bad)-4))
	}
	c.Text = joined(bad)
	return c
}

func (s *State) waivers() Criterion {
	n := s.OpenWaivers()
	return Criterion{"waivers within the limit", n <= s.Plan.Exit.OpenWaivers, fmt.Sprintf("%d open, at most %d", n, s.Plan.Exit.OpenWaivers)}
}

func (s *State) incidents() Criterion {
	open, critical := 0, 0
	for _, i := range s.Incidents {
		if i.Level >= 2 {
			critical++
			if i.Open() {
				open++
			}
		}
	}
	return Criterion{"no open incident of level 2 or 3", open == 0, fmt.Sprintf("%d open, %d in all", open, critical)}
}

// objectives are met when the check of each SLO passed and its budget is not spent.
func (s *State) objectives() Criterion {
	c := Criterion{Title: "all SLOs met, budgets left", Met: true}
	var parts []string
	for _, o := range s.SLOs {
		k := o.Check
		ok := k.Verdict == Pass || k.Verdict == Waived
		text := k.ID + " " + k.Verdict.String()
		if o.Budget != nil {
			text += fmt.Sprintf(" (%s of its budget used)", FormatNumber(math.Round(o.Budget.Used*1000)/1000, UnitShare))
			ok = ok && (o.Budget.Used <= 1 || k.Verdict == Waived)
		}
		c.Met = c.Met && ok
		parts = append(parts, text)
	}
	c.Text = joined(parts)
	if len(parts) == 0 {
		c.Text = "the plan has none"
	}
	return c
}

func (s *State) userIssues() Criterion {
	major := 0
	for _, i := range s.Issues {
		if !i.Minor {
			major++
		}
	}
	return Criterion{
		fmt.Sprintf("fewer than %d user-reported issues, minor only", s.Plan.Exit.UserIssues),
		len(s.Issues) < s.Plan.Exit.UserIssues && major == 0, fmt.Sprintf("%d reported, %d not minor", len(s.Issues), major),
	}
}

func (s *State) signatures() Criterion {
	c := Criterion{Title: "signed by " + joined(s.Plan.SignOff) + ", with keys of their own"}
	var missing []string
	for _, role := range s.Plan.SignOff {
		if s.signed(role) == nil {
			missing = append(missing, role)
		}
	}
	if c.Met = len(missing) == 0; c.Met {
		c.Text = "all signed"
	} else {
		c.Text = joined(missing) + " has not signed"
		if len(missing) > 1 {
			c.Text = joined(missing) + " have not signed"
		}
	}
	return c
}

// signed returns the sign-off of a role that still stands, or nil. A no-go takes one's
// own close back.
func (s *State) signed(role string) *SignOff {
	for _, o := range slices.Backward(s.SignOffs) {
		if o.Checkpoint == "" && o.Role == role && !o.Stale {
			if o.Decision != DecisionClose {
				return nil
			}
			return o
		}
	}
	return nil
}

// Ready reports whether nothing but signatures is missing.
func (s *State) Ready(now time.Time) bool {
	all := s.Criteria(now)
	return len(all) > 0 && !slices.ContainsFunc(all[:len(all)-1], func(c Criterion) bool { return !c.Met })
}

// Statement is the closing statement, frozen at the newest record that a signature
// must have seen.
func (s *State) Statement() (chain.Statement, error) {
	if s.Plan == nil || s.Frozen.Seq == 0 {
		return chain.Statement{}, refuse(ErrConflict, "", "no run has been started")
	}
	return chain.Statement{
		Rehearsal: s.Rehearsal, Plan: s.Plan.Digest, Run: s.ID, Version: s.Version, Head: s.Frozen,
		Verdicts: s.verdictDigest(), Waivers: s.waiverDigest(), Decision: s.outcome(),
	}, nil
}

// outcome is what the closing statement says of the run.
func (s *State) outcome() string {
	var c, key Counts
	for _, p := range s.Checkpoints {
		for _, k := range p.States {
			c[k.Verdict]++
			if k.Key {
				key[k.Verdict]++
			}
		}
	}
	switch {
	case key[Fail]+key[NoData]+c[Pending] > 0:
		return "fail"
	case c[Waived] > 0:
		return "pass-with-waivers"
	case c[Fail]+c[NoData] > 0: // of checks that are not key, which do not block
		return "pass-with-remarks"
	}
	return "pass"
}

func (s *State) verdictDigest() string {
	h := sha256.New()
	for _, p := range s.Checkpoints {
		for _, k := range p.States {
			fmt.Fprintf(h, "%s\t%s\t%s\t%t\n", p.ID, k.ID, k.Verdict, k.Recovered)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s *State) waiverDigest() string {
	h := sha256.New()
	for _, p := range s.Checkpoints {
		for _, k := range p.States {
			if w := k.Waiver; w != nil {
				fmt.Fprintf(h, "%s\t%s\t%s\t%d\t%s\n", k.ID, w.Who, w.Role, ms(w.Expires), w.Text)
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Note returns the statement with the signatures that stand, or "".
func (s *State) Note() string {
	note := ""
	for _, role := range s.Plan.SignOff {
		if o := s.signed(role); o != nil {
			note = joinNotes(note, o.Signature)
		}
	}
	return note
}

// joinNotes brings the signatures under one text together.
func joinNotes(a, b string) string {
	if a == "" {
		return b
	}
	_, signature, ok := strings.Cut(b, "\n\n")
	if !ok {
		return a
	}
	return a + signature
}

// Sign gives a role's word: under the closing statement with a signature, under a
// checkpoint without.
type Sign struct {
	Checkpoint string
	Role       string
	Decision   string
	Comment    string
	Signature  string // a signed note whose text is the closing statement
}

func (a Sign) do(m *Machine, by Actor) (string, error) {
	if a.Decision != DecisionClose && a.Decision != DecisionNoGo {
		return "", refuse(ErrInvalid, "decision", "decision %q: there are %s and %s", clip(a.Decision), DecisionClose, DecisionNoGo)
	}
	if len(a.Comment) > maxText {
		return "", refuse(ErrInvalid, "comment", "longer than %d bytes", maxText)
	}
	if a.Checkpoint != "" {
		return a.checkpoint(m, by)
	}
	if !slices.Contains(m.s.Plan.SignOff, a.Role) {
		return "", refuse(ErrInvalid, "role", "role %q does not sign: %s do", clip(a.Role), joined(m.s.Plan.SignOff))
	}
	key, err := m.verify(a)
	if err != nil {
		return "", err
	}
	if a.Decision == DecisionClose && !m.s.Ready(m.now) {
		return "", refuse(ErrConflict, "", "cannot close: %s", m.s.unmet(m.now))
	}
	m.record(key.Name, a.Role, KindSignOff, &signBody{
		Role: a.Role, Key: key.Verifier, Decision: a.Decision, Comment: a.Comment, Signature: a.Signature, Seq: m.s.Frozen.Seq,
	})
	if a.Decision == DecisionClose && m.s.signatures().Met {
		m.record(observer, "", KindEnd, &endBody{m.s.outcome(), m.s.Note()})
		m.notify(0, "hypercare is closed", "signed by "+joined(m.s.Plan.SignOff))
	}
	return m.s.newestSignOff(), nil
}

func (s *State) newestSignOff() string { return fmt.Sprintf("s-%d", len(s.SignOffs)) }

func (a Sign) checkpoint(m *Machine, by Actor) (string, error) {
	c := m.checkpoint(a.Checkpoint)
	switch {
	case c == nil:
		return "", refuse(ErrNotFound, "checkpoint", "there is no checkpoint %q", clip(a.Checkpoint))
	case c.OpenedAt.IsZero():
		return "", refuse(ErrConflict, "", "%s opens at %s", c.ID, c.OpensAt.Format(time.RFC3339))
	case !slices.Contains(c.SignOff, a.Role):
		return "", refuse(ErrInvalid, "role", "role %q does not sign %s", clip(a.Role), c.ID)
	}
	m.record(by.Who, a.Role, KindSignOff, &signBody{Checkpoint: c.ID, Role: a.Role, Decision: a.Decision, Comment: a.Comment})
	return m.s.newestSignOff(), nil
}

// verify checks that the signature is under the present closing statement, by a key
// that may sign for the role and has not signed for another one.
func (m *Machine) verify(a Sign) (Key, error) {
	statement, err := m.s.Statement()
	if err != nil {
		return Key{}, err
	}
	if a.Decision == DecisionNoGo { // a no-go must not serve as a close
		statement.Decision = DecisionNoGo
	}
	want, err := statement.Format()
	if err != nil {
		return Key{}, refuse(ErrInvalid, "signature", "%v", err)
	}
	var mine []Key
	for _, k := range m.s.Keys {
		if slices.Contains(k.Roles, a.Role) {
			mine = append(mine, k)
		}
	}
	if len(mine) == 0 {
		return Key{}, refuse(ErrConflict, "role", "no operator key is enrolled for role %s", a.Role)
	}
	for _, k := range mine {
		text, _, err := chain.Open([]byte(a.Signature), k.Verifier)
		if err != nil {
			continue
		}
		if text != want {
			return Key{}, refuse(ErrConflict, "signature", "the signature is under another statement: something happened since; fetch the closing statement again")
		}
		return k, m.distinct(a.Role, k)
	}
	return Key{}, refuse(ErrInvalid, "signature", "no key of role %s has made this signature", a.Role)
}

func (m *Machine) distinct(role string, k Key) error {
	for _, other := range m.s.Plan.SignOff {
		if o := m.s.signed(other); o != nil && other != role {
			if err := chain.Distinct(o.Key, k.Verifier); errors.Is(err, chain.ErrSameKey) {
				return refuse(ErrConflict, "signature", "this key has already signed as %s; two people sign", other)
			} else if err != nil {
				return refuse(ErrInvalid, "signature", "%v", err)
			}
		}
	}
	return nil
}

// unmet lists the titles of the conditions that are not met, without the signatures.
func (s *State) unmet(now time.Time) string {
	var out []string
	all := s.Criteria(now)
	for _, c := range all[:len(all)-1] {
		if !c.Met {
			out = append(out, c.Title+" ("+c.Text+")")
		}
	}
	return joined(out)
}
