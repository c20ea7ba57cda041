package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// AlertReader reads what is stored. Alerts returns the newest first.
type AlertReader interface {
	Alerts(ctx context.Context) ([]alert.Alert, []store.Damage, error)
	Alert(ctx context.Context, id string) (alert.Alert, error)
	History(ctx context.Context, id string, limit int) ([]store.EventRecord, error)
}

// AlertWriter changes what is stored. What it has acknowledged is durable.
type AlertWriter interface {
	CreateAlert(ctx context.Context, a alert.Alert) error
	SetActive(ctx context.Context, id string, active bool, now int64) (alert.Alert, error)
	DeleteAlert(ctx context.Context, id string) error
}

// Candles returns candles on demand, oldest first; cache is one of wire.Cache….
type Candles interface {
	Candles(ctx context.Context, series market.Series, limit int) (candles []market.Candle, cache string, err error)
}

// Counter counts by a name of core/wire.
type Counter interface {
	Add(name string, v float64, labels ...string)
}

// Alerts answers the alert calls of the executor.
type Alerts struct {
	Reader      AlertReader
	Writer      AlertWriter
	Candles     Candles
	Counter     Counter
	Gate        Gate
	CooldownSec int                               // of an alert that names none
	History     int                               // most events kept per alert
	Channels    func() []string                   // names that an alert may name
	Inspect     func(id string) (eval.View, bool) // what the leader knows, if it is this instance
}

// AddTo adds the calls to a router.
func (h *Alerts) AddTo(rt *Router) {
	rt.on(http.MethodPost, wire.PathAlertsCreate, h.Gate.change(h.create))
	rt.on(http.MethodGet, wire.PathAlertsList, h.list)
	rt.on(http.MethodGet, wire.PathAlertsGet, h.get)
	rt.on(http.MethodPost, wire.PathAlertsEnable, h.Gate.change(h.activate(true)))
	rt.on(http.MethodPost, wire.PathAlertsDisable, h.Gate.change(h.activate(false)))
	rt.on(http.MethodPost, wire.PathAlertsDelete, h.Gate.change(h.remove))
	rt.on(http.MethodPost, wire.PathAlertsTest, h.Gate.change(h.test))
	rt.on(http.MethodGet, wire.PathAlertsHistory, h.history)
}

func (h *Alerts) create(w http.ResponseWriter, r *http.Request) error {
	var in wire.CreateAlert
	if err := read(w, r, &in); err != nil {
		return err
	}
	a, err := h.build(in, time.Now().UnixMilli())
	if err != nil {
		return err
	}
	if err := h.Writer.CreateAlert(r.Context(), a); err != nil {
		return err
	}
	h.Counter.Add(wire.MetricAlertsCreated, 1, string(a.Type()))
	reply(w, http.StatusOK, wire.AlertCreated{OK: true, ID: a.ID, Alert: h.show(a)})
	return nil
}

// build checks a request and fills in the defaults.
func (h *Alerts) build(in wire.CreateAlert, now int64) (alert.Alert, error) {
	symbol, err := market.ParseSymbol(in.Symbol)
	if err != nil {
		return alert.Alert{}, err
	}
	tf, err := market.ParseTimeframe(in.Timeframe)
	if err != nil {
		return alert.Alert{}, err
	}
	params, err := alert.ParseParams(alert.Type(in.Type), in.Params)
	if err != nil {
		return alert.Alert{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return alert.Alert{}, err
	}
	a := alert.Alert{
		ID: id.String(), Rev: 1,
		Series: market.Series{Symbol: symbol, Timeframe: tf}, Params: params,
		Mode: alert.Mode(orWord(in.Trigger, string(alert.Intrabar))), CooldownSec: h.CooldownSec,
		Hysteresis: in.Hysteresis, Severity: alert.Severity(orWord(in.Severity, string(alert.Info))),
		Channels: in.Channels, Note: in.Note,
		Active: true, CreatedAt: now, UpdatedAt: now,
	}
	if in.CooldownSec != nil {
		a.CooldownSec = *in.CooldownSec
	}
	if in.ExpiresAt != nil {
		a.ExpiresAt = *in.ExpiresAt
		if a.ExpiresAt <= now {
			return a, &alert.InputError{Field: "expiresAt", Reason: strconv.FormatInt(a.ExpiresAt, 10) + " is not in the future"}
		}
	}
	if err := a.Check(); err != nil {
		return a, err
	}
	return a, h.knows(a.Channels)
}

func (h *Alerts) knows(channels []string) error {
	known := h.Channels()
	for _, c := range channels {
		found := false
		for _, k := range known {
			found = found || k == c
		}
		if !found {
			return badInput("channels", "channel %.32q is not configured: configured are %.256s", c, orWord(strings.Join(known, ", "), "none"))
		}
	}
	return nil
}

func orWord(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// show converts an alert with its state: the leader's own when this is the leader,
// otherwise what the stored fields alone say.
func (h *Alerts) show(a alert.Alert) wire.Alert {
	return wire.FromAlert(a, h.state(a, time.Now().UnixMilli()))
}

func (h *Alerts) state(a alert.Alert, now int64) alert.State {
	switch {
	case !a.Active && a.Mode == alert.Once && a.LastTriggeredAt > 0:
		return alert.Done
	case !a.Active:
		return alert.Paused
	case a.ExpiresAt > 0 && a.ExpiresAt <= now:
		return alert.Expired
	}
	if v, ok := h.Inspect(a.ID); ok {
		return v.State
	}
	return alert.Unknown
}

func (h *Alerts) list(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "symbol", "type", "active", "sort", "limit", "cursor")
	if err != nil {
		return err
	}
	keep, err := filter(q)
	if err != nil {
		return err
	}
	limit, err := wholeNumber(q, "limit", 0, 1, 10_000)
	if err != nil {
		return err
	}
	all, _, err := h.Reader.Alerts(r.Context())
	if err != nil {
		return err
	}
	if q["sort"] == "oldest" {
		for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
			all[i], all[j] = all[j], all[i]
		}
	}
	out := wire.AlertList{OK: true, Items: []wire.Alert{}}
	skipping := q["cursor"] != ""
	for _, a := range all {
		if skipping {
			skipping = a.ID != q["cursor"]
			continue
		}
		if !keep(a) {
			continue
		}
		if limit > 0 && len(out.Items) == limit {
			out.NextCursor = out.Items[limit-1].ID
			break
		}
		out.Items = append(out.Items, h.show(a))
	}
	if skipping {
		return badInput("cursor", "cursor %.64q is not an alert's id; begin again without one", q["cursor"])
	}
	reply(w, http.StatusOK, out)
	return nil
}

// filter reads the conditions of a list.
func filter(q map[string]string) (func(alert.Alert) bool, error) {
	var symbol market.Symbol
	if s, ok := q["symbol"]; ok {
		parsed, err := market.ParseSymbol(s)
		if err != nil {
			return nil, err
		}
		symbol = parsed
	}
	if s, ok := q["sort"]; ok && s != "newest" && s != "oldest" {
		return nil, badInput("sort", "sort %.32q is not one of newest, oldest", s)
	}
	active, hasActive := q["active"]
	if hasActive && active != "true" && active != "false" {
		return nil, badInput("active", "active %.32q is not one of true, false", active)
	}
	kind := alert.Type(q["type"])
	if _, ok := q["type"]; ok && !slices.Contains(wire.AlertTypes(), string(kind)) {
		return nil, badInput("type", "type %.32q is not one of %s", kind, strings.Join(wire.AlertTypes(), ", "))
	}
	return func(a alert.Alert) bool {
		return (symbol == "" || a.Series.Symbol == symbol) &&
			(kind == "" || a.Type() == kind) &&
			(!hasActive || a.Active == (active == "true"))
	}, nil
}

// id takes an alert's id from the query.
func (h *Alerts) id(q map[string]string) (string, error) {
	id := q["id"]
	if id == "" || len(id) > 128 {
		return "", badInput("id", "id is required: /alerts/list shows them")
	}
	return id, nil
}

func (h *Alerts) get(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "id")
	if err != nil {
		return err
	}
	id, err := h.id(q)
	if err != nil {
		return err
	}
	a, err := h.Reader.Alert(r.Context(), id)
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, wire.AlertGot{OK: true, Alert: h.show(a)})
	return nil
}

func (h *Alerts) named(w http.ResponseWriter, r *http.Request) (string, error) {
	var in wire.AlertID
	if err := read(w, r, &in); err != nil {
		return "", err
	}
	return h.id(map[string]string{"id": in.ID})
}

func (h *Alerts) activate(active bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		id, err := h.named(w, r)
		if err != nil {
			return err
		}
		if _, err := h.Writer.SetActive(r.Context(), id, active, time.Now().UnixMilli()); err != nil {
			return err
		}
		reply(w, http.StatusOK, wire.Done{OK: true})
		return nil
	}
}

func (h *Alerts) remove(w http.ResponseWriter, r *http.Request) error {
	id, err := h.named(w, r)
	if err != nil {
		return err
	}
	if err := h.Writer.DeleteAlert(r.Context(), id); err != nil {
		return err
	}
	reply(w, http.StatusOK, wire.Done{OK: true})
	return nil
}

// test evaluates one alert alone, on candles read for the purpose. It sends and
// changes nothing.
func (h *Alerts) test(w http.ResponseWriter, r *http.Request) error {
	id, err := h.named(w, r)
	if err != nil {
		return err
	}
	a, err := h.Reader.Alert(r.Context(), id)
	if err != nil {
		return err
	}
	if a.Params == nil {
		return badInput("id", "the alert can't be evaluated: %s", a.LastError)
	}
	candles, _, err := h.Candles.Candles(r.Context(), a.Series, 1000)
	if err != nil {
		return &refusal{code: wire.CodeUnavailable, text: "no candles of " + a.Series.String() + ": " + err.Error(), retryAfter: 2}
	}
	set := eval.NewSet(a.Series, eval.Options{})
	set.Warm(candles)
	got := set.Test(a)
	out := wire.AlertTested{OK: true, Triggered: got.Triggered, Reason: got.Reason, Value: got.Value}
	if out.Value == nil {
		out.Value = map[string]float64{}
	}
	if got.Candle.Time > 0 {
		c := wire.FromCandle(got.Candle)
		out.Candle = &c
	}
	reply(w, http.StatusOK, out)
	return nil
}

func (h *Alerts) history(w http.ResponseWriter, r *http.Request) error {
	q, err := query(r, "id", "limit")
	if err != nil {
		return err
	}
	id, err := h.id(q)
	if err != nil {
		return err
	}
	limit, err := wholeNumber(q, "limit", h.History, 1, 10_000)
	if err != nil {
		return err
	}
	records, err := h.Reader.History(r.Context(), id, limit)
	if err != nil {
		return err
	}
	out := wire.AlertHistory{OK: true, ID: id, Events: make([]wire.AlertEvent, 0, len(records))}
	for _, rec := range records {
		deliveries := make([]wire.Delivery, 0, len(rec.Deliveries))
		for _, d := range rec.Deliveries {
			deliveries = append(deliveries, wire.Delivery{Channel: d.Channel, State: string(d.State), Attempts: d.Attempts})
		}
		out.Events = append(out.Events, wire.FromEvent(rec.Event, deliveries))
	}
	reply(w, http.StatusOK, out)
	return nil
}
