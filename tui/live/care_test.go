package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/livetest"
)

func TestARunIsRead(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	_, w := start(t, d)
	p := w.until(t, "an observer without a judge", func(p *live.Picture) bool { return p.Care.Missing })
	if p.Trends.Known || p.Care.Run != nil {
		t.Errorf("an older daemon has trends %v, a run %v", p.Trends.Known, p.Care.Run)
	}
	d.Judge(livetest.Hypercare(time.Now()))
	d.Event(wire.EventVerdict, wire.VerdictEvent{Time: time.Now().UnixMilli(), Check: "log.fatal", Text: "No critical errors", Verdict: wire.VerdictFail, Sentence: "4 fatal records"})
	p = w.until(t, "the run", func(p *live.Picture) bool { return p.Care.Run != nil && len(p.Feed.Events) > 0 })
	if c, cp := p.Care.Run.Check("log.fatal"); c == nil || c.Verdict != live.Fail || !c.Key || cp.ID != "T+15m" || p.Care.Missing {
		t.Errorf("log.fatal = %+v", c)
	}
	if e := p.Feed.Events[0]; e.Kind != live.Judgement || e.Tone != live.Failure || e.Text != "FAIL No critical errors: 4 fatal records" {
		t.Errorf("the verdict's event = %+v", e)
	}
}

func TestAChangeIsMadeAndSeen(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	d.Judge(livetest.Hypercare(time.Now()))
	l, w := start(t, d)
	w.until(t, "the run", func(p *live.Picture) bool { return p.Care.Run != nil })
	r := live.ActOnCheck("ops.briefed", wire.VerbTick, wire.CheckAct{Evidence: "all of them, at noon"})
	r.Gen = 7
	if res := l.Do(r); res.Gen != 7 || res.Err != "" || res.Label != "tick ops.briefed" {
		t.Errorf("Do = %+v", res)
	}
	w.until(t, "the tick", func(p *live.Picture) bool {
		c, _ := p.Care.Run.Check("ops.briefed")
		return c.Verdict == live.Pass && c.Tick != nil
	})
	want := livetest.Change{Path: "/api/hypercare/checks/ops.briefed/tick", Body: `{"evidence":"all of them, at noon"}`, Token: "Bearer " + token}
	if got := d.Changes(); len(got) != 1 || got[0] != want {
		t.Errorf("asked for %+v, want %+v", got, want)
	}
	d.RefuseChanges(&wire.Error{Error: "i1 is \x1b[2Jopen", Code: wire.CodeConflict})
	if res := l.Do(live.ActOnIncident("../x?", wire.VerbClose, wire.IncidentAct{Result: "r"})); res.Err != "HTTP 409: i1 is open" {
		t.Errorf("a refusal = %+v", res)
	}
	if got := d.Changes(); got[1].Path != "/api/incidents/../x?/close" {
		t.Errorf("an id with a slash went to %q", got[1].Path)
	}
	if res := l.Do(live.ReadReport()); res.Report == nil || !strings.HasPrefix(string(res.Report.Raw), "# Report") {
		t.Errorf("the report = %+v", res)
	}
	if res := l.Do(live.ReadClosing()); res.Closing == nil || res.Closing.Seq != 214 || res.Closing.Ready {
		t.Errorf("the closing statement = %+v", res)
	}
}

func TestARequestEndsWithTheFollower(t *testing.T) {
	t.Parallel()
	l := live.New(live.Live{
		URL: "http://127.0.0.1:1", HTTP: live.NewClient(), Publish: func(*live.Picture) {}, Log: slog.New(slog.DiscardHandler),
	}, market.Series{Symbol: "BTCUSDT", Timeframe: market.M1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
	if res := l.Do(live.ReadReport()); res.Err == "" {
		t.Errorf("a request after the end = %+v", res)
	}
}

func TestTheHourAndTheGraphAreRead(t *testing.T) {
	t.Parallel()
	d := livetest.Start(t)
	d.Judge(livetest.Hypercare(time.Now()))
	l, w := start(t, d)
	p := w.until(t, "trends", func(p *live.Picture) bool { return p.Trends.Known })
	if n := len(p.Trends.Evaluations); n != 121 || math.IsNaN(p.Trends.Evaluations[n-1]) || len(p.Trends.P95) != n {
		t.Errorf("%d figures in an hour, the newest %v", n, p.Trends.Evaluations[n-1])
	}
	now := time.Now().Truncate(time.Minute)
	of := live.GraphOf{Query: "sum by (instance) (up)", From: now.Add(-2 * time.Hour), To: now.Add(-time.Hour)}
	l.ShowGraph(of)
	p = w.until(t, "the graph", func(p *live.Picture) bool { return p.Graph.Of == of && !p.Graph.Loading })
	if g := p.Graph; g.Err != "" || len(g.Lines) != 2 || g.Lines[1].Name != "node-b" || len(g.Lines[0].Figures) != 241 {
		t.Errorf("the graph = %d lines, error %q", len(g.Lines), g.Err)
	}
	// A check that is about a moment names no window: the last hour is shown.
	of = live.GraphOf{Query: "sum by (instance) (up)"}
	l.ShowGraph(of)
	p = w.until(t, "the graph of the last hour", func(p *live.Picture) bool { return p.Graph.Of == of && !p.Graph.Loading })
	if g := p.Graph; g.Err != "" || g.To.Sub(g.From) != time.Hour {
		t.Errorf("without a window the graph is of %v to %v, error %q", g.From, g.To, g.Err)
	}
	l.ShowGraph(live.GraphOf{})
	w.until(t, "no graph", func(p *live.Picture) bool { return p.Graph.Of == live.GraphOf{} })
}

// FuzzHypercare: whatever the observer answers, its text cannot reach the terminal as
// anything but text, its figures are finite or NaN, and it is of bounded size.
func FuzzHypercare(f *testing.F) {
	sample, err := json.Marshal(livetest.Hypercare(time.UnixMilli(1_767_322_800_000)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample)
	f.Add([]byte(`{"run":{"title":"\u001b[2J\u202e","checkpoints":[{"overdue":-7,"sections":[{"checks":[{"id":"\u009b","n":1e308,"query":"a\nb\tc"}]}]}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var w wire.Hypercare
		if json.Unmarshal(data, &w) != nil {
			return
		}
		h := live.HypercareOf(w)
		text, err := json.Marshal(textOf(h))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range string(text) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
				t.Fatalf("%q got through: %q", r, text)
			}
		}
	})
}

// textOf is the text of a run, without its figures, which JSON cannot write if NaN.
func textOf(h live.Hypercare) any {
	if h.Run == nil {
		return h.Plan
	}
	var out []any
	r := h.Run
	out = append(out, h.Plan, r.Title, r.Version, r.Head, r.Incidents, r.Decisions, r.SignOffs, r.Exit, r.UserIssues, r.Gaps)
	for _, cp := range r.Checkpoints {
		out = append(out, cp.ID, cp.Title, cp.SignOff, cp.Signed)
		for _, s := range cp.Sections {
			out = append(out, s.Title, s.Commands)
			for _, c := range s.Checks {
				out = append(out, c.ID, c.Text, c.Sentence, c.Value, c.Query, c.Command, c.Attempts, c.Episodes, c.Notes, c.Waiver, c.Tick)
			}
		}
	}
	return out
}
