package redis

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
)

// alertJSON is the field json of an alert's hash: what its owner asked for. What
// changes afterwards (active, rev, lastTriggeredAt, …) stands in fields of the hash
// and wins over the copy here.
type alertJSON struct {
	ID              string         `json:"id"`
	Rev             int64          `json:"rev"`
	Symbol          string         `json:"symbol"`
	Timeframe       string         `json:"timeframe"`
	Type            string         `json:"type"`
	Params          map[string]any `json:"params"`
	Trigger         string         `json:"trigger"`
	CooldownSec     int            `json:"cooldownSec"`
	Hysteresis      float64        `json:"hysteresis"`
	Severity        string         `json:"severity"`
	Channels        []string       `json:"channels"`
	ExpiresAt       int64          `json:"expiresAt"`
	Note            string         `json:"note"`
	Active          bool           `json:"active"`
	CreatedAt       int64          `json:"createdAt"`
	UpdatedAt       int64          `json:"updatedAt"`
	LastTriggeredAt int64          `json:"lastTriggeredAt"`
	TriggerCount    int64          `json:"triggerCount"`
}

// encodeAlert returns the fields of the alert's hash, names and values in turn.
func encodeAlert(a alert.Alert) ([]any, error) {
	params := map[string]any{}
	if a.Params != nil {
		params = a.Params.Map()
	}
	text, err := json.Marshal(alertJSON{
		ID: a.ID, Rev: a.Rev, Symbol: string(a.Series.Symbol), Timeframe: a.Series.Timeframe.String(),
		Type: string(a.Type()), Params: params, Trigger: string(a.Mode), CooldownSec: a.CooldownSec,
		Hysteresis: a.Hysteresis, Severity: string(a.Severity), Channels: a.Channels, ExpiresAt: a.ExpiresAt,
		Note: a.Note, Active: a.Active, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
		LastTriggeredAt: a.LastTriggeredAt, TriggerCount: a.TriggerCount,
	})
	if err != nil {
		return nil, err
	}
	active := "0"
	if a.Active {
		active = "1"
	}
	return []any{
		"json", string(text), "active", active, "createdAt", a.CreatedAt, "lastTriggeredAt", a.LastTriggeredAt,
		"rev", a.Rev, "updatedAt", a.UpdatedAt, "triggerCount", a.TriggerCount, "lastError", a.LastError,
	}, nil
}

// errNoJSON is the reason of a hash that holds no alert.
var errNoJSON = errors.New("hash without json")

// decodeAlert reads the fields of an alert's hash. It fails when they hold no alert
// at all; an alert that is not understood has LastError and no Params.
func decodeAlert(id string, hash map[string]string, cooldownSec int) (alert.Alert, error) {
	text, ok := hash["json"]
	if !ok {
		return alert.Alert{}, errNoJSON
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw == nil {
		return alert.Alert{}, errors.New("json is not an object")
	}
	f := fields{raw: raw, hash: hash}
	a := alert.Alert{
		ID:              id,
		Rev:             max(1, f.number("rev", 1)),
		Mode:            alert.Mode(f.text("trigger", string(alert.Intrabar))),
		CooldownSec:     int(f.number("cooldownSec", int64(cooldownSec))),
		Hysteresis:      f.float("hysteresis"),
		Severity:        alert.Severity(f.text("severity", string(alert.Info))),
		ExpiresAt:       f.number("expiresAt", 0),
		Note:            f.text("note", ""),
		Active:          f.active(),
		CreatedAt:       f.number("createdAt", 0),
		UpdatedAt:       f.number("updatedAt", 0),
		LastTriggeredAt: f.number("lastTriggeredAt", 0),
		TriggerCount:    f.number("triggerCount", 0),
		LastError:       hash["lastError"],
	}
	f.list("channels", &a.Channels)
	if a.UpdatedAt == 0 {
		a.UpdatedAt = a.CreatedAt
	}
	if err := understand(&a, &f); err != nil {
		a.Params = nil
		a.LastError = "stored data: " + err.Error()
	}
	return a, nil
}

// understand reads what an alert needs to be evaluated, and checks the whole.
func understand(a *alert.Alert, f *fields) error {
	symbol, err := market.ParseSymbol(f.text("symbol", ""))
	if err != nil {
		return err
	}
	a.Series.Symbol = symbol
	if a.Series.Timeframe, err = market.ParseTimeframe(f.text("timeframe", "")); err != nil {
		return err
	}
	params := map[string]any{}
	if text, ok := f.raw["params"]; ok && json.Unmarshal(text, &params) != nil {
		return errors.New("params are not an object")
	}
	if a.Params, err = alert.ParseParams(alert.Type(f.text("type", "")), params); err != nil {
		return err
	}
	if f.bad != "" {
		return fmt.Errorf("%s is of another kind", f.bad)
	}
	return a.Check()
}

// fields reads fields of an alert: those of the hash win over those of the json. It
// remembers the first whose value is of another kind than expected.
type fields struct {
	raw  map[string]json.RawMessage
	hash map[string]string
	bad  string
}

func (f *fields) into(name string, to any) bool {
	text, ok := f.raw[name]
	if !ok || bytes.Equal(text, []byte("null")) {
		return false
	}
	if json.Unmarshal(text, to) != nil {
		f.note(name)
		return false
	}
	return true
}

func (f *fields) note(name string) {
	if f.bad == "" {
		f.bad = name
	}
}

func (f *fields) text(name, def string) string {
	s := def
	if !f.into(name, &s) {
		return def
	}
	return s
}

func (f *fields) list(name string, to *[]string) {
	if !f.into(name, to) {
		*to = nil
	}
}

func (f *fields) float(name string) float64 {
	var v float64
	if !f.into(name, &v) {
		return 0
	}
	return v
}

// number reads a whole number; the earlier implementation wrote some as text in
// the hash and as a number in the json.
func (f *fields) number(name string, def int64) int64 {
	if text, ok := f.hash[name]; ok {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	}
	var v float64
	if !f.into(name, &v) {
		return def
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
		f.note(name)
		return def
	}
	return int64(v)
}

// active reads whether the alert is enabled, which it is unless something says no.
func (f *fields) active() bool {
	if text, ok := f.hash["active"]; ok {
		return text != "0" && text != "false"
	}
	v := true
	f.into("active", &v)
	return v
}

// eventJSON is an event as it stands in the history and in a delivery.
type eventJSON struct {
	ID        string             `json:"id"`
	AlertID   string             `json:"alertId"`
	Rev       int64              `json:"rev"`
	Symbol    string             `json:"symbol"`
	Timeframe string             `json:"timeframe"`
	Type      string             `json:"type"`
	Mode      string             `json:"trigger"`
	Reason    string             `json:"reason"`
	Value     map[string]float64 `json:"value,omitempty"`
	Price     float64            `json:"price"`
	Bar       int64              `json:"bar"`
	Time      int64              `json:"ts"`
	Epoch     int64              `json:"epoch"`
	Late      bool               `json:"late,omitempty"`
	Severity  string             `json:"severity"`
	Channels  []string           `json:"channels,omitempty"`
	Note      string             `json:"note,omitempty"`
}

// encodeEvent leaves out values that JSON cannot hold: an event that cannot be
// written would be lost, and the figures only explain it.
func encodeEvent(e alert.Event) (string, error) {
	var value map[string]float64
	for name, v := range e.Value {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		if value == nil {
			value = make(map[string]float64, len(e.Value))
		}
		value[name] = v
	}
	price := e.Price
	if math.IsNaN(price) || math.IsInf(price, 0) {
		price = 0
	}
	text, err := json.Marshal(eventJSON{
		ID: e.ID, AlertID: e.AlertID, Rev: e.Rev, Symbol: string(e.Series.Symbol), Timeframe: e.Series.Timeframe.String(),
		Type: string(e.Type), Mode: string(e.Mode), Reason: e.Reason, Value: value, Price: price, Bar: e.Bar,
		Time: e.Time, Epoch: e.Epoch, Late: e.Late, Severity: string(e.Severity), Channels: e.Channels, Note: e.Note,
	})
	return string(text), err
}

// decodeEvent reads an event of the history of the given alert. Those of the
// earlier implementation have no id of their own and name the alert as "id".
func decodeEvent(alertID, text string) (alert.Event, error) {
	var j eventJSON
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return alert.Event{}, errors.New("event is not what it should be")
	}
	e := alert.Event{
		ID: j.ID, AlertID: j.AlertID, Rev: j.Rev, Type: alert.Type(j.Type), Mode: alert.Mode(j.Mode), Reason: j.Reason,
		Value: j.Value, Price: j.Price, Bar: j.Bar, Time: j.Time, Epoch: j.Epoch, Late: j.Late,
		Severity: alert.Severity(j.Severity), Channels: j.Channels, Note: j.Note,
	}
	if symbol, err := market.ParseSymbol(j.Symbol); err == nil {
		e.Series.Symbol = symbol
	}
	if tf, err := market.ParseTimeframe(j.Timeframe); err == nil {
		e.Series.Timeframe = tf
	}
	if e.AlertID == "" {
		e.AlertID = alertID
		if e.ID == "" || e.ID == alertID {
			e.ID = alertID + ":" + strconv.FormatInt(e.Time, 10)
		}
	}
	return e, nil
}
