package hypercare

import (
	"strconv"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// leastReason is the length of a reason that says something.
const leastReason = 20

func (s *Screen) startRun() {
	h := s.run()
	switch {
	case h.Run != nil && h.Run.State != wire.RunClosed:
		s.say(ui.Warn, "a run is under way: it ends with its exit")
		return
	case h.Missing || h.At.IsZero() || h.Plan.Err != "" || h.Plan.ID == "":
		s.say(ui.Warn, "there is no plan to start")
		return
	}
	version := ""
	if s.picture != nil {
		for _, i := range s.picture.Fleet.Instances {
			if version == "" && i.Version != "" {
				version = string(i.Version)
			}
		}
	}
	profile := newField("profile", "all-in-one, compose or kubernetes; empty: found out by the observer", 0, "")
	profile.check = oneOf("all-in-one", "compose", "kubernetes")
	s.form = &form{
		title:  "Start hypercare",
		about:  ui.Say("Plan %s: %s, %d checkpoints, %d checks, digest %s. T+0 is now.", h.Plan.ID, h.Plan.Title, h.Plan.Checkpoints, h.Plan.Checks, h.Plan.Digest),
		fields: []*field{newField("version", "of the service that is judged", 1, version), profile},
		done: func(texts []string) deed {
			return s.request(live.StartRun(wire.Start{Version: texts[0], Profile: texts[1]}),
				ui.Say("Start plan %s (digest %s) for version %s, with T+0 now?", h.Plan.ID, h.Plan.Digest, texts[0]))
		},
	}
}

func (s *Screen) waiveForm(c *live.Check) *form {
	expiry := newField("expires", "such as 4h or 90m, or next for the next checkpoint", 1, "")
	expiry.check = func(text string) safetext.Text {
		_, why := s.expiry(text)
		return why
	}
	return &form{
		title: ui.Say("Waive %s", c.ID),
		about: ui.Say("%s %s: %s", c.Verdict.Word(), c.Text, c.Sentence),
		fields: []*field{
			newField("reason", ui.Say("at least %d characters: it stands in the report", leastReason), leastReason, ""),
			newField("role", "in which you waive, such as operations-lead", 1, string(c.Role)),
			expiry,
		},
		done: func(texts []string) deed {
			until, _ := s.expiry(texts[2])
			act := wire.CheckAct{Reason: texts[0], Role: texts[1], Expires: until.UnixMilli()}
			return s.request(live.ActOnCheck(c.ID, wire.VerbWaive, act),
				ui.Say("Waive %s, which is %s, until %s as %s? The check blocks nothing until then.", c.ID, c.Verdict.Word(), s.when(until), texts[1]))
		},
	}
}

// expiry reads "4h", "90m", or "next", by the run's clock, and says what is wrong.
func (s *Screen) expiry(text string) (until time.Time, why safetext.Text) {
	h := s.run()
	text = strings.TrimSpace(text)
	if strings.HasPrefix("next checkpoint", text) && len(text) >= 4 {
		if i := s.place() + 1; h.Run != nil && i > 0 && i < len(h.Run.Checkpoints) {
			until = h.Run.Checkpoints[i].OpensAt
		} else if h.Run != nil {
			until = h.Run.EndsAt
		}
	} else {
		d, err := time.ParseDuration(text)
		if err != nil {
			return until, ui.Say("%s: a duration such as 4h or 90m, or next", text)
		}
		until = h.Now.Add(d)
	}
	if !until.After(h.Now) {
		return until, ui.Say("%s lies in the past", s.at(until))
	}
	return until, ""
}

// decideForm is filled with the proposed decision that is chosen, or with one about
// the chosen check.
func (s *Screen) decideForm() *form {
	var d live.Decision
	list := proposedFirst(s.run().Run)
	if s.view == decisions && len(list) > 0 {
		if at := list[index(list, s.decision, func(d live.Decision) safetext.Text { return d.ID })]; at.Proposed {
			d = at
		}
	} else if c, _ := s.chosen(); c != nil {
		for _, p := range list {
			if p.Proposed && p.Check == c.ID {
				d = p
			}
		}
	}
	about := safetext.Text("A decision is recorded with what was measured, and reviewed when you say. It changes nothing by itself.")
	if d.ID != "" {
		about = ui.Say("Proposed by %s: %s %s", d.Check, d.Why, d.Figures)
	}
	review := newField("review at", "such as 4h; empty: at the next checkpoint", 0, "")
	review.check = func(text string) safetext.Text {
		_, why := s.expiry(text)
		return why
	}
	return &form{
		title: "Tuning decision", about: about,
		fields: []*field{
			newField("parameter", "such as ALERT_COOLDOWN_SEC", 1, string(d.Parameter)), newField("from", "its present value", 1, string(d.From)),
			newField("to", "its new value", 1, string(d.To)), newField("why", "what was seen, and what should become better", 1, string(d.Why)), review,
		},
		done: func(texts []string) deed {
			act := wire.DecisionAct{ID: string(d.ID), Parameter: texts[0], From: texts[1], To: texts[2], Why: texts[3]}
			if texts[4] == "" {
				texts[4] = "next"
			}
			if at, why := s.expiry(texts[4]); why == "" {
				act.ReviewAt = at.UnixMilli()
			}
			return s.request(live.Decide(act), "")
		},
	}
}

func (s *Screen) incidentForm() *form {
	level := newField("level", "1 warning, 2 critical, 3 emergency", 1, "1")
	level.check = oneOf("1", "2", "3")
	return &form{
		title: "Open an incident", about: "Level 2 pages the development team, level 3 is an emergency. An open incident of level 2 or 3 blocks the exit.",
		fields: []*field{newField("title", "what is wrong, in a sentence", 5, ""), level, s.checkField(0)},
		done: func(texts []string) deed {
			n, _ := strconv.Atoi(texts[1])
			act := wire.IncidentAct{Level: n, Title: texts[0]}
			if texts[2] != "" {
				act.Checks = []string{texts[2]}
			}
			return s.request(live.OpenIncident(act), "")
		},
	}
}

func (s *Screen) issueForm() *form {
	minor := newField("minor", "yes or no: fewer than two issues may be reported, minor ones only", 1, "yes")
	minor.check = oneOf("yes", "no")
	return &form{
		title: "An issue that a user reported", about: "Success means fewer than two, and none that is not minor.",
		fields: []*field{newField("issue", "what the user said", 5, ""), minor},
		done: func(texts []string) deed {
			return s.request(live.ReportIssue(wire.IssueAct{Text: texts[0], Minor: texts[1] == "yes"}), "")
		},
	}
}

// signCheckpoint asks for a role's word under the chosen checkpoint.
func (s *Screen) signCheckpoint() {
	_, cp := s.chosen()
	if cp == nil {
		return
	}
	missing := unsigned(cp)
	if len(missing) == 0 {
		s.say(ui.Warn, ui.Say("%s waits for nobody's word", cp.ID))
		return
	}
	decision := newField("decision", "close or no-go", 1, "close")
	decision.check = oneOf("close", "no-go")
	s.form = &form{
		title: ui.Say("Sign off %s", cp.ID), about: ui.Say("%s %s: %s", cp.Verdict.Word(), cp.Title, cp.Counts.Words()),
		fields: []*field{newField("role", "in which you sign", 1, string(missing[0])), decision, newField("comment", "may be empty", 0, "")},
		done: func(texts []string) deed {
			act := wire.SignAct{Role: texts[0], Decision: texts[1], Comment: texts[2], Checkpoint: string(cp.ID)}
			return s.request(live.Sign(act), ui.Say("Sign %s as %s: %s, with %s?", cp.ID, texts[0], texts[1], cp.Counts.Words()))
		},
	}
}
