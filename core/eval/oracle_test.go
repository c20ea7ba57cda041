package eval_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/ta"
)

// oracle is the contract of package eval written down plainly: every alert is looked
// at on every state, and every indicator is computed from its window each time.
type oracle struct {
	closes []float64
	alerts []*oracleAlert
}

type oracleAlert struct {
	alert.Alert
	fired      map[string]bool // ids of events
	suppressed map[int64]bool  // candles
	waiting    bool
	direction  int
}

func (o *oracle) put(a alert.Alert) {
	for _, old := range o.alerts {
		if old.ID == a.ID {
			a.LastTriggeredAt = max(a.LastTriggeredAt, old.LastTriggeredAt)
			if old.Rev == a.Rev {
				old.Alert = a
				return
			}
			*old = oracleAlert{Alert: a, fired: map[string]bool{}, suppressed: map[int64]bool{}}
			return
		}
	}
	o.alerts = append(o.alerts, &oracleAlert{Alert: a, fired: map[string]bool{}, suppressed: map[int64]bool{}})
}

func (o *oracle) remove(id string) {
	o.alerts = slices.DeleteFunc(o.alerts, func(a *oracleAlert) bool { return a.ID == id })
}

func (o *oracle) bands(p alert.BBBreak, x float64) (ta.Bands, ta.Side) {
	b := ta.NewBollinger(p.Period, p.StdDev)
	for _, c := range o.closes[max(0, len(o.closes)-p.Period+1):] {
		b.Update(c)
	}
	return b.Judge(x)
}

func (o *oracle) match(a *oracleAlert, x float64) int {
	switch p := a.Params.(type) {
	case alert.BBBreak:
		_, side := o.bands(p, x)
		if side == ta.Above && p.Side != alert.Below {
			return 1
		}
		if side == ta.Below && p.Side != alert.Above {
			return -1
		}
	case alert.Price:
		base := math.NaN()
		if n := len(o.closes); n > 0 {
			base = o.closes[n-1]
		}
		up, down := base <= p.Level && x > p.Level, base >= p.Level && x < p.Level
		switch {
		case p.Op == alert.OpAbove && x > p.Level, p.Op == alert.OpCrossesUp && up, p.Op == alert.OpCrosses && up:
			return 1
		case p.Op == alert.OpBelow && x < p.Level, p.Op == alert.OpCrossesDown && down, p.Op == alert.OpCrosses && down:
			return -1
		}
	}
	return 0
}

func (o *oracle) back(a *oracleAlert, x float64) bool {
	switch p := a.Params.(type) {
	case alert.BBBreak:
		v, _ := o.bands(p, x)
		if a.direction > 0 {
			return x <= v.Upper-a.Hysteresis*(v.Upper-v.Lower)
		}
		return x >= v.Lower+a.Hysteresis*(v.Upper-v.Lower)
	case alert.Price:
		switch p.Op {
		case alert.OpAbove, alert.OpCrossesUp:
			return x <= p.Level-a.Hysteresis*p.Level
		case alert.OpBelow, alert.OpCrossesDown:
			return x >= p.Level+a.Hysteresis*p.Level
		}
		return math.Abs(x-p.Level) >= a.Hysteresis*p.Level
	}
	return false
}

// step returns the ids of the events and of the suppressed alerts.
func (o *oracle) step(now int64, c market.Candle) (fired, suppressed []string) {
	for _, a := range o.alerts {
		if a.Mode == alert.OnClose && !c.Closed || !a.Active {
			continue
		}
		if a.waiting && o.back(a, c.Close) {
			a.waiting = false
		}
		d := o.match(a, c.Close)
		id := a.EventID(c.Time, now)
		switch {
		case d == 0 || a.waiting || a.fired[id] || a.ExpiresAt > 0 && now >= a.ExpiresAt:
		case a.LastTriggeredAt > 0 && now < a.LastTriggeredAt+int64(a.CooldownSec)*1000:
			if !a.suppressed[c.Time] {
				a.suppressed[c.Time] = true
				suppressed = append(suppressed, a.ID)
			}
		default:
			a.fired[id] = true
			a.LastTriggeredAt, a.direction, a.waiting = now, d, a.Hysteresis > 0
			fired = append(fired, id)
		}
	}
	if c.Closed {
		o.closes = append(o.closes, c.Close)
	}
	slices.Sort(fired)
	slices.Sort(suppressed)
	return fired, suppressed
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// anyAlert returns an alert whose levels lie on the ticks that the prices move on,
// so that edges are met exactly all the time.
func anyAlert(r *rand.Rand, id int, now int64) alert.Alert {
	a := alert.Alert{
		ID: fmt.Sprintf("a%03d", id), Rev: 1, Series: series, Active: r.IntN(12) > 0, Severity: alert.Info,
		Mode:        pick(r, alert.Intrabar, alert.OnClose, alert.Once, alert.Minute),
		CooldownSec: pick(r, 0, 0, 20, 60, 90, 300),
		Hysteresis:  pick(r, 0, 0, 0, 0.01, 0.02, 0.5),
	}
	if r.IntN(8) == 0 {
		a.ExpiresAt = now + int64(r.IntN(600_000))
	}
	if r.IntN(2) == 0 {
		a.Params = alert.Price{
			Op:    pick(r, alert.OpAbove, alert.OpBelow, alert.OpCrosses, alert.OpCrossesUp, alert.OpCrossesDown),
			Level: 90 + float64(r.IntN(20)),
		}
	} else {
		a.Params = alert.BBBreak{Period: pick(r, 2, 3, 5, 10), StdDev: pick(r, 0.5, 1, 1.5, 2), Side: pick(r, alert.Above, alert.Below, alert.Both)}
	}
	return a
}

func TestStepAgreesWithTheContractWrittenPlainly(t *testing.T) {
	t.Parallel()
	triggers, suppressions := 0, 0
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 2))
		set, want := eval.NewSet(series, eval.Options{}), &oracle{}
		price, next := 100.0, 0
		frame := pick(r, int64(60_000), 300_000)
		var out eval.Result
		for bar := start; bar < start+60*60_000; bar += 60_000 {
			states := 1 + r.IntN(8)
			var c market.Candle
			for i := range states {
				now := start + (bar-start)/60_000*frame + int64(i)*frame/int64(states+1)
				for r.IntN(3) == 0 {
					a := anyAlert(r, next, now)
					next++
					set.Put(a)
					want.put(a)
				}
				if len(want.alerts) > 0 && r.IntN(8) == 0 {
					old := pick(r, want.alerts...).Alert
					if r.IntN(3) > 0 {
						a := anyAlert(r, 0, now)
						a.ID, a.Rev = old.ID, old.Rev+1
						if r.IntN(3) == 0 {
							a = old // the same again
						}
						set.Put(a)
						want.put(a)
					} else {
						set.Remove(old.ID)
						want.remove(old.ID)
					}
				}
				price = max(80, min(120, price+float64(r.IntN(5)-2)))
				if i == 0 {
					c = candle(bar, price)
				}
				c = moved(c, price)
				c.Closed = i == states-1
				out.Reset()
				set.Step(now, c, &out)
				fired, suppressed := want.step(now, c)
				if diff := gocmp.Diff(fired, eventIDs(out)); diff != "" {
					t.Fatalf("seed %d bar %d state %d: triggers (-want +got)\n%s", seed, (bar-start)/60_000, i, diff)
				}
				if diff := gocmp.Diff(suppressed, suppressedIDs(out)); diff != "" {
					t.Fatalf("seed %d bar %d state %d: suppressed (-want +got)\n%s", seed, (bar-start)/60_000, i, diff)
				}
				triggers += len(fired)
				suppressions += len(suppressed)
			}
		}
	}
	if triggers < 10_000 || suppressions < 10_000 {
		t.Errorf("only %d triggers and %d suppressions were compared", triggers, suppressions)
	}
}

func eventIDs(out eval.Result) []string {
	var ids []string
	for _, e := range out.Triggers {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	return ids
}

func suppressedIDs(out eval.Result) []string {
	var ids []string
	for _, s := range out.Suppressed {
		ids = append(ids, s.AlertID)
	}
	slices.SortFunc(ids, cmp.Compare[string])
	return ids
}
