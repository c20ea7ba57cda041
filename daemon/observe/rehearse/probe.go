package rehearse

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// prober answers for the sources that are no queries: a scenario writes their answers
// as series
//
//	spark_probe{check="…",target="…",field="…"} number
//	spark_probe{check="…",target="…",field="…",value="text"} 1
type prober struct{ samples sample.Querier }

// Probe implements observe.Prober.
func (p prober) Probe(ctx context.Context, c *plan.Check, _ string, _, to time.Time) plan.Observation {
	o := plan.Observation{Coverage: -1, Events: -1, Engine: "scenario"}
	v, err := p.samples.Instant(ctx, wire.SeriesProbe+`{check="`+c.ID+`"}`, to)
	if err != nil {
		o.Err = err.Error()
		return o
	}
	for _, x := range v {
		target, field, text := x.Labels.Get("target"), x.Labels.Get("field"), x.Labels.Get("value")
		i := slices.IndexFunc(o.Series, func(s plan.Series) bool { return s.Name == target })
		if i < 0 {
			i = len(o.Series)
			o.Series = append(o.Series, plan.Series{Name: target, Fields: map[string]plan.Value{}})
		}
		switch {
		case field == "error":
			o.Err = text
			return o
		case text == "":
			o.Series[i].Fields[field] = plan.Number(x.V)
		case x.V == 1:
			o.Series[i].Fields[field] = plan.Text(text)
		}
	}
	slices.SortFunc(o.Series, func(a, b plan.Series) int { return strings.Compare(a.Name, b.Name) })
	o.Digest = v.Digest()
	return o
}
