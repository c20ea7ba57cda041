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
	value  safetext.Text
	detail safetext.Text
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
				c.style, c.value = ui.Warn, "STALE "+old
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
	rest.Clip(0, 0, rest.W, c.style|ui.Bold, c.value)
	rest.Clip(0, 1, rest.W, ui.Dim, c.detail)
}

// unknown is the card of which nothing is known, with the reason if there is one.
func unknown(title safetext.Text, why safetext.Text) card {
	if why == "" {
		return card{title, ui.Dim, "UNKN", "waiting for data"}
	}
	return card{title, ui.Bad, "UNKN", why}
}

func leaderCard(p *live.Picture) card {
	const title = "Leader"
	if i, ok := p.Fleet.Leader(); ok {
		detail := ui.Say("epoch %d", i.Epoch)
		if p.Health.Known && p.Health.Lease > 0 && p.Health.Holder == i.ID {
			detail = ui.Say("lease %s, epoch %d", ui.Seconds(p.Health.Lease), i.Epoch)
		}
		return card{title, ui.Good, i.ID, detail}
	}
	if p.Fleet.At.IsZero() {
		return unknown(title, p.Fleet.Err)
	}
	return card{title, ui.Bad, "NONE", "nobody evaluates alerts"}
}

func marketCard(p *live.Picture) card {
	const title = "Market"
	h := p.Health
	if !h.Known {
		return unknown(title, h.Err)
	}
	detail := safetext.Text("")
	if !math.IsNaN(p.Gauges.Upstreams) {
		detail = ui.Say("%s to exchange", ui.Count(p.Gauges.Upstreams))
	}
	switch {
	case math.IsNaN(h.MarketMS) && h.MarketOK:
		return card{title, ui.Plain, "idle", "no series followed"}
	case h.MarketOK:
		return card{title, ui.Good, ui.Say("OK %s old", age(h.MarketMS)), detail}
	default:
		return card{title, ui.Bad, ui.Say("FAIL %s old", age(h.MarketMS)), detail}
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
		return card{title, ui.Bad, "FAIL", kind + " does not answer"}
	}
	style := ui.Good
	if h.RedisMS > 100 {
		style = ui.Warn
	}
	return card{title, style, ui.Say("OK %s", ui.Millis(h.RedisMS)), kind}
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
	detail := ui.Say("%s triggers", ui.Count(p.Gauges.TriggersTotal))
	style := ui.Plain
	if a.Failed > 0 {
		style, detail = ui.Warn, ui.Say("%d with an error", a.Failed)
	}
	return card{title, style, ui.Say("%s active", ui.Count(active)), detail}
}

func deliveryCard(p *live.Picture) card {
	const title = "Deliveries"
	g := p.Gauges
	if math.IsNaN(g.SentTotal) {
		return unknown(title, g.Err)
	}
	c := card{title, ui.Good, ui.Say("OK %s sent", ui.Count(g.SentTotal)), ui.Say("%s waiting", ui.Count(g.OutboxDepth))}
	failing := len(g.Failed) > 0 && g.Failed[len(g.Failed)-1] > 0
	switch {
	case g.DeadTotal > 0:
		c.style, c.value = ui.Bad, ui.Say("%s given up", ui.Count(g.DeadTotal))
	case failing:
		c.style, c.value = ui.Warn, ui.Say("%s failed/min", ui.Count(g.Failed[len(g.Failed)-1]))
	}
	if g.OutboxDepth > 0 && g.OutboxOldest >= 1 {
		c.detail = ui.Say("%s waiting, %s", ui.Count(g.OutboxDepth), ui.Seconds(seconds(g.OutboxOldest)))
	}
	return c
}

func seconds(v float64) time.Duration {
	return time.Duration(min(max(v, 0), 1e9) * float64(time.Second))
}
