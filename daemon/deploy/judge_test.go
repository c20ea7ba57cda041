package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// opsToken lets the test act as an operator: the containers are not on loopback.
const opsToken = "deploytest-operations"

// operate makes one call of an operator.
func operate(url string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+opsToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %d %.300s", url, resp.StatusCode, data)
	}
	return json.Unmarshal(data, out)
}

// checks reads the verdicts.
func (f *fleet) checks(t *testing.T) (map[string]wire.Check, *wire.Hypercare) {
	t.Helper()
	var h wire.Hypercare
	if err := call(http.MethodGet, f.observer+wire.PathHypercare, nil, &h); err != nil {
		t.Fatal(err)
	}
	out := map[string]wire.Check{}
	if h.Run != nil {
		for _, c := range h.Run.Checkpoints {
			for _, s := range c.Sections {
				for _, k := range s.Checks {
					out[k.ID] = k
				}
			}
		}
	}
	return out, &h
}

// judged starts the plan on the fleet and waits for what must hold at once.
func (f *fleet) judged(t *testing.T) {
	if err := call(http.MethodPost, f.observer+wire.PathPlanStart, wire.Start{Version: "v0"}, nil); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a start without the operations token: %v, want 401", err)
	}
	var answer wire.HypercareAnswer
	if err := operate(f.observer+wire.PathPlanStart, wire.Start{Version: "v0"}, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.Run.Profile != "compose" {
		t.Errorf("profile %q, want compose", answer.Run.Profile)
	}
	atOnce := []string{"services.started", "health.all", "leader.elected", "redis.connected", "charts.candles", "leader.single"}
	took := wait(t, 2*time.Minute, "the first verdicts", func() error {
		checks, h := f.checks(t)
		var lacks []string
		for _, id := range atOnce {
			if v := checks[id].Verdict; v != wire.VerdictPass {
				lacks = append(lacks, id+" "+v+": "+checks[id].Sentence)
			}
		}
		if n := len(h.Observer.Targets); n != len(names)-1 {
			lacks = append(lacks, fmt.Sprintf("%d targets", n))
		}
		if len(lacks) > 0 {
			return fmt.Errorf("%s", strings.Join(lacks, "; "))
		}
		return nil
	})
	t.Logf("%s pass after %v", strings.Join(atOnce, ", "), took)
}

// stood looks at what the judge says after the fleet was in trouble: it has seen the
// troubles, it never saw two leaders, and a restart of its own costs nothing but a gap.
func (f *fleet) stood(t *testing.T) {
	checks, before := f.checks(t)
	if k := checks["leader.single"]; slices.ContainsFunc(k.Episodes, func(e wire.Episode) bool {
		return e.Verdict == wire.VerdictFail && strings.HasPrefix(e.Sentence, "2")
	}) {
		t.Errorf("two leaders were seen: %+v", k.Episodes)
	}
	shell(t, "docker kill spark-observer")
	shell(t, "docker start spark-observer")
	wait(t, time.Minute, "the observer after docker kill", func() error {
		var h wire.Hypercare
		if err := call(http.MethodGet, f.observer+wire.PathHypercare, nil, &h); err != nil {
			return err
		}
		if h.Run == nil || h.Run.ID != before.Run.ID || h.Run.Seq < before.Run.Seq {
			return fmt.Errorf("run %+v", h.Run)
		}
		return nil
	})
	if out := shell(t, "docker exec spark-observer spark-daemon journal verify /data/observer/journal.jsonl"); out == "" {
		t.Error("journal verify says nothing")
	}
	again, _ := f.checks(t)
	for id, k := range checks {
		if k.Fixed && again[id].Verdict != k.Verdict {
			t.Errorf("%s was %s before the restart of the observer and is %s", id, k.Verdict, again[id].Verdict)
		}
	}
}
