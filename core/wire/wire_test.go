package wire_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
)

var minute = market.Series{Symbol: "PEPEUSDT", Timeframe: market.M1}

// The bodies, field by field, as clients of the earlier implementation read them.
func TestBodiesAreWrittenAsTheContractSays(t *testing.T) {
	a := alert.Alert{
		ID: "0198", Rev: 3, Series: minute, Params: alert.Price{Op: alert.OpAbove, Level: 0.0000123},
		Mode: alert.Intrabar, CooldownSec: 300, Severity: alert.Warning, Active: true, CreatedAt: 1, UpdatedAt: 2,
	}
	told := a
	told.Channels, told.ExpiresAt, told.LastTriggeredAt, told.TriggerCount = []string{"webhook"}, 9, 8, 7
	unread := alert.Alert{ID: "0199", Series: minute, LastError: "type: \"moon\" is none of ours"}
	event := alert.Event{
		ID: "e1", AlertID: "0198", Rev: 3, Series: minute, Type: alert.TypePrice, Mode: alert.Intrabar,
		Reason: "price>0.0000123", Value: map[string]float64{"close": 0.00001231}, Price: 0.00001231,
		Bar: 60_000, Time: 61_000, Epoch: 5, Severity: alert.Warning, Note: "not part of an event",
	}
	candle := wire.FromCandle(market.Candle{Time: 60_000, Open: 1, High: 3, Low: 0.5, Close: 2, Volume: 10.25, Closed: true})
	for _, tt := range []struct {
		name string
		body any
		want string
	}{
		{"new alert", wire.FromAlert(a, alert.Armed), `{"id":"0198","rev":3,"symbol":"PEPEUSDT","timeframe":"1m","type":"price",
			"params":{"level":0.0000123,"op":">"},"trigger":"intrabar","cooldownSec":300,"hysteresis":0,"severity":"warning",
			"channels":[],"expiresAt":null,"note":"","active":true,"state":"armed","createdAt":1,"updatedAt":2,
			"lastTriggeredAt":null,"lastError":null,"triggerCount":0}`},
		{"alert that fired", wire.AlertGot{OK: true, Alert: wire.FromAlert(told, alert.Cooldown)}, `{"ok":true,"id":"0198","rev":3,
			"symbol":"PEPEUSDT","timeframe":"1m","type":"price","params":{"level":0.0000123,"op":">"},"trigger":"intrabar",
			"cooldownSec":300,"hysteresis":0,"severity":"warning","channels":["webhook"],"expiresAt":9,"note":"","active":true,
			"state":"cooldown","createdAt":1,"updatedAt":2,"lastTriggeredAt":8,"lastError":null,"triggerCount":7}`},
		{"alert that cannot be read", wire.FromAlert(unread, alert.Unknown), `{"id":"0199","rev":0,"symbol":"PEPEUSDT","timeframe":"1m",
			"type":"","params":{},"trigger":"","cooldownSec":0,"hysteresis":0,"severity":"","channels":[],"expiresAt":null,"note":"",
			"active":false,"state":"unknown","createdAt":0,"updatedAt":0,"lastTriggeredAt":null,
			"lastError":"type: \"moon\" is none of ours","triggerCount":0}`},
		{"event", wire.FromEvent(event, nil), `{"id":"e1","alertId":"0198","symbol":"PEPEUSDT","timeframe":"1m","type":"price",
			"reason":"price>0.0000123","value":{"close":0.00001231},"price":0.00001231,"bar":60000,"ts":61000,"epoch":5,
			"severity":"warning","delivery":[]}`},
		{"candle", candle, `{"t":60000,"o":1,"h":3,"l":0.5,"c":2,"v":10.25}`},
		{"message of a stream", wire.StreamMessage{Type: wire.StreamKline, Symbol: "PEPEUSDT", Timeframe: "1m", Data: &wire.StreamCandle{Candle: candle, Closed: true}},
			`{"type":"kline","symbol":"PEPEUSDT","timeframe":"1m","data":{"t":60000,"o":1,"h":3,"l":0.5,"c":2,"v":10.25,"x":true}}`},
		{"refusal", wire.Error{Error: "no", Code: wire.CodeRateLimit, Field: "symbol", RetryAfter: 3}, `{"error":"no","code":"RATE_LIMIT","field":"symbol","retryAfter":3}`},
	} {
		got, err := json.Marshal(tt.body)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields(t, []byte(tt.want)), fields(t, got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// fields decodes an object with its figures as they are written, but for the
// exponent that Go's encoder prefers below 1e-6.
func fields(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&object); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

func TestEveryCodeHasItsStatus(t *testing.T) {
	want := map[wire.Code]int{
		wire.CodeInvalidInput: 400, wire.CodeInvalidSym: 400, wire.CodeUnauthorized: 401, wire.CodeForbidden: 403,
		wire.CodeNotFound: 404, wire.CodeConflict: 409, wire.CodeRateLimit: 429, wire.CodeInternal: 500,
		wire.CodeUnavailable: 503, "unheard of": 500,
	}
	for code, status := range want {
		if got := code.Status(); got != status {
			t.Errorf("%s.Status() = %d, want %d", code, got, status)
		}
	}
}

// What promtool would complain about in a scrape, before there is one.
func TestMetricsAreNamedAsTheFieldDoes(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)+$`)
	seen := map[string]bool{}
	for _, m := range wire.Metrics() {
		if seen[m.Name] || !name.MatchString(m.Name) || m.Help == "" {
			t.Errorf("%s: twice, badly named or without help %q", m.Name, m.Help)
		}
		seen[m.Name] = true
		if total := len(m.Name) > 6 && m.Name[len(m.Name)-6:] == "_total"; total != (m.Kind == wire.Counter) {
			t.Errorf("%s: counters, and nothing else, end in _total", m.Name)
		}
		if (m.Kind == wire.Histogram) != (len(m.Buckets) > 0) || !slices.IsSorted(m.Buckets) {
			t.Errorf("%s: buckets %v", m.Name, m.Buckets)
		}
		labels := map[string]bool{}
		for _, l := range m.Labels {
			if labels[l.Name] {
				t.Errorf("%s: label %s twice", m.Name, l.Name)
			}
			labels[l.Name] = true
			if sorted := slices.Sorted(slices.Values(l.Values)); len(slices.Compact(sorted)) != len(l.Values) {
				t.Errorf("%s: label %s has a value twice: %q", m.Name, l.Name, l.Values)
			}
		}
	}
}
