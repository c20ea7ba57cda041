package plan

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

// SLOState is how an objective stands. It is measured, not recorded: after a restart
// it is measured anew. What follows from it, incidents and verdicts, is recorded.
type SLOState struct {
	Check    *CheckState
	At       time.Time
	Verdict  Verdict // of now; its check gives the final one
	Share    *float64
	Events   float64
	Coverage *float64
	Budget   *stat.Budget
	Shown    string
	Tiers    [3]TierState

	burn     stat.Burn
	readings [3]stat.Reading
	asked    bool
	turn     int
}

// TierState is one tier of burn rates.
type TierState struct {
	stat.Tier
	Rate   float64 // NaN while nothing happened in its long window
	Firing bool
}

// burnEvery is the period of burn rates: a full outage pages within two minutes.
// Longer windows change more slowly and cost more, so that they are measured with
// each fifth and fifteenth turn.
const burnEvery = time.Minute

var burnTurns = [3]int{1, 5, 15}

// totalTurns is how often the value since T0 is measured.
const totalTurns = 15

func (m *Machine) slo(check string) *SLOState {
	for _, s := range m.s.SLOs {
		if s.Check.ID == check {
			return s
		}
	}
	return nil
}

func (m *Machine) objective(s *SLOState) stat.Objective {
	return stat.Objective{Target: s.Check.Source.Target, Run: m.s.Plan.End()}
}

// askBurn wants the windows measured that are due in this turn.
func (m *Machine) askBurn(check string) {
	s := m.slo(check)
	if s == nil || s.asked {
		return
	}
	e := Evaluate{Check: s.Check.Check, Purpose: ForBurn, At: m.now}
	for i, t := range m.objective(s).Tiers() {
		if s.turn%burnTurns[i] == 0 {
			e.Tiers = append(e.Tiers, BurnTier{t.Name, t.Long, t.Short})
		}
	}
	if s.turn%totalTurns == 0 && m.now.After(m.s.T0) {
		e.From = m.s.T0
	}
	s.turn++
	s.asked = true
	m.evaluate(e)
}

// burn takes in what was measured.
func (m *Machine) burn(k *CheckState, o Observed) {
	s := m.slo(k.ID)
	if s == nil {
		return
	}
	s.asked = false
	m.arm(later(o.At.Add(burnEvery), m.now.Add(time.Millisecond)), timerBurn, k.ID, 0)
	s.At = m.now
	objective := m.objective(s)
	s.burn.Objective = objective
	tiers := objective.Tiers()
	for _, measured := range o.Observation.Tiers {
		for i, t := range tiers {
			if t.Name == measured.Name {
				s.readings[i] = stat.Reading{
					Long:  stat.Window{Bad: bad(measured.LongGood, measured.LongTotal), Total: measured.LongTotal},
					Short: stat.Window{Bad: bad(measured.ShortGood, measured.ShortTotal), Total: measured.ShortTotal},
				}
			}
		}
	}
	if o.Err != "" || len(o.Observation.Tiers) == 0 {
		s.readings[0] = stat.Reading{}
	}
	edges := s.burn.Step(ms(m.now), s.readings)
	for i, t := range tiers {
		s.Tiers[i] = TierState{t, objective.Burn(s.readings[i].Long), s.burn.Firing(i)}
		if edges[i] == stat.Fired && t.Level > 0 {
			m.openIncident(t.Level, k.Text+" burns its error budget "+FormatNumber(s.Tiers[i].Rate, "")+" times too fast over "+
				FormatDuration(t.Long)+" (limit "+FormatNumber(t.Burn, "")+")", k.ID)
		}
	}
	if !o.Evaluate.From.IsZero() {
		m.total(s, o.Observation)
	}
	s.judge()
}

// bad is what was not good; NaN, from an answer that is none, stays one.
func bad(good, total float64) float64 { return max(0, total-good) }

// total takes in the value since T0.
func (m *Machine) total(s *SLOState, o Observation) {
	s.Share, s.Budget, s.Coverage, s.Shown = nil, nil, nil, ""
	s.Events = o.Total
	if o.Coverage >= 0 {
		s.Coverage = &o.Coverage
	}
	if o.Err != "" || math.IsNaN(o.Total) || o.Total <= 0 {
		s.Events = 0
		return
	}
	share := min(o.Good, o.Total) / o.Total
	s.Share = &share
	if b, ok := m.objective(s).Budget(stat.Window{Bad: bad(o.Good, o.Total), Total: o.Total}, m.now.Sub(m.s.T0)); ok {
		s.Budget = &b
	}
	if o.Shown != nil && !math.IsNaN(*o.Shown) {
		s.Shown = s.Check.shownFigure(*o.Shown)
	}
}

// judge says how the objective stands now.
func (s *SLOState) judge() {
	firing := false
	for _, t := range s.Tiers {
		firing = firing || t.Firing
	}
	switch {
	case s.readings[0].Long.Empty() && s.Check.Source.MinEvents <= 1:
		s.Verdict = NoData // something is measured with each scrape, and was not
	case s.Budget == nil:
		s.Verdict = NoData
	case s.Budget.Used > 1:
		s.Verdict = Fail
	case firing || s.Budget.Forecast > 1 && s.Events >= s.Check.Source.MinEvents:
		s.Verdict = Warn
	default:
		s.Verdict = Pass
	}
}
