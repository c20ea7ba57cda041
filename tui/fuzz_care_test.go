package tui

import (
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/livetest"
)

// id is one of few, so that what belongs together is found.
func (s *script) id() safetext.Text {
	ids := []safetext.Text{"", "log.fatal", "T+15m", "i1", "a/b c", "\u202eevil"}
	return ids[s.below(len(ids))]
}

func (s *script) counts() (n live.Counts) {
	for i := range n {
		n[i] = int(s.figure())
	}
	return n
}

func (s *script) verdict() live.Verdict { return live.Verdict(s.below(9)) }

func (s *script) note() live.Note {
	return live.Note{At: s.moment(), Who: s.text(), Role: s.text(), Text: s.text()}
}

func (s *script) state() string {
	return []string{
		wire.CheckpointFuture, wire.CheckpointOpen, wire.CheckpointNeedsPeople, wire.CheckpointNeedsSignOff, wire.CheckpointBlocked, wire.CheckpointClosed, "new\x1b[2J",
	}[s.below(7)]
}

// care is any run, or none.
func (s *script) care() live.Hypercare {
	h := live.Hypercare{
		Rev: uint64(s.byte()), At: s.moment(), Now: s.moment(), Missing: s.below(8) == 1, Err: s.text(), Plan: live.Plan{ID: s.id(), Title: s.text(), Digest: s.text(), Err: s.text()},
		Observer: live.Observer{Targets: s.byte(), Up: s.byte(), Error: s.text()},
	}
	if s.below(4) == 0 {
		return h
	}
	r := &live.Run{
		Title: s.text(), PlanID: s.text(), Version: s.text(), Profile: s.text(), Rehearsal: s.below(2) == 0, State: wire.RunRunning, T0: s.moment(), EndsAt: s.moment(),
		ClosedAt: s.moment(), Verdict: s.verdict(), Counts: s.counts(),
	}
	for range s.below(9) {
		cp := live.Checkpoint{
			ID: s.id(), Title: s.text(), OpensAt: s.moment(), DueAt: s.moment(), State: s.state(), Late: s.below(2) == 0, Overdue: s.below(4), ClosedAt: s.moment(),
			Verdict: s.verdict(), Counts: s.counts(), SignOff: []safetext.Text{s.text()}, Signed: []safetext.Text{s.text()},
		}
		for range s.below(3) {
			sec := live.Section{Title: s.text(), Commands: []safetext.Text{s.text(), s.text()}}
			for range s.below(6) {
				sec.Checks = append(sec.Checks, s.check())
			}
			cp.Sections = append(cp.Sections, sec)
		}
		r.Checkpoints = append(r.Checkpoints, cp)
	}
	for range s.below(4) {
		r.SLOs = append(r.SLOs, live.SLO{
			ID: s.id(), Title: s.text(), Show: s.text(), Target: s.figure(), Value: s.figure(), Events: s.figure(), Used: s.figure(), Forecast: s.figure(), Coverage: s.figure(),
			AllowedTo: s.figure(), Verdict: s.verdict(), Burns: []live.Burn{{Tier: s.text(), Rate: s.figure(), Limit: s.figure(), Firing: s.below(2) == 0}},
		})
		r.Incidents = append(r.Incidents, live.Incident{
			ID: s.id(), Title: s.text(), Level: s.below(4), OpenedAt: s.moment(), ClosedAt: s.moment(), Owner: s.text(), Checks: []safetext.Text{s.id()}, Notes: []live.Note{s.note()},
		})
		r.Decisions = append(r.Decisions, live.Decision{
			ID: s.id(), Check: s.id(), Proposed: s.below(2) == 0, State: s.text(), At: s.moment(), Parameter: s.text(), From: s.text(), To: s.text(), Why: s.text(), ReviewAt: s.moment(),
		})
		r.SignOffs = append(r.SignOffs, live.SignOff{At: s.moment(), Checkpoint: s.id(), Role: s.text(), Who: s.text(), Key: s.text(), Signed: s.below(2) == 0, Stale: s.below(2) == 0})
		r.Exit = append(r.Exit, live.Criterion{Title: s.text(), Text: s.text(), Met: s.below(2) == 0})
		r.Gaps = append(r.Gaps, live.Span{From: s.moment(), To: s.moment(), What: s.text()})
		r.Escalations = append(r.Escalations, s.note())
		r.UserIssues = append(r.UserIssues, s.note())
	}
	h.Run = r
	return h
}

func (s *script) check() live.Check {
	tick := s.note()
	return live.Check{
		ID: s.id(), Text: s.text(), Kind: []safetext.Text{"auto", "manual", "command"}[s.below(3)], Mode: s.text(), Key: s.below(2) == 0, Unwaivable: s.below(4) == 0,
		NotApplicable: s.text(), Verdict: s.verdict(), Original: s.verdict(), HasOriginal: s.below(2) == 0, Recovered: s.below(2) == 0, Thin: s.below(2) == 0, Sentence: s.text(),
		Value: s.text(), Threshold: s.text(), N: s.figure(), Low: s.figure(), High: s.figure(), Coverage: s.figure(), From: s.moment(), To: s.moment(), Query: s.text(), Graph: s.id(),
		Command: s.text(), Role: s.text(), Evidence: s.text(), Runbook: s.text(), DueAt: s.moment(), JudgedAt: s.moment(), Flag: s.text(), Tick: &tick,
		Attempts: []live.Attempt{{N: s.byte(), At: s.moment(), Verdict: s.verdict(), Sentence: s.text(), Reason: s.text()}},
		Episodes: []live.Episode{{From: s.moment(), To: s.moment(), Verdict: s.verdict(), Sentence: s.text(), Incident: s.text()}},
		Waiver:   &live.Waiver{At: s.moment(), Expires: s.moment(), Who: s.text(), Role: s.text(), Reason: s.text()}, Notes: []live.Note{s.note()},
	}
}

// evil is a run whose every text tries to get at the terminal, or is as long as the
// wire lets it be.
func evil() *live.Picture {
	p := caring()
	w := livetest.Hypercare(night)
	bad := "\x1b[2J\u202e👍🏽 世界 e\u0301 🇩🇪 " + string(make([]byte, 50)) + "long "
	for range 4 {
		bad += bad
	}
	w.Run.Title, w.Run.Version, w.Run.Rehearsal = bad, bad, true
	for i := range w.Run.Checkpoints {
		cp := &w.Run.Checkpoints[i]
		cp.Title, cp.SignOff = bad, []string{bad}
		for j := range cp.Sections {
			sec := &cp.Sections[j]
			sec.Title, sec.Commands = bad, []string{bad + "\n" + bad}
			for k := range sec.Checks {
				c := &sec.Checks[k]
				c.Text, c.Sentence, c.Value, c.Threshold, c.Query, c.Command, c.Runbook = bad, bad, bad, bad, bad, bad, bad
			}
		}
	}
	for i := range w.Run.Incidents {
		w.Run.Incidents[i].Title, w.Run.Incidents[i].Owner = bad, bad
	}
	for i := range w.Run.Decisions {
		w.Run.Decisions[i].Parameter, w.Run.Decisions[i].Why = bad, bad
	}
	for i := range w.Run.SLOs {
		w.Run.SLOs[i].Title, w.Run.SLOs[i].Show = bad, bad
	}
	p.Care = live.HypercareOf(w)
	p.Care.Rev, p.Care.At = 2, night
	return p
}
