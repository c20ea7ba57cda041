package plan

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/stat"
)

// SLOState is how an objective stands. The value since T0 and the rates beside it are
// recorded each quarter of an hour and when a tier fires or clears; in between only
// the rates are felt, for the eye.
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
	Dark     bool // nothing is measured, though something should be

	burn     stat.Burn
	readings [3]stat.Reading
	total    *sloBody // the newest value since T0
	asked    int64    // the evaluation under way; 0: none
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
	if s == nil || s.asked != 0 {
		return
	}
	e := Evaluate{Check: s.Check.Check, Purpose: ForBurn, At: m.now}
	for i, t := range m.objective(s).Tiers() {
		if s.turn%burnTurns[i] == 0 {
			e.Tiers = append(e.Tiers, BurnTier{t.Name, t.Long, t.Short})
		}
	}
	if (s.turn%totalTurns == 0 || s.total == nil) && m.now.Sub(m.s.T0) >= burnEvery {
		e.From = m.s.T0
	}
	s.turn++
	m.order++
	s.asked, e.ID = m.order, m.order
	m.evaluate(e)
}

// burn takes in what was measured.
func (m *Machine) burn(k *CheckState, o Observed) {
	s := m.slo(k.ID)
	if s == nil || s.asked != o.ID {
		return // from before an amendment: it has been asked anew
	}
	s.asked = 0
	m.arm(later(o.At.Add(burnEvery), m.now.Add(time.Millisecond)), timerBurn, k.ID, 0)
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
	s.Dark = s.readings[0].Long.Empty() && k.Source.MinEvents <= 1
	changed := !o.Evaluate.From.IsZero()
	for i, t := range tiers {
		s.Tiers[i] = TierState{t, objective.Burn(s.readings[i].Long), s.burn.Firing(i)}
		changed = changed || edges[i] != stat.Same
	}
	if !o.Evaluate.From.IsZero() {
		s.total = totalOf(k.ID, o.Observation)
	}
	if changed && s.total != nil {
		b := *s.total
		for i, t := range s.Tiers {
			b.Rates[i], b.Firing[i] = finite(&t.Rate), t.Firing
		}
		b.Dark = s.Dark
		m.record(observer, "", KindSLO, &b)
	}
	for i, t := range tiers {
		if edges[i] == stat.Fired && t.Level > 0 {
			m.openIncident(t.Level, k.Text+" burns its error budget "+FormatNumber(s.Tiers[i].Rate, "")+" times too fast over "+
				FormatDuration(t.Long)+" (limit "+FormatNumber(t.Burn, "")+")", k.ID)
		}
	}
	s.judge()
}

// bad is what was not good; NaN, from an answer that is none, stays one.
func bad(good, total float64) float64 { return max(0, total-good) }

// totalOf is the value since T0.
func totalOf(check string, o Observation) *sloBody {
	b := &sloBody{Check: check, Good: &o.Good, Total: &o.Total, Shown: o.Shown}
	if o.Err != "" {
		b.Good, b.Total, b.Shown = nil, nil, nil
	}
	if o.Coverage >= 0 {
		b.Coverage = &o.Coverage
	}
	b.Good, b.Total, b.Shown, b.Coverage = finite(b.Good), finite(b.Total), finite(b.Shown), finite(b.Coverage)
	return b
}

// applySLO takes in a record.
func (m *Machine) applySLO(now time.Time, s *SLOState, b *sloBody) {
	s.At, s.Coverage, s.Dark = now, b.Coverage, b.Dark
	s.Share, s.Budget, s.Shown, s.Events = nil, nil, "", 0
	objective := m.objective(s)
	for i, t := range objective.Tiers() {
		rate := math.NaN()
		if b.Rates[i] != nil {
			rate = *b.Rates[i]
		}
		s.Tiers[i] = TierState{t, rate, b.Firing[i]}
	}
	if b.Good != nil && b.Total != nil && *b.Total > 0 {
		s.Events = *b.Total
		share := min(*b.Good, *b.Total) / *b.Total
		s.Share = &share
		if budget, ok := objective.Budget(stat.Window{Bad: bad(*b.Good, *b.Total), Total: *b.Total}, now.Sub(m.s.T0)); ok {
			s.Budget = &budget
		}
	}
	if b.Shown != nil {
		s.Shown = s.Check.shownFigure(*b.Shown)
	}
	s.judge()
}

// judge says how the objective stands now.
func (s *SLOState) judge() {
	firing := false
	for _, t := range s.Tiers {
		firing = firing || t.Firing
	}
	switch {
	case s.Dark || s.Budget == nil:
		s.Verdict = NoData
	case s.Budget.Used > 1:
		s.Verdict = Fail
	case firing || s.Budget.Forecast > 1 && s.Events >= s.Check.Source.MinEvents:
		s.Verdict = Warn
	default:
		s.Verdict = Pass
	}
}
