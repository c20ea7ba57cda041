package overview

import (
	"math"
	"time"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// card is one fact about the system: a verdict in a word, and what it rests on.
type card struct {
	title  safetext.Text
	style  ui.Style
	value  phrase
	detail phrase
}

// phrase is a text with a shorter form for narrow cards, so that no figure is cut.
type phrase struct{ long, short safetext.Text }

func say(t safetext.Text) phrase { return phrase{t, t} }

// in returns the form that fits into w columns.
func (p phrase) in(w int) safetext.Text {
	if ui.Width(p.long) <= w {
		return p.long
	}
	return p.short
}

func (s *Screen) drawCards(a ui.Area, p *live.Picture) {
	type key struct {
		health, alerts, gauges, fleet uint64
		theme                         *ui.Theme
		stale                         [2]safetext.Text
	}
	stale := [2]safetext.Text{s.stale(p.Health.At, time.Second), s.stale(p.Gauges.At, live.GaugesEvery)}
	k := key{p.Health.Rev, p.Alerts.Rev, p.Gauges.Rev, p.Fleet.Rev, s.Theme, stale}
	s.cards.Draw(a, k, func(a ui.Area) {
		cards := []card{leaderCard(p), marketCard(p), storeCard(p), alertsCard(p), deliveryCard(p)}
		for i, c := range cards {
			if old := stale[min(i/3, 1)]; old != "" {
				c.style, c.value = ui.Warn, say("STALE "+old)
			}
			x, next := i*a.W/len(cards), (i+1)*a.W/len(cards)
			box := a.Sub(x, 0, next-x-1, a.H)
			if i == len(cards)-1 {
				box = a.Sub(x, 0, next-x, a.H)
			}
			c.draw(box, s.Theme)
		}
	})
}

func (c card) draw(a ui.Area, t *ui.Theme) {
	rest := a.Heading(t, false, c.title, "")
	rest.Clip(0, 0, rest.W, c.style|ui.Bold, c.value.in(rest.W))
	rest.Clip(0, 1, rest.W, ui.Dim, c.detail.in(rest.W))
}

// unknown is the card of which nothing is known, with the reason if there is one.
func unknown(title safetext.Text, why safetext.Text) card {
	if why == "" {
		return card{title, ui.Dim, say("UNKN"), phrase{"waiting for data", "waiting"}}
	}
	return card{title, ui.Bad, say("UNKN"), say(why)}
}

func leaderCard(p *live.Picture) card {
	const title = "Leader"
	if i, ok := p.Fleet.Leader(); ok {
		detail := say(ui.Say("epoch %d", i.Epoch))
		if p.Health.Known && p.Health.Lease > 0 && p.Health.Holder == i.ID {
			detail.short = ui.Say("lease %s", ui.Seconds(p.Health.Lease))
			detail.long = detail.short + ", " + detail.long
		}
		return card{title, ui.Good, say(i.ID), detail}
	}
	if p.Fleet.At.IsZero() {
		return unknown(title, p.Fleet.Err)
	}
	return card{title, ui.Bad, say("NONE"), phrase{"nobody evaluates alerts", "no alerts"}}
}

func marketCard(p *live.Picture) card {
	const title = "Market"
	h := p.Health
	if !h.Known {
		return unknown(title, h.Err)
	}
	var detail phrase
	if n := p.Gauges.Upstreams; !math.IsNaN(n) {
		detail = phrase{ui.Say("%s to exchange", ui.Count(n)), ui.Say("streams %s", ui.Count(n))}
	}
	switch {
	case math.IsNaN(h.MarketMS) && h.MarketOK:
		return card{title, ui.Plain, say("idle"), phrase{"no series followed", "no series"}}
	case h.MarketOK:
		return card{title, ui.Good, phrase{ui.Say("OK %s old", age(h.MarketMS)), ui.Say("OK %s", age(h.MarketMS))}, detail}
	default:
		return card{title, ui.Bad, phrase{ui.Say("FAIL %s old", age(h.MarketMS)), ui.Say("FAIL %s", age(h.MarketMS))}, detail}
	}
}

func age(ms float64) string {
	if math.IsNaN(ms) {
		return "–"
	}
	return ui.Age(time.Duration(min(max(ms, 0), 1e12)) * time.Millisecond)
}

func storeCard(p *live.Picture) card {
	const title = "Store"
	h := p.Health
	if !h.Known {
		return unknown(title, h.Err)
	}
	kind := safetext.Text("Redis")
	if h.Embedded {
		kind = "embedded"
	}
	if !h.RedisOK {
		return card{title, ui.Bad, say("FAIL"), phrase{kind + " does not answer", "no answer"}}
	}
	style := ui.Good
	if h.RedisMS > 100 {
		style = ui.Warn
	}
	return card{title, style, say(ui.Say("OK %s", ui.Millis(h.RedisMS))), say(kind)}
}

func alertsCard(p *live.Picture) card {
	const title = "Alerts"
	a := p.Alerts
	active, known := float64(a.Active), a.Known && !a.More
	if !known {
		active, known = p.Gauges.ActiveAlerts, !math.IsNaN(p.Gauges.ActiveAlerts)
	}
	if !known {
		return unknown(title, a.Err)
	}
	fired := ui.Count(p.Gauges.TriggersTotal)
	detail := phrase{ui.Say("%s triggers", fired), ui.Say("%s fired", fired)}
	style := ui.Plain
	if a.Failed > 0 {
		style, detail = ui.Warn, phrase{ui.Say("%d with an error", a.Failed), ui.Say("%d failed", a.Failed)}
	}
	return card{title, style, phrase{ui.Say("%s active", ui.Count(active)), ui.Say("%s on", ui.Count(active))}, detail}
}

func deliveryCard(p *live.Picture) card {
	const title = "Notify"
	g := p.Gauges
	if math.IsNaN(g.SentTotal) {
		return unknown(title, g.Err)
	}
	sent, waiting := ui.Count(g.SentTotal), ui.Say("%s waiting", ui.Count(g.OutboxDepth))
	c := card{title, ui.Good, phrase{ui.Say("OK %s sent", sent), ui.Say("OK %s", sent)}, phrase{waiting, ui.Say("%s due", ui.Count(g.OutboxDepth))}}
	failing := len(g.Failed) > 0 && g.Failed[len(g.Failed)-1] > 0
	switch {
	case g.DeadTotal > 0:
		c.style, c.value = ui.Bad, phrase{ui.Say("%s given up", ui.Count(g.DeadTotal)), ui.Say("%s dead", ui.Count(g.DeadTotal))}
	case failing:
		n := ui.Count(g.Failed[len(g.Failed)-1])
		c.style, c.value = ui.Warn, phrase{ui.Say("%s failed/min", n), ui.Say("%s fail/m", n)}
	}
	if g.OutboxDepth > 0 && g.OutboxOldest >= 1 {
		c.detail.long = ui.Say("%s, %s", waiting, ui.Seconds(seconds(g.OutboxOldest)))
	}
	return c
}

func seconds(v float64) time.Duration {
	return time.Duration(min(max(v, 0), 1e9) * float64(time.Second))
}
