package report_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
)

func TestGoOrNoGo(t *testing.T) {
	for _, test := range []struct {
		name    string
		profile string
		status  float64
		until   time.Duration
		leader  plan.Observation
		then    func(c *course)
		want    string
	}{
		{
			name: "before anything was judged", profile: "all-in-one", status: 200, leader: one(1),
			want: "NO-GO: not judged yet: gate.health, gate.leader.",
		},
		{
			name: "all is good", profile: "all-in-one", status: 200, leader: one(1), until: 6 * time.Minute,
			then: func(c *course) { c.do("ada", "", plan.Tick{Check: "gate.charts"}) },
			want: "GO: all 2 required rows are good.",
		},
		{
			name: "what is optional may be open", profile: "compose", status: 200, leader: one(1), until: 6 * time.Minute,
			want: "GO: all 2 required rows are good. 2 optional rows are open.",
		},
		{
			name: "a required row fails", profile: "all-in-one", status: 503, leader: one(1), until: 6 * time.Minute,
			want: "NO-GO: gate.health is fail.",
		},
		{
			name: "no data is no go", profile: "all-in-one", status: 200, leader: plan.Observation{Coverage: 1, Events: -1}, until: 6 * time.Minute,
			want: "NO-GO: gate.leader is unknown.",
		},
		{
			name: "a waiver stands in the verdict", profile: "all-in-one", status: 503, leader: one(1), until: 6 * time.Minute,
			then: func(c *course) {
				c.do("ada", "operations-lead", plan.Waive{Check: "gate.health", Reason: "the probe of one gateway is wrong", Expires: t0.Add(time.Hour)})
			},
			want: "GO: all 2 required rows are good. 1 optional row is open.",
		},
		{
			name: "a person says no", profile: "all-in-one", status: 200, leader: one(1), until: 6 * time.Minute,
			then: func(c *course) {
				c.do("ada", "operations-lead", plan.Sign{Checkpoint: "T+5m", Role: "operations-lead", Decision: plan.DecisionNoGo})
			},
			want: "NO-GO: no-go by ada (operations-lead).",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &course{t: t, now: t0, answer: func(_ time.Time, e plan.Evaluate) plan.Observation {
				switch e.Check.ID {
				case "gate.health":
					return plan.Observation{Series: []plan.Series{{Name: "e-1", Fields: map[string]plan.Value{"status": plan.Number(test.status)}}}, Coverage: 1, Events: -1}
				case "gate.leader":
					return test.leader
				}
				return plan.Observation{Err: "not there", Coverage: -1, Events: -1}
			}}
			c.do("ada", "", plan.Start{ID: "g-1", File: "go-live.md", Text: read(t, "go-live.md"), Version: "v2", Profile: test.profile, T0: t0})
			c.until(test.until)
			if test.then != nil {
				test.then(c)
			}
			var f report.File
			if err := json.Unmarshal(write(t, report.JSON, c.records, c.head.Seq), &f); err != nil {
				t.Fatal(err)
			}
			if f.Report.Decision != test.want {
				t.Errorf("decision %q, want %q", f.Report.Decision, test.want)
			}
			word, rest, _ := strings.Cut(test.want, ": ")
			md := string(write(t, report.Markdown, c.records, c.head.Seq))
			if !strings.Contains(md, "**"+word+"**: "+rest) || !strings.Contains(md, "## Go or no-go") {
				t.Errorf("the report lacks %q", test.want)
			}
			page := string(write(t, report.HTML, c.records, c.head.Seq))
			if !strings.Contains(page, ">"+word+"</b>: "+rest) || strings.Count(page, " data-label=\"Required\">required</td>") != 2 {
				t.Errorf("the page lacks %q or its rows", test.want)
			}
		})
	}
}
