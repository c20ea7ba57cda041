package report_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/plan"
	"github.com/spark-ta/spark/core/plan/report"
)

func TestALineForEachKindOfRecord(t *testing.T) {
	const at = 1793606400000 // 2026-11-02 08:00:00
	for _, test := range []struct{ kind, body, want string }{
		{plan.KindStart, `{"version":"v1","profile":"compose","digest":"0123456789abcdef","t0":1793606400000}`, "version v1 is judged, profile compose, plan 0123456789ab; T0 was 1m before"},
		{plan.KindStart, `{"version":"v1","profile":"compose","digest":"01","t0":1793606460000,"rehearsal":true,"scenario":"leak"}`, "REHEARSAL: version v1 is judged, profile compose, plan 01, scenario leak"},
		{plan.KindOpen, `{"checkpoint":"T+1h"}`, "T+1h opened"},
		{plan.KindClose, `{"checkpoint":"T+1h","verdict":"warn","late":true}`, "T+1h closed: warn, late"},
		{plan.KindVerdict, `{"check":"a.b","verdict":"fail","was":"pass","sentence":"2, expected 1"}`, "a.b: fail, was pass: 2, expected 1"},
		{plan.KindVerdict, `{"check":"a.b","verdict":"fail","was":"fail","sentence":"good again","recovered":true,"ended":7}`, "a.b: fail (recovered): good again"},
		{plan.KindVerdict, `{"check":"a.b","verdict":"fail","was":"fail","sentence":"still","fixed":true}`, ""},
		{plan.KindVerdict, `{"check":"a.b","verdict":"fail","was":"fail","sentence":"still","attempts":[{"n":2,"reason":"restarted"}]}`, "a.b: fail: still"},
		{plan.KindTick, `{"check":"a.b"}`, "a.b ticked"},
		{plan.KindUntick, `{"check":"a.b","text":"wrong one"}`, "a.b tick taken back: wrong one"},
		{plan.KindNote, `{"check":"a.b","text":"hm"}`, "a.b noted: hm"},
		{plan.KindWaive, `{"check":"a.b","text":"why","was":"fail","expires":1793606400000}`, "a.b waived until 2026-11-02 08:00:00, was fail: why"},
		{plan.KindExpired, `{"check":"a.b","was":"fail"}`, "a.b waiver expired: again fail"},
		{plan.KindRecheck, `{"check":"a.b","text":"restarted"}`, "a.b to be evaluated again: restarted"},
		{plan.KindProposal, `{"id":"d-1","parameter":"P","from":"1","to":"2","why":"w","figures":"41 %"}`, "proposed: decision d-1: P from 1 to 2: w (41 %)"},
		{plan.KindDecision, `{"id":"d-1","parameter":"P","to":"2","why":"w","reviewAt":7}`, "decision d-1: P to 2: w"},
		{plan.KindEffect, `{"id":"d-1","effect":"pass"}`, "effect of decision d-1: pass"},
		{plan.KindIncident, `{"id":"i-1","level":2,"title":"two leaders"}`, "incident i-1 opened, level 2: two leaders"},
		{plan.KindOwn, `{"id":"i-1","owner":"ada"}`, "incident i-1 is owned by ada"},
		{plan.KindRaise, `{"id":"i-1","level":3,"note":"worse"}`, "incident i-1 raised to level 3: worse"},
		{plan.KindLink, `{"id":"i-1","checks":["a.b","c.d"]}`, "incident i-1 is about a.b, c.d"},
		{plan.KindResolve, `{"id":"i-1","result":"fenced","note":"n"}`, "incident i-1 closed: fenced; n"},
		{plan.KindIssue, `{"text":"slow","minor":true}`, "a user reported something minor: slow"},
		{plan.KindIssue, `{"text":"down","minor":false}`, "a user reported: down"},
		{plan.KindSignOff, `{"role":"ops","decision":"close","comment":"fine"}`, "the exit signed off as ops, decision close: fine"},
		{plan.KindSignOff, `{"checkpoint":"T+1h","role":"ops","decision":"no-go"}`, "T+1h signed off as ops, decision no-go"},
		{plan.KindEscalation, `{"level":2,"checkpoint":"T+1h","text":"waits for 1 manual item"}`, "level 2: T+1h waits for 1 manual item"},
		{plan.KindGap, `{"from":1793606400000,"to":1793606490000,"what":"restart"}`, "nothing was observed for 1m30s, from 2026-11-02 08:00:00 to 2026-11-02 08:01:30: restart"},
		{plan.KindClock, `{"stepMs":-1500}`, "the wall clock was set by -1.5s"},
		{plan.KindAmend, `{"digest":"0123456789abcdef","added":["a.b"],"removed":["c.d"],"changed":["e.f","g.h"]}`, "the plan was changed to 0123456789ab; added a.b; removed c.d; changed e.f, g.h"},
		{plan.KindKeys, `{"keys":[{"name":"ada","key":"k","roles":["ops"]},{"name":"grace","key":"l","roles":[]}]}`, "2 keys may sign: ada, grace"},
		{plan.KindEnd, `{"outcome":"pass"}`, "closed: pass"},
		{plan.KindSLO, `{"check":"a.b","firing":[true,false,true]}`, "a.b burns its budget too fast: tier A, C"},
		{plan.KindSLO, `{"check":"a.b","firing":[false,false,false]}`, ""},
		{"action-armed", `{"action":"leader.reset","took":5,"token":"secret","state":"armed"}`, "action armed: action leader.reset, state armed"},
		{"odd", `"no object"`, "odd"},
		{"odd", `null`, "odd"},
		{plan.KindTick, `{"check":7}`, " ticked"},
	} {
		l := report.NewTimeline()
		l.Add(chain.Record{Seq: 1, At: at + 60_000, Who: "ada", Role: "ops", Kind: test.kind, Body: []byte(test.body)})
		got, _ := l.Entries()
		if test.want == "" {
			if len(got) != 0 {
				t.Errorf("%s %s: %q, want no line", test.kind, test.body, got[0].Text)
			}
			continue
		}
		if len(got) != 1 || got[0].Text != test.want || got[0].Who != "ada" || got[0].Kind != test.kind {
			t.Errorf("%s %s: %+v, want %q", test.kind, test.body, got, test.want)
		}
	}
}

func TestBurnRatesAreToldWhenTheyChange(t *testing.T) {
	l := report.NewTimeline()
	for i, firing := range []string{"[false,false,false]", "[true,false,false]", "[true,false,false]", "[true,true,false]", "[false,false,false]", "[false,false,false]"} {
		l.Add(chain.Record{Seq: int64(i + 1), Kind: plan.KindSLO, Body: []byte(`{"check":"a.b","firing":` + firing + `}`)})
	}
	got, _ := l.Entries()
	var seqs []int64
	for _, e := range got {
		seqs = append(seqs, e.Seq)
	}
	if !slices.Equal(seqs, []int64{2, 4, 5}) || !strings.Contains(got[2].Text, "no longer") {
		t.Errorf("lines %+v, want those of records 2, 4 and 5", got)
	}
}

func TestATimelineIsBoundedAndSaysWhatIsMissing(t *testing.T) {
	l := report.NewTimeline()
	const n = 6_234
	long := strings.Repeat("ü", 1_000)
	for i := range n {
		l.Add(chain.Record{Seq: int64(i + 1), Kind: plan.KindIssue, Body: fmt.Appendf(nil, `{"text":"%d %s"}`, i, long)})
	}
	got, omitted := l.Entries()
	if len(got) != 5000 || omitted != n-5000 {
		t.Fatalf("%d lines and %d omitted, want 5000 and %d", len(got), omitted, n-5000)
	}
	for i, e := range got {
		want := int64(i + 1)
		if i >= 1000 {
			want += omitted
		}
		if e.Seq != want || len(e.Text) > 1100 {
			t.Fatalf("line %d is of record %d with %d bytes, want record %d", i, e.Seq, len(e.Text), want)
		}
	}
	l.Add(chain.Record{Seq: n + 1, At: 5, Kind: plan.KindStart, Body: []byte(`{"t0":5}`)})
	if got, omitted := l.Entries(); len(got) != 1 || omitted != 0 || got[0].Offset != 0 {
		t.Errorf("after another start: %d lines, %d omitted", len(got), omitted)
	}
}

func TestTheReportSaysWhereLinesAreMissing(t *testing.T) {
	c := story(t, false)
	s, at, lines := replay(t, c.records, c.head.Seq)
	for i := range 5100 {
		lines.Add(chain.Record{Seq: c.head.Seq + int64(i), Kind: "odd"})
	}
	_, omitted := lines.Entries()
	for _, f := range formats {
		out, err := report.Write(f, s, at, lines)
		if want := fmt.Sprint(omitted); err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s does not say that %s lines are left out: %v", f, want, err)
		}
	}
}

// A journal of 48 h has some 100,000 records, each of which passes here for a report.
func BenchmarkAdd(b *testing.B) {
	c := story(b, false)
	l := report.NewTimeline()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Add(c.records[1+i%(len(c.records)-1)])
	}
}

func BenchmarkWrite(b *testing.B) {
	c := story(b, false)
	s, at, lines := replay(b, c.records, c.head.Seq)
	for _, f := range formats {
		b.Run(f, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := report.Write(f, s, at, lines); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
