package tui

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/livetest"
	"github.com/spark-ta/spark/tui/live/sse"
)

// sizes are those that the specification names.
var sizes = [][2]int{{60, 16}, {80, 24}, {120, 40}, {200, 60}}

// scene is a state of the console worth looking at.
type scene struct {
	name    string
	picture *live.Picture
	keys    []string
}

func scenes() []scene {
	return []scene{
		{"overview", quiet(), nil},
		{"overview before the first answer", nil, nil},
		{"overview in trouble", trouble(), []string{"down", "down"}},
		{"market", quiet(), []string{"3"}},
		{"market without its daemon", trouble(), []string{"3"}},
		{"market of a symbol that is not listed", refused(), []string{"3"}},
		{"help", quiet(), []string{"?"}},
		{"palette", quiet(), []string{"3", ":", "s", "o", "l"}},
		{"overview in hypercare", caring(), nil},
		{"hypercare", caring(), []string{"2"}},
		{"hypercare, a check", caring(), []string{"2", "enter"}},
		{"hypercare, a manual check", rehearsing(), []string{"2", "left", "enter"}},
		{"hypercare, objectives", caring(), []string{"2", "tab"}},
		{"hypercare, incidents", caring(), []string{"2", "tab", "tab"}},
		{"hypercare, decisions", caring(), []string{"2", "tab", "tab", "tab"}},
		{"hypercare, exit", caring(), []string{"2", "shift+tab", "shift+tab", "O"}},
		{"hypercare, report", caring(), []string{"2", "shift+tab"}},
		{"hypercare before a run", planned(), []string{"2"}},
		{"hypercare, start?", planned(), []string{"2", "S", "enter", "enter"}},
		{"hypercare of an older daemon", older(), []string{"2"}},
		{"hypercare, waive", caring(), []string{"2", "down", "W", "n", "o", "enter"}},
		{"hypercare without its daemon", lostCare(), []string{"2"}},
	}
}

// trouble is a fleet whose observer was lost twelve seconds ago, and what it said
// last was not good either.
func trouble() *live.Picture {
	p := quiet()
	p.Link = live.Link{
		State: live.Lost, Attempts: 7, Cause: "connection refused", Since: night.Add(-11 * time.Second), LastOK: night.Add(-12 * time.Second),
		Next: night.Add(4 * time.Second), Events: sse.Status{Phase: sse.Waiting, Attempts: 3},
	}
	p.Fleet.At = night.Add(-13 * time.Second)
	for i := range p.Fleet.Instances {
		p.Fleet.Instances[i].Leader = false
	}
	p.Fleet.Instances[0].Up, p.Fleet.Instances[0].Age = false, 95*time.Second
	p.Fleet.Instances[1].ID = "ip-10-0-131-27.eu-central-1.compute.internal"
	p.Fleet.Instances[2].ID, p.Fleet.Instances[2].Epoch, p.Fleet.Instances[2].CPU = "節点-三", 1_767_322_800_123, 3.97
	for i := range 30 {
		more := p.Fleet.Instances[1]
		more.ID = safetext.Text(fmt.Sprintf("spare-%02d", i))
		p.Fleet.Instances = append(p.Fleet.Instances, more)
	}
	p.Health.OK, p.Health.RedisOK, p.Health.MarketOK, p.Health.MarketMS, p.Health.At = false, false, false, 734_000, night.Add(-12*time.Second)
	p.Gauges.DeadTotal, p.Gauges.OutboxDepth, p.Gauges.OutboxOldest, p.Gauges.At = 1_234, 98_765, 5_400, night.Add(-12*time.Second)
	for i := 140; i < 150; i++ {
		p.Gauges.Evaluations[i], p.Gauges.Failed[i] = math.NaN(), float64(i)
	}
	p.Chart.Stream = sse.Status{Phase: sse.Waiting, Attempts: 4, Cause: "connection reset by peer", Next: night.Add(9 * time.Second)}
	p.Chart.At = night.Add(-12 * time.Second)
	p.Watch.Tickers[1].Price, p.Watch.Tickers[1].Change, p.Watch.Tickers[1].Spark = math.NaN(), math.NaN(), nil
	p.Watch.Tickers[2].Err = "HTTP 503: the exchange has banned us for 17 minutes"
	p.Watch.Tickers[3].Symbol, p.Watch.Tickers[3].Price = "1000SATSUSDTPERP", 0.0000000123456
	p.Watch.Tickers[4].Price, p.Watch.Tickers[4].Change = 98_765_432_109.8, 1234.5
	for i := range p.Watch.Tickers {
		p.Watch.Tickers[i].At = night.Add(-20 * time.Second)
	}
	p.Feed.Events[1].Text = "1m price price>level at 68123.4 (late) \u202e\u2066👍🏽 e\u0301 世界 🇩🇪 \x1b[2J"
	return p
}

// caring is a quiet fleet in the middle of a run that is not quiet.
func caring() *live.Picture {
	p := quiet()
	p.Care = live.HypercareOf(livetest.Hypercare(night))
	p.Care.Rev, p.Care.At = 1, night
	p.Graph = live.Graph{Rev: 1, Of: live.GraphOf{Query: `sum by (instance) (log_records_total{level="error"})`}, From: night.Add(-37 * time.Minute), To: night}
	for i, name := range []safetext.Text{"node-a", "node-b", "node-c"} {
		figures := make([]float64, 240)
		for j := range figures {
			figures[j] = float64(i * (j / 60))
		}
		p.Graph.Lines = append(p.Graph.Lines, live.Series{Name: name, Figures: figures})
	}
	p.Trends = live.Trends{Rev: 1, Known: true, At: night}
	for i := range 121 {
		x := float64(i)
		p.Trends.Evaluations = append(p.Trends.Evaluations, 240+40*math.Sin(x/9))
		p.Trends.Triggers = append(p.Trends.Triggers, float64(i/20%5))
		p.Trends.Sent = append(p.Trends.Sent, float64((i+3)/20%5))
		p.Trends.Failed = append(p.Trends.Failed, float64(i/100))
		p.Trends.Streams = append(p.Trends.Streams, 7)
		p.Trends.P95 = append(p.Trends.P95, 0.012+0.004*math.Cos(x/7))
	}
	return p
}

// rehearsing is the same, in virtual time.
func rehearsing() *live.Picture {
	p := caring()
	run := *p.Care.Run
	run.Rehearsal, run.Scenario = true, "stuck leader"
	p.Care.Run = &run
	return p
}

// planned is an observer that has a plan and no run.
func planned() *live.Picture {
	p := quiet()
	w := livetest.Hypercare(night)
	w.Run = nil
	p.Care = live.HypercareOf(w)
	p.Care.Rev, p.Care.At = 1, night
	return p
}

// older is a daemon that does not judge.
func older() *live.Picture {
	p := quiet()
	p.Care = live.Hypercare{Rev: 1, At: night, Missing: true}
	return p
}

// lostCare is a run whose observer was lost.
func lostCare() *live.Picture {
	p := caring()
	p.Link = trouble().Link
	return p
}

// refused is a chart that the gateway has no candles for.
func refused() *live.Picture {
	p := quiet()
	p.Chart.Candles, p.Chart.Err, p.Chart.At, p.Chart.Latency = nil, "HTTP 400: no such symbol", time.Time{}, 0
	return p
}

func frame(t testing.TB, s scene, w, h int, o Options) string {
	t.Helper()
	m := console(t, w, h, o, s.picture)
	press(m, s.keys...)
	return m.View().Content
}

// text is a frame without its colours and the blanks at the ends of its lines.
func text(frame string) string {
	lines := strings.Split(ansi.Strip(frame), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// golden compares with a file in testdata, or writes it with UPDATE=1.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; UPDATE=1 writes it anew):\n%s", path, diff)
	}
}

func TestFramesLookAsTheyDid(t *testing.T) {
	for _, size := range sizes {
		var b strings.Builder
		for _, s := range scenes() {
			fmt.Fprintf(&b, "-- %s --\n%s", s.name, text(frame(t, s, size[0], size[1], Options{NoColor: true})))
		}
		golden(t, fmt.Sprintf("%dx%d.golden", size[0], size[1]), b.String())
	}
}

func TestColoursLookAsTheyDid(t *testing.T) {
	var b strings.Builder
	for _, look := range looks() {
		for _, s := range scenes()[2:4] {
			fmt.Fprintf(&b, "-- %s, %s --\n%s\n", s.name, look.name, frame(t, s, 80, 24, look.options))
		}
	}
	golden(t, "colours.golden", strings.ReplaceAll(b.String(), "\x1b", "␛"))
}

type look struct {
	name    string
	options Options
}

func looks() []look {
	return []look{
		{"dark", Options{Theme: Dark}}, {"light", Options{Theme: Light}}, {"no colour", Options{NoColor: true}},
	}
}

func TestColourCarriesNothing(t *testing.T) {
	for _, size := range sizes {
		for _, s := range scenes() {
			want := text(frame(t, s, size[0], size[1], Options{NoColor: true}))
			for _, look := range looks() {
				if diff := cmp.Diff(want, text(frame(t, s, size[0], size[1], look.options))); diff != "" {
					t.Errorf("%s at %v in %s reads differently (-no colour +%s):\n%s", s.name, size, look.name, look.name, diff)
				}
			}
		}
	}
}

func TestASCIIIsASCII(t *testing.T) {
	for _, size := range sizes {
		for _, s := range scenes() {
			for _, r := range text(frame(t, s, size[0], size[1], Options{ASCII: true})) {
				if r > '~' || r < ' ' && r != '\n' {
					t.Errorf("%s at %v has %q", s.name, size, r)
				}
			}
		}
	}
}

func TestWhatMattersIsWrittenAtEverySize(t *testing.T) {
	tests := []struct {
		scene string
		want  []string
	}{
		{"overview", []string{"LIVE", "node-a", "leader", "OK", "TRIGGER", "q quit", "03:04:05"}},
		{"overview before the first answer", []string{"STARTING", "connecting", "UNKN", "waiting", "q quit"}},
		{"overview in trouble", []string{"CONNECTION LOST", "attempt 7", "retry in 4s", "LOST 12s", "DOWN", "1 down", "NO LEADER", "STALE", "NOTIFY"}},
		{"market", []string{"BTCUSDT 1m", "LIVE 84ms", "alert", "+", "volume"}},
		{"market without its daemon", []string{"CONNECTION LOST", "attempt 7", "STREAM LOST", "BTCUSDT 1m"}},
		{"market of a symbol that is not listed", []string{"NO CANDLES", "no candles: HTTP 400: no such symbol"}},
		{"help", []string{"Everywhere", "leave the console"}},
		{"palette", []string{"symbol SOLUSDT", " : sol"}},
		{"overview in hypercare", []string{"T+00:22", "SSE UNKN", "LAT 0.4s P", "NTF 96.1% W", "hypercare T+15m", "1 incident L2"}},
		{"hypercare", []string{"T+15m", "BLOCKED", "due in 3m", "FAIL key No critical errors in logs", "UNKN key", "sees 2 of 3 targets"}},
		{"hypercare, a check", []string{"log.fatal", "FAIL", "node-c wrote 4 fatal records", "== 0", "100%", "02:42 to 03:04", "03:04, now"}},
		{"hypercare, a manual check", []string{"REHEARSAL", "PEND", "operations-lead", "02:52, 12m ago"}},
		{"hypercare, objectives", []string{"UNKN", "not measured", "even spending: 1%", "30m 0.4 of 9.6"}},
		{"hypercare, incidents", []string{"OPEN", "L2", "node-c does not", "nobody yet"}},
		{"hypercare, decisions", []string{"PROPOSED", "ALERT_COOLDOWN_SEC", "300 → 180", "412 of 1,004"}},
		{"hypercare, exit", []string{"3 of 6", "NOT MET", "MET", "no key check fails"}},
		{"hypercare, report", []string{"# 48 hours after a deployment", "[x] Health", "912 bytes"}},
		{"hypercare before a run", []string{"No run has been started", "spark-48h", "7 checkpoints, 58 checks", "S starts it"}},
		{"hypercare, start?", []string{"Start plan spark-48h", "v1.4.0", "No (enter)", "Yes (shift Y)"}},
		{"hypercare of an older daemon", []string{"does not judge", "404", "SPARK_ROLES"}},
		{"hypercare, waive", []string{"Waive sse.slo", "reason: 2 characters, at least 20 are required"}},
		{"hypercare without its daemon", []string{"CONNECTION LOST", "LOST 12s", "BLOCKED", "log"}},
	}
	all := scenes()
	for i, tt := range tests {
		if all[i].name != tt.scene {
			t.Fatalf("scene %d is %q, want %q", i, all[i].name, tt.scene)
		}
		for _, size := range sizes {
			got := text(frame(t, all[i], size[0], size[1], Options{NoColor: true}))
			for _, want := range tt.want {
				if !strings.Contains(got, want) {
					t.Errorf("%s at %v lacks %q:\n%s", tt.scene, size, want, got)
				}
			}
		}
	}
}

func TestASmallTerminalIsToldWhatItHides(t *testing.T) {
	tests := []struct {
		key  string
		w, h int
		want string // empty: nothing is hidden
	}{
		{"1", 60, 16, "prices and charts are hidden below 80×22"}, {"1", 79, 40, "prices and charts are hidden below 80×22"}, {"1", 80, 22, ""},
		{"3", 60, 16, "prices and triggers are hidden below 110×30"}, {"3", 110, 29, "triggers are hidden below 30 rows"},
		{"2", 60, 16, ""}, {"2", 79, 15, "60×16 needed"},
		{"3", 109, 30, "prices are hidden below 110 columns"}, {"3", 110, 30, ""},
		{"1", 59, 16, "60×16 needed"}, {"1", 60, 15, "60×16 needed"},
	}
	for _, tt := range tests {
		got := text(frame(t, scene{picture: quiet(), keys: []string{tt.key}}, tt.w, tt.h, Options{NoColor: true}))
		if tt.want == "" && strings.Contains(got, "hidden") || !strings.Contains(got, tt.want) {
			t.Errorf("screen %s at %d×%d does not say %q:\n%s", tt.key, tt.w, tt.h, tt.want, got)
		}
	}
}

func TestTheChipsKnowTheShippedObjectives(t *testing.T) {
	run := &live.Run{SLOs: []live.SLO{
		{ID: "slo.success", Title: "Notification success since T+0", Value: 0.991, Verdict: live.Pass},
		{ID: "slo.latency", Title: "Alert latency since T+0: 95 % of the decisions within 2 s", Value: 0.999, Show: "P95 0.41s", Verdict: live.Warn},
		{ID: "slo.availability", Title: "SSE availability since T+0", Value: 1, Verdict: live.Fail},
	}}
	want := []safetext.Text{"SSE 100% F", "LAT 0.41s W", "NTF 99.10% P"}
	for i, c := range chips(run) {
		if c.text != want[i] {
			t.Errorf("chip %d = %q, want %q", i, c.text, want[i])
		}
	}
	for _, c := range chips(&live.Run{SLOs: []live.SLO{{ID: "slo.availability", Title: "SSE", Value: math.NaN(), Verdict: live.Unknown}}}) {
		if !strings.HasSuffix(string(c.text), " UNKN") {
			t.Errorf("a chip of nothing measured = %q", c.text)
		}
	}
}
