package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/chain"
	"github.com/spark-ta/spark/core/wire"
)

// judged lists the checks of the checkpoints that have opened.
func judged(t *testing.T, observer string) (*wire.HypercareRun, []wire.Check) {
	t.Helper()
	var h wire.Hypercare
	if status := get(t, observer+wire.PathHypercare, &h); status != http.StatusOK || h.Run == nil {
		t.Fatalf("%s = %d, run %v", wire.PathHypercare, status, h.Run)
	}
	var out []wire.Check
	for _, c := range h.Run.Checkpoints {
		if c.State == wire.CheckpointFuture {
			continue
		}
		for _, s := range c.Sections {
			out = append(out, s.Checks...)
		}
	}
	return h.Run, out
}

// TestALivingDaemonPassesItsFirstQuarterHour judges an all-in-one daemon on the
// simulator at real speed. T0 is a quarter of an hour ago, so that both checkpoints
// are open; what their checks look at is the daemon as it is now.
func TestALivingDaemonPassesItsFirstQuarterHour(t *testing.T) {
	if os.Getenv("REHEARSE") == "" {
		t.Skip("takes three minutes: make rehearse")
	}
	dir := t.TempDir()
	p := launch(t, []string{"MARKET_SOURCE=sim"}, "run", "--spark-data-dir", dir, "--executor-port", "0", "--web-port", "0", "--observer-port", "0")
	var observer string
	wait(t, 20*time.Second, "the observer's address", func() bool {
		for _, record := range p.matching("listening") {
			if field(record, "role") == wire.RoleObserver {
				observer = field(record, "url")
			}
		}
		var h wire.Health
		return observer != "" && get(t, observer+wire.PathHealth, &h) == http.StatusOK
	}, p.dump)
	began := time.Now().Add(-15 * time.Minute).UnixMilli()
	if status := post(t, observer+wire.PathPlanStart, fmt.Sprintf(`{"version":"v1.0.0","startedAt":%d}`, began), nil); status != http.StatusOK {
		t.Fatalf("start = %d", status)
	}
	lacking := ""
	wait(t, 5*time.Minute, "the verdicts", func() bool {
		var lacks []string
		_, checks := judged(t, observer)
		for _, k := range checks {
			people := k.Kind == "manual" || k.Kind == "command"
			if k.Verdict != wire.VerdictPass && k.Verdict != wire.VerdictNotApplicable && !people {
				lacks = append(lacks, k.ID+" "+k.Verdict+": "+k.Sentence)
			}
		}
		lacking = strings.Join(lacks, "\n")
		return len(lacks) == 0 && len(checks) > 20
	}, func() string { return lacking + "\n" + p.dump() })
	run, checks := judged(t, observer)
	if run.Profile != "all-in-one" || len(run.Incidents) > 0 {
		t.Errorf("profile %s, incidents %+v", run.Profile, run.Incidents)
	}
	t.Logf("%d checks of T+0 and T+15m after %v", len(checks), time.Since(time.UnixMilli(began).Add(15*time.Minute)).Round(time.Second))
}

// TestTheJudgeSurvivesAKill: what it acknowledged is there, the time it was away is
// told, and the demo does not begin a second run.
func TestTheJudgeSurvivesAKill(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	run, _ := judged(t, p.at.Observer)
	if status := post(t, p.at.Observer+"/api/hypercare/userissues", `{"text":"the chart flickers","minor":true}`, nil); status != http.StatusOK {
		t.Fatalf("user issue = %d", status)
	}
	p.kill()
	file := filepath.Join(dir, "observer", "journal.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Verify(strings.NewReader(string(data))); err != nil {
		t.Errorf("the journal after the kill: %v", err)
	}
	p = start(t, dir, nil)
	again, _ := judged(t, p.at.Observer)
	if again.ID != run.ID || len(again.UserIssues) != 1 || again.Seq < run.Seq {
		t.Errorf("run %s, %d issues, record %d after the restart; %s, record %d before", again.ID, len(again.UserIssues), again.Seq, run.ID, run.Seq)
	}
	var audit wire.AuditVerify
	if get(t, p.at.Observer+wire.PathAuditVerify, &audit); !audit.OK {
		t.Errorf("audit = %+v", audit)
	}
}
