package wire

import (
	"github.com/spark-ta/spark/core/alert"
)

// Alert is the alert object of the contract.
type Alert struct {
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
	ExpiresAt       *int64         `json:"expiresAt"`
	Note            string         `json:"note"`
	Active          bool           `json:"active"`
	State           string         `json:"state"`
	CreatedAt       int64          `json:"createdAt"`
	UpdatedAt       int64          `json:"updatedAt"`
	LastTriggeredAt *int64         `json:"lastTriggeredAt"`
	LastError       *string        `json:"lastError"`
	TriggerCount    int64          `json:"triggerCount"`
}

// FromAlert converts an alert, with the state in which its evaluator sees it.
func FromAlert(a alert.Alert, state alert.State) Alert {
	w := Alert{
		ID: a.ID, Rev: a.Rev,
		Symbol: string(a.Series.Symbol), Timeframe: a.Series.Timeframe.String(),
		Type: string(a.Type()), Params: map[string]any{},
		Trigger: string(a.Mode), CooldownSec: a.CooldownSec, Hysteresis: a.Hysteresis,
		Severity: string(a.Severity), Channels: a.Channels,
		ExpiresAt: timeOrNull(a.ExpiresAt), Note: a.Note,
		Active: a.Active, State: string(state),
		CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, LastTriggeredAt: timeOrNull(a.LastTriggeredAt),
		TriggerCount: a.TriggerCount,
	}
	if a.Params != nil {
		w.Params = a.Params.Map()
	}
	if w.Channels == nil {
		w.Channels = []string{}
	}
	if a.LastError != "" {
		w.LastError = &a.LastError
	}
	return w
}

func timeOrNull(ms int64) *int64 {
	if ms == 0 {
		return nil
	}
	return &ms
}

// CreateAlert is the request of [PathAlertsCreate].
type CreateAlert struct {
	Symbol      string         `json:"symbol"`
	Timeframe   string         `json:"timeframe"`
	Type        string         `json:"type"`
	Params      map[string]any `json:"params"`
	CooldownSec *int           `json:"cooldownSec,omitempty"`
	Trigger     string         `json:"trigger,omitempty"`
	ExpiresAt   *int64         `json:"expiresAt,omitempty"`
	Hysteresis  float64        `json:"hysteresis,omitempty"`
	Severity    string         `json:"severity,omitempty"`
	Channels    []string       `json:"channels,omitempty"`
	Note        string         `json:"note,omitempty"`
}

// AlertID is the request of the calls that name one alert.
type AlertID struct {
	ID string `json:"id"`
}

// AlertCreated answers [PathAlertsCreate].
type AlertCreated struct {
	OK    bool   `json:"ok"`
	ID    string `json:"id"`
	Alert Alert  `json:"alert"`
}

// AlertList answers [PathAlertsList].
type AlertList struct {
	OK         bool    `json:"ok"`
	Items      []Alert `json:"items"`
	NextCursor string  `json:"nextCursor,omitempty"`
}

// AlertGot answers [PathAlertsGet]: the alert's fields stand flat beside ok.
type AlertGot struct {
	OK bool `json:"ok"`
	Alert
}

// Done answers a change that has nothing else to say.
type Done struct {
	OK bool `json:"ok"`
}

// AlertTested answers [PathAlertsTest].
type AlertTested struct {
	OK        bool               `json:"ok"`
	Triggered bool               `json:"triggered"`
	Reason    string             `json:"reason"`
	Value     map[string]float64 `json:"value"`
	Candle    *Candle            `json:"candle"`
}

// AlertHistory answers [PathAlertsHistory].
type AlertHistory struct {
	OK     bool         `json:"ok"`
	ID     string       `json:"id"`
	Events []AlertEvent `json:"events"` // newest first
}

// AlertEvent is one trigger.
type AlertEvent struct {
	ID        string             `json:"id"`
	AlertID   string             `json:"alertId"`
	Symbol    string             `json:"symbol"`
	Timeframe string             `json:"timeframe"`
	Type      string             `json:"type"`
	Reason    string             `json:"reason"`
	Value     map[string]float64 `json:"value"`
	Price     float64            `json:"price"`
	Bar       int64              `json:"bar"` // open time of the candle, ms
	TS        int64              `json:"ts"`
	Epoch     int64              `json:"epoch"`
	Late      bool               `json:"late,omitempty"`
	Severity  string             `json:"severity,omitempty"`
	Delivery  []Delivery         `json:"delivery"`
}

// Delivery is the state of one event on one channel.
type Delivery struct {
	Channel  string `json:"channel"`
	State    string `json:"state"` // pending, sending, retrying, sent, dead
	Attempts int    `json:"attempts"`
}

// FromEvent converts an event and where its deliveries stand.
func FromEvent(e alert.Event, deliveries []Delivery) AlertEvent {
	if deliveries == nil {
		deliveries = []Delivery{}
	}
	return AlertEvent{
		ID: e.ID, AlertID: e.AlertID,
		Symbol: string(e.Series.Symbol), Timeframe: e.Series.Timeframe.String(),
		Type: string(e.Type), Reason: e.Reason, Value: e.Value, Price: e.Price, Bar: e.Bar,
		TS: e.Time, Epoch: e.Epoch, Late: e.Late, Severity: string(e.Severity),
		Delivery: deliveries,
	}
}

// Notification is the body of a generic webhook (Standard Webhooks).
type Notification struct {
	Type      string           `json:"type"`      // [NotificationTriggered] or [NotificationTest]
	Timestamp string           `json:"timestamp"` // RFC 3339, UTC
	Data      NotificationData `json:"data"`
}

// Types of notifications.
const (
	NotificationTriggered = "alert.triggered"
	NotificationTest      = "alert.test"
)

// NotificationData says what happened.
type NotificationData struct {
	AlertEvent
	Note    string `json:"note,omitempty"`
	Message string `json:"message"` // one sentence for people
}
