package live

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/tui/live/sse"
)

// runEvents follows the observer's events.
func (l *Live) runEvents(ctx context.Context) error {
	if err := l.up.wait(ctx); err != nil {
		return err
	}
	feed := newRing()
	source := sse.Source{
		URL:    l.URL + wire.PathEvents,
		LastID: "0", // what the observer still has: an operator who has just come wants to know
		HTTP:   l.HTTP,
		Status: l.eventStatus,
		Wake:   l.up.onOpen(),
		Handle: func(e sse.Event) { l.take(feed, e) },
	}
	return source.Run(ctx)
}

func (l *Live) take(feed *ring, e sse.Event) {
	event, ok := Decode(e)
	if !ok || !feed.add(e, event) {
		return
	}
	switch event.Kind {
	case Trigger:
		nudge(l.alerts)
	case Judgement, Trouble:
		l.care.hurry()
	}
	events, total := feed.newest(), feed.total
	l.board.change(func(p *Picture, rev uint64) { p.Feed = Feed{Rev: rev, Total: total, Events: events} })
}

// ring keeps the newest events, and knows those it has by their content: the
// daemon may send one again after a reconnect, and its numbers begin anew when it
// is restarted. It belongs to the goroutine that reads the stream.
type ring struct {
	seed   maphash.Seed
	total  uint64
	events []Event // oldest first
	sums   []uint64
	known  map[uint64]struct{}
}

func newRing() *ring {
	return &ring{seed: maphash.MakeSeed(), known: map[uint64]struct{}{}}
}

// add keeps e unless it is there already.
func (r *ring) add(raw sse.Event, e Event) bool {
	sum := maphash.String(r.seed, raw.Name+"\x00"+raw.Data)
	if _, twice := r.known[sum]; twice {
		return false
	}
	r.total++
	e.Seq = r.total
	r.known[sum] = struct{}{}
	r.events, r.sums = append(r.events, e), append(r.sums, sum)
	if len(r.events) > FeedLimit {
		delete(r.known, r.sums[0])
		r.events, r.sums = r.events[1:], r.sums[1:]
	}
	return true
}

// newest returns a copy, newest first.
func (r *ring) newest() []Event {
	out := make([]Event, len(r.events))
	for i, e := range r.events {
		out[len(out)-1-i] = e
	}
	return out
}

// Decode makes an entry of the feed of an event of the observer, without a Seq, and
// false of one that the feed does not show.
func Decode(e sse.Event) (Event, bool) {
	switch e.Name {
	case wire.EventAlert:
		return decoded(e.Data, ofTrigger)
	case wire.EventNotify:
		return decoded(e.Data, ofDelivery)
	case wire.EventLeader:
		return decoded(e.Data, ofLeader)
	case wire.EventLog:
		return decoded(e.Data, ofRecord)
	case wire.EventVerdict:
		return decoded(e.Data, ofVerdict)
	case wire.EventIncident:
		return decoded(e.Data, ofIncident)
	}
	return Event{}, false
}

func decoded[T any](data string, of func(T) (Event, bool)) (Event, bool) {
	var body T
	if json.Unmarshal([]byte(data), &body) != nil {
		return Event{}, false
	}
	return of(body)
}

func ofTrigger(w wire.AlertEvent) (Event, bool) {
	symbol, err := market.ParseSymbol(w.Symbol)
	if err != nil {
		return Event{}, false
	}
	tone := Warning
	if w.Severity == "critical" {
		tone = Failure
	}
	text := fmt.Sprintf("%s %s %s", w.Timeframe, w.Type, w.Reason)
	if w.Price > 0 {
		text += fmt.Sprintf(" at %v", w.Price)
	}
	if w.Late {
		text += " (late)"
	}
	return Event{
		Kind: Trigger, Tone: tone, Time: time.UnixMilli(w.TS), Symbol: symbol, Bar: time.UnixMilli(w.Bar),
		Who: safetext.Clean(string(symbol)), Text: safetext.Clean(text),
	}, true
}

func ofDelivery(w wire.NotifyEvent) (Event, bool) {
	tone := Neutral
	switch w.State {
	case "sent":
		tone = Fine
	case "retrying":
		tone = Warning
	case "dead":
		tone = Failure
	}
	text := w.Channel + " " + w.State
	if w.Attempt > 1 || tone != Fine {
		text += fmt.Sprintf(", attempt %d", w.Attempt)
	}
	if w.Error != "" {
		text += ": " + w.Error
	}
	symbol, _ := market.ParseSymbol(w.Symbol)
	return Event{
		Kind: Delivery, Tone: tone, Time: time.UnixMilli(w.Time), Symbol: symbol,
		Who: safetext.Clean(w.Symbol), Text: safetext.Clean(text),
	}, true
}

func ofLeader(w wire.LeaderEvent) (Event, bool) {
	tone := Warning
	if w.State == "became" {
		tone = Fine
	}
	text := fmt.Sprintf("%s leader, epoch %d", w.State, w.Epoch)
	if w.State != "became" {
		text = fmt.Sprintf("%s leadership, epoch %d", w.State, w.Epoch)
	}
	if w.Reason != "" {
		text += ": " + w.Reason
	}
	return Event{
		Kind: Leadership, Tone: tone, Time: time.UnixMilli(w.Time),
		Who: safetext.Clean(w.Holder), Text: safetext.Clean(text),
	}, true
}

func ofRecord(w wire.LogRecord) (Event, bool) {
	tone := Warning
	switch strings.ToLower(w.Level) {
	case "warn":
	case "error":
		tone = Failure
	default:
		return Event{}, false
	}
	text := w.Message
	if reason := w.Attrs["error"]; reason != "" {
		text += ": " + reason
	}
	return Event{
		Kind: Record, Tone: tone, Time: time.UnixMilli(w.Time),
		Who: safetext.Clean(w.Instance), Text: safetext.Clean(text),
	}, true
}

func ofVerdict(w wire.VerdictEvent) (Event, bool) {
	v := verdictOf(w.Verdict)
	tone := Neutral
	switch v {
	case Pass:
		tone = Fine
	case Warn, Unknown:
		tone = Warning
	case Fail:
		tone = Failure
	}
	text := string(v.Word()) + " " + w.Text
	if w.Sentence != "" {
		text += ": " + w.Sentence
	}
	return Event{Kind: Judgement, Tone: tone, Time: time.UnixMilli(w.Time), Who: safetext.Clean(w.Check), Text: safetext.Clean(text)}, true
}

func ofIncident(w wire.IncidentEvent) (Event, bool) {
	tone := Warning
	switch {
	case w.State == "closed":
		tone = Fine
	case w.Level >= 2:
		tone = Failure
	}
	text := fmt.Sprintf("incident of level %d %s: %s", w.Level, w.State, w.Title)
	return Event{Kind: Trouble, Tone: tone, Time: time.UnixMilli(w.Time), Who: safetext.Clean(w.ID), Text: safetext.Clean(text)}, true
}
