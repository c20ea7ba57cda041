package tui

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	coremarket "github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/live/sse"
	"github.com/spark-ta/spark/tui/ui"
)

// night is the moment of every frame.
var night = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var btc = coremarket.Series{Symbol: "BTCUSDT", Timeframe: coremarket.M1}

// console returns a model of the size, at night, that was shown p (nil: nothing yet).
func console(t testing.TB, w, h int, o Options, p *live.Picture) *model {
	t.Helper()
	keys, err := ui.NewKeymap(ui.Bindings(), o.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	if o.Series == (coremarket.Series{}) {
		o.Series = btc
	}
	m := newModel(o, keys, func() time.Time { return night }, world{do: answer, show: func(bool) {}, graph: func(live.GraphOf) {}, save: func(string, []byte) error { return nil }})
	m.leaving = func() {}
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	if p != nil {
		m.Update(p)
	}
	return m
}

// answer is what an observer answers to every request: yes.
func answer(r live.Request) live.Result {
	res := live.Result{Gen: r.Gen, Label: r.Label}
	switch r.Label {
	case live.ReadReport().Label:
		text := "# 48 hours after a deployment\n\nVersion v1.4.0, plan spark-48h.\n\n## T+0\n\n- [x] Health endpoints returning 200 OK\n" + strings.Repeat("- [ ] another check\n", 40)
		res.Report = &live.Report{Text: safetext.CleanMultiline(text), Raw: []byte(text)}
	case live.ReadClosing().Label:
		res.Closing = &live.Closing{Statement: "spark hypercare closing statement\nrun run-1\nseq 214\n", Seq: 214, Head: "9c1f22ab"}
	}
	return res
}

// press types keys by their names.
func press(m *model, keys ...string) {
	for _, k := range keys {
		_, cmd := m.Update(keyPress(k))
		run(m, cmd)
	}
}

// run carries out a command and what follows from it, but for ticks and questions to
// the terminal.
func run(m *model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	switch msg := cmd().(type) {
	case nil:
	case tea.BatchMsg:
		for _, c := range msg {
			run(m, c)
		}
	default:
		_, next := m.Update(msg)
		run(m, next)
	}
}

// keyPress is the message of a key with a name such as "a", "G", "ctrl+c" or "pgup".
func keyPress(name string) tea.KeyPressMsg {
	for code, k := range map[rune]tea.Key{
		tea.KeyUp: {}, tea.KeyDown: {}, tea.KeyLeft: {}, tea.KeyRight: {}, tea.KeyPgUp: {}, tea.KeyPgDown: {}, tea.KeyHome: {},
		tea.KeyEnd: {}, tea.KeyTab: {}, tea.KeyEnter: {}, tea.KeyEscape: {}, tea.KeyBackspace: {}, tea.KeyDelete: {},
	} {
		k.Code = code
		if m := tea.KeyPressMsg(k); m.String() == name {
			return m
		}
	}
	if name == "shift+tab" {
		return tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}
	}
	if len(name) == len("ctrl+x") && name[:5] == "ctrl+" {
		return tea.KeyPressMsg{Code: rune(name[5]), Mod: tea.ModCtrl}
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg{Code: r, Text: name}
}

// walk returns n figures that wander around base, the same for the same seed.
func walk(seed uint64, n int, base, step float64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, n)
	for i := range out {
		base += (r.Float64() - 0.49) * step
		out[i] = base
	}
	return out
}

// candles returns n candles up to the one open at night.
func candles(s coremarket.Series, n int) []coremarket.Candle {
	closes := walk(uint64(len(s.Symbol))+uint64(s.Timeframe), n+1, 68_000, 60)
	out := make([]coremarket.Candle, n)
	for i := range out {
		c := coremarket.Candle{Time: s.Timeframe.Add(night.UnixMilli(), i-n+1), Open: closes[i], Close: closes[i+1], Closed: i < n-1}
		c.High, c.Low = max(c.Open, c.Close)+float64(i%7)*3, min(c.Open, c.Close)-float64(i%5)*4
		c.Volume = 3 + math.Abs(c.Close-c.Open)
		out[i] = c
	}
	return out
}

// quiet is a healthy fleet of three at night.
func quiet() *live.Picture {
	roles := []safetext.Text{"executor", "gateway", "observer"}
	instance := func(id safetext.Text, leader bool) live.Instance {
		return live.Instance{
			ID: id, Version: "v1.4.0", Roles: roles, Up: true, Leader: leader, Epoch: 41, StartedAt: night.Add(-50 * time.Hour),
			Age: 400 * time.Millisecond, CPU: 0.034, RSS: 41_300_000, RedisMS: 0.4,
		}
	}
	p := &live.Picture{
		Rev: 1, At: night, URL: "http://spark.example:4010",
		Link:  live.Link{State: live.Connected, Since: night.Add(-time.Hour), LastOK: night, RTT: time.Millisecond, Events: sse.Status{Phase: sse.Live}},
		Fleet: live.Fleet{Rev: 1, At: night.Add(-time.Second), Instances: []live.Instance{instance("node-a", true), instance("node-b", false), instance("node-c", false)}},
		Health: live.Health{
			Rev: 1, At: night, Known: true, OK: true, Instance: "node-a", Version: "v1.4.0", Uptime: 50 * time.Hour, Holder: "node-a", Epoch: 41,
			Lease: 31 * time.Second, RedisOK: true, RedisMS: 0.4, MarketOK: true, MarketMS: 230,
		},
		Alerts: live.Alerts{Rev: 1, Known: true, Total: 1204, Active: 1198},
		Gauges: gauges(),
		Chart: live.Chart{
			Rev: 1, Series: btc, Candles: candles(btc, 500), Stream: sse.Status{Phase: sse.Live}, Latency: 84 * time.Millisecond, At: night,
		},
	}
	for i, s := range []coremarket.Symbol{"BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "PEPEUSDT"} {
		base := []float64{68_123.45, 3_456.7, 171.23, 0.1234, 0.0000123}[i]
		line := walk(uint64(i), 97, base, base/100)
		p.Watch.Tickers = append(p.Watch.Tickers, live.Ticker{
			Symbol: s, Price: line[96], Moved: i%3 - 1, Change: line[96]/line[0] - 1, Spark: line, At: night,
		})
	}
	p.Watch.Tickers[0].Price = p.Chart.Candles[499].Close
	p.Watch.Rev = 1
	p.Feed = feed()
	return p
}

func gauges() live.Gauges {
	g := live.Gauges{
		Rev: 1, At: night, Scraped: 3, Of: 3, ActiveAlerts: 1198, TriggersTotal: 12_345, SentTotal: 12_340, OutboxDepth: 2, OutboxOldest: 0.4,
		StreamsNow: 7, Upstreams: 3, CandleAge: 1.2, EvaluationsNow: 240,
	}
	for i := range 150 {
		g.Evaluations = append(g.Evaluations, 240+40*math.Sin(float64(i)/9))
		g.Triggers = append(g.Triggers, float64(i/20%5))
		g.Sent = append(g.Sent, float64((i+3)/20%5))
		g.Failed = append(g.Failed, 0)
		g.Streams = append(g.Streams, 7)
	}
	return g
}

// feed has forty events, one every 20 s.
func feed() live.Feed {
	f := live.Feed{Rev: 1, Total: 40}
	for i := range 40 {
		e := live.Event{Seq: uint64(40 - i), Time: night.Add(-time.Duration(i) * 20 * time.Second), Symbol: "BTCUSDT", Who: "BTCUSDT"}
		switch i % 4 {
		case 0:
			e.Kind, e.Tone, e.Text = live.Delivery, live.Fine, "webhook sent"
		case 1:
			e.Kind, e.Tone, e.Text = live.Trigger, live.Warning, "1m price price>level at 68123.4"
		case 2:
			e.Kind, e.Tone, e.Who, e.Symbol = live.Record, live.Failure, "node-b", ""
			e.Text = safetext.Text(fmt.Sprintf("store is slow: %d ms, 120 were allowed; the evaluation of this round was put off", 180+i))
		default:
			e.Kind, e.Tone, e.Who, e.Symbol, e.Text = live.Leadership, live.Fine, "node-a", "", "became leader, epoch 41"
		}
		f.Events = append(f.Events, e)
	}
	return f
}
