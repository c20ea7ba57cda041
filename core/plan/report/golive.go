package report

import (
	"fmt"
	"strings"

	"github.com/spark-ta/spark/core/plan"
)

// goLive is the kind of a plan that ends in a go or a no-go.
const goLive = "go-live-plan"

// goNoGo is what a go-live plan came to.
type goNoGo struct {
	required, optional []*plan.CheckState
	broken, waiting    []string // required checks
	open               int      // optional checks that did not pass
	against            []string // who decided no-go
}

func (m *material) goNoGo() goNoGo {
	var g goNoGo
	for _, c := range m.s.Checkpoints {
		for _, k := range c.States {
			if k.Verdict == plan.NotApplicable {
				continue
			}
			if !k.Key {
				g.optional = append(g.optional, k)
				if k.Verdict != plan.Pass && k.Verdict != plan.Waived {
					g.open++
				}
				continue
			}
			g.required = append(g.required, k)
			switch k.Verdict {
			case plan.Fail, plan.NoData:
				g.broken = append(g.broken, k.ID+" is "+k.Verdict.String())
			case plan.Pending:
				g.waiting = append(g.waiting, k.ID)
			}
		}
	}
	for _, o := range m.s.SignOffs {
		if o.Decision == plan.DecisionNoGo && !o.Stale {
			g.against = append(g.against, person(o.Who, o.Role))
		}
	}
	return g
}

func (g *goNoGo) goes() bool {
	return len(g.broken)+len(g.waiting)+len(g.against) == 0 && len(g.required) > 0
}

// sentence is the result in words.
func (g goNoGo) sentence() string {
	var why []string
	if len(g.against) > 0 {
		why = append(why, "no-go by "+strings.Join(g.against, " and "))
	}
	if len(g.broken) > 0 {
		why = append(why, strings.Join(g.broken, ", "))
	}
	if len(g.waiting) > 0 {
		why = append(why, "not judged yet: "+strings.Join(g.waiting, ", "))
	}
	if len(g.required) == 0 {
		why = append(why, "the plan requires nothing, so nothing was shown")
	}
	if len(why) > 0 {
		return "NO-GO: " + strings.Join(why, "; ") + "."
	}
	text := fmt.Sprintf("GO: all %d required rows are good.", len(g.required))
	if len(g.required) == 1 {
		text = "GO: the one required row is good."
	}
	switch {
	case g.open == 1:
		text += " 1 optional row is open."
	case g.open > 1:
		text += fmt.Sprintf(" %d optional rows are open.", g.open)
	}
	return text
}

func (m *material) gates(s *section) {
	g := m.goNoGo()
	word, rest, _ := strings.Cut(g.sentence(), ": ")
	s.say(span{Text: word, Tone: map[bool]string{true: "pass", false: "fail"}[g.goes()], Bold: true}, plain(": "+rest))
	t := s.table("Row", "Required", "Verdict", "Found")
	for _, rows := range []struct {
		checks   []*plan.CheckState
		required string
	}{{g.required, "required"}, {g.optional, "optional"}} {
		for _, k := range rows.checks {
			t.row(append(sentence(k.Text), plain(" "), code(k.ID)), words(rows.required), in(verdict(k.Verdict.String())), words(k.Finding.Sentence))
		}
	}
}
