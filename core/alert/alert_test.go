package alert_test

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
)

func TestParseParamsNormalises(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ  alert.Type
		raw  string
		want alert.Params
	}{
		{alert.TypeBBBreak, `{}`, alert.BBBreak{Period: 20, StdDev: 2, Side: alert.Both}},
		{alert.TypeBBBreak, `{"period": 2, "stdDev": 0.001, "side": "upper"}`, alert.BBBreak{Period: 2, StdDev: 0.001, Side: alert.Above}},
		{alert.TypeBBBreak, `{"period": 1000, "stdDev": 10, "side": "lower"}`, alert.BBBreak{Period: 1000, StdDev: 10, Side: alert.Below}},
		{alert.TypeBBBreak, `{"side": "above"}`, alert.BBBreak{Period: 20, StdDev: 2, Side: alert.Above}},
		{alert.TypePrice, `{"op": ">", "level": 0.0000123}`, alert.Price{Op: alert.OpAbove, Level: 0.0000123}},
		{alert.TypePrice, `{"op": "<", "level": 65000}`, alert.Price{Op: alert.OpBelow, Level: 65000}},
		{alert.TypePrice, `{"op": "crosses", "level": 1}`, alert.Price{Op: alert.OpCrosses, Level: 1}},
		{alert.TypePrice, `{"op": "crosses_up", "level": 1}`, alert.Price{Op: alert.OpCrossesUp, Level: 1}},
		{alert.TypePrice, `{"op": "crosses_down", "level": 1e300}`, alert.Price{Op: alert.OpCrossesDown, Level: 1e300}},
	} {
		got, err := alert.ParseParams(c.typ, decode(t, c.raw))
		if err != nil || got != c.want || got.Type() != c.typ {
			t.Errorf("ParseParams(%s, %s) = %+v, %v, want %+v", c.typ, c.raw, got, err, c.want)
		}
	}
}

func TestParseParamsRefusesWithTheFieldAndWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ           alert.Type
		raw           string
		field, reason string
	}{
		{"fib_touch", `{}`, "type", `"fib_touch" is not one of bb_break, price`},
		{"", `{}`, "type", `"" is not one of bb_break, price`},
		{alert.TypeBBBreak, `{"peroid": 20}`, "params", `unknown parameter "peroid": allowed are period, stdDev, side`},
		{alert.TypeBBBreak, `{"peroid": 20, "side": 7}`, "params", `unknown parameter "peroid": allowed are period, stdDev, side`},
		{alert.TypeBBBreak, `{"b": 1, "a": 1}`, "params", `unknown parameter "a": allowed are period, stdDev, side`},
		{alert.TypeBBBreak, `{"period": 1}`, "params.period", "1 is not a whole number from 2 to 1000"},
		{alert.TypeBBBreak, `{"period": 1001}`, "params.period", "1001 is not a whole number from 2 to 1000"},
		{alert.TypeBBBreak, `{"period": 20.5}`, "params.period", "20.5 is not a whole number from 2 to 1000"},
		{alert.TypeBBBreak, `{"period": "20"}`, "params.period", `"20" is not a whole number from 2 to 1000`},
		{alert.TypeBBBreak, `{"period": null}`, "params.period", "null is not a whole number from 2 to 1000"},
		{alert.TypeBBBreak, `{"stdDev": 0}`, "params.stdDev", "0 is not a number above 0 and at most 10"},
		{alert.TypeBBBreak, `{"stdDev": 10.1}`, "params.stdDev", "10.1 is not a number above 0 and at most 10"},
		{alert.TypeBBBreak, `{"stdDev": true}`, "params.stdDev", "true is not a number above 0 and at most 10"},
		{alert.TypeBBBreak, `{"side": "left"}`, "params.side", `"left" is not one of above, below, both`},
		{alert.TypeBBBreak, `{"side": ["both"]}`, "params.side", `["both"] is not one of above, below, both`},
		{alert.TypeBBBreak, `{"period": 1, "side": "left"}`, "params.period", "1 is not a whole number from 2 to 1000"},
		{alert.TypePrice, `{}`, "params.op", "is required: one of >, <, crosses, crosses_up, crosses_down"},
		{alert.TypePrice, `{"op": ">"}`, "params.level", "is required: a number above 0"},
		{alert.TypePrice, `{"op": ">=", "level": 1}`, "params.op", `">=" is not one of >, <, crosses, crosses_up, crosses_down`},
		{alert.TypePrice, `{"op": "", "level": 1}`, "params.op", `"" is not one of >, <, crosses, crosses_up, crosses_down`},
		{alert.TypePrice, `{"op": ">", "level": 0}`, "params.level", "0 is not a number above 0"},
		{alert.TypePrice, `{"op": ">", "level": -0.1}`, "params.level", "-0.1 is not a number above 0"},
		{alert.TypePrice, `{"op": ">", "level": "65000"}`, "params.level", `"65000" is not a number above 0`},
	} {
		got, err := alert.ParseParams(c.typ, decode(t, c.raw))
		var input *alert.InputError
		if got != nil || !errors.As(err, &input) || input.Field != c.field || input.Reason != c.reason {
			t.Errorf("ParseParams(%s, %s) = %+v, %v, want %s: %s", c.typ, c.raw, got, err, c.field, c.reason)
		}
	}
	for _, level := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got, err := alert.ParseParams(alert.TypePrice, map[string]any{"op": ">", "level": level}); err == nil {
			t.Errorf("level %v is taken as %+v", level, got)
		}
	}
}

func TestErrorsStayShortWhateverIsSent(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<16)
	for _, raw := range []map[string]any{
		{"op": long}, {long: 1.0}, {"op": ">", "level": long}, {"op": ">", "level": map[string]any{long: long}},
		{"op": []any{long, long}, "level": 1.0},
	} {
		_, err := alert.ParseParams(alert.TypePrice, raw)
		if err == nil || len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes: %.100v", len(err.Error()), err)
		}
	}
	if _, err := alert.ParseParams(alert.Type(long), nil); len(err.Error()) > 300 {
		t.Errorf("an error of %d bytes for a long type", len(err.Error()))
	}
}

func decode(t testing.TB, raw string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func FuzzParseParams(f *testing.F) {
	f.Add("bb_break", `{"period": 20, "stdDev": 2, "side": "upper"}`)
	f.Add("price", `{"op": "crosses_up", "level": 0.0000123}`)
	f.Add("price", `{"op": "<", "level": 1e308}`)
	f.Add("bb_break", `{"period": 1e3, "x": {}}`)
	f.Add("macd_cross", `{}`)
	f.Fuzz(func(t *testing.T, typ, raw string) {
		var m map[string]any
		if json.Unmarshal([]byte(raw), &m) != nil {
			return
		}
		p, err := alert.ParseParams(alert.Type(typ), m)
		if err != nil {
			var input *alert.InputError
			if !errors.As(err, &input) || input.Field == "" || input.Reason == "" || p != nil || len(err.Error()) > 600 {
				t.Errorf("ParseParams(%q, %s) = %+v, %v", typ, raw, p, err)
			}
			return
		}
		// What is stored reads back as the same, through JSON.
		text, err := json.Marshal(p.Map())
		if err != nil {
			t.Fatalf("%+v is no JSON: %v", p.Map(), err)
		}
		again, err := alert.ParseParams(p.Type(), decode(t, string(text)))
		if err != nil || again != p {
			t.Errorf("%+v stored as %s reads back as %+v, %v", p, text, again, err)
		}
	})
}

func TestReasonOfAPrice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    alert.Price
		want string
	}{
		{alert.Price{Op: alert.OpAbove, Level: 65000}, "price>65000"},
		{alert.Price{Op: alert.OpBelow, Level: 0.0000123}, "price<0.0000123"},
		{alert.Price{Op: alert.OpCrosses, Level: 1e21}, "price crosses 1000000000000000000000"},
		{alert.Price{Op: alert.OpCrossesUp, Level: 65000.5}, "price crosses_up 65000.5"},
		{alert.Price{Op: alert.OpCrossesDown, Level: 1}, "price crosses_down 1"},
	} {
		if got := c.p.Reason(); got != c.want {
			t.Errorf("%+v: %q, want %q", c.p, got, c.want)
		}
	}
}

func good() alert.Alert {
	return alert.Alert{
		ID: "a", Rev: 1, Series: market.Series{Symbol: "BTCUSDT", Timeframe: market.H1},
		Params: alert.Price{Op: alert.OpAbove, Level: 1}, Mode: alert.Intrabar, CooldownSec: 300, Severity: alert.Info,
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*alert.Alert)
		field  string // "" is no error
		reason string // part of it
	}{
		{"as it is", func(*alert.Alert) {}, "", ""},
		{"largest", func(a *alert.Alert) {
			a.CooldownSec, a.Hysteresis, a.Note, a.ExpiresAt = 86_400, 0.5, strings.Repeat("é", 250), math.MaxInt64
			for len(a.Channels) < 16 {
				a.Channels = append(a.Channels, "telegram-2_a")
			}
		}, "", ""},
		{"no cooldown", func(a *alert.Alert) { a.CooldownSec = 0 }, "", ""},
		{"no symbol", func(a *alert.Alert) { a.Series.Symbol = "" }, "symbol", "required"},
		{"no timeframe", func(a *alert.Alert) { a.Series.Timeframe = 0 }, "timeframe", "required"},
		{"no parameters", func(a *alert.Alert) { a.Params = nil }, "type", "bb_break, price"},
		{"no mode", func(a *alert.Alert) { a.Mode = "" }, "trigger", "intrabar, close, once, minute"},
		{"unknown mode", func(a *alert.Alert) { a.Mode = "Close" }, "trigger", `"Close" is not one of`},
		{"negative cooldown", func(a *alert.Alert) { a.CooldownSec = -1 }, "cooldownSec", "-1 is not from 0 to 86400"},
		{"long cooldown", func(a *alert.Alert) { a.CooldownSec = 86_401 }, "cooldownSec", "86401"},
		{"negative hysteresis", func(a *alert.Alert) { a.Hysteresis = -0.1 }, "hysteresis", "-0.1 is not from 0 to 0.5"},
		{"large hysteresis", func(a *alert.Alert) { a.Hysteresis = 0.51 }, "hysteresis", "0.51"},
		{"NaN hysteresis", func(a *alert.Alert) { a.Hysteresis = math.NaN() }, "hysteresis", "NaN"},
		{"no severity", func(a *alert.Alert) { a.Severity = "" }, "severity", "info, warning, critical"},
		{"negative expiry", func(a *alert.Alert) { a.ExpiresAt = -1 }, "expiresAt", "-1"},
		{"long note", func(a *alert.Alert) { a.Note = strings.Repeat("é", 251) }, "note", "502 bytes are more than 500"},
		{"note that is no text", func(a *alert.Alert) { a.Note = "\xff" }, "note", "not valid text"},
		{"note with NUL", func(a *alert.Alert) { a.Note = "a\x00" }, "note", "not valid text"},
		{"many channels", func(a *alert.Alert) { a.Channels = make([]string, 17) }, "channels", "17 are more than 16"},
		{"empty channel", func(a *alert.Alert) { a.Channels = []string{"ok", ""} }, "channels", `"" is not a channel's name`},
		{"channel with capitals", func(a *alert.Alert) { a.Channels = []string{"Telegram"} }, "channels", `"Telegram"`},
		{"long channel", func(a *alert.Alert) { a.Channels = []string{strings.Repeat("c", 33)} }, "channels", "not a channel's name"},
		{"two lines", func(a *alert.Alert) { a.Channels = []string{"a\n"} }, "channels", "not a channel's name"},
	} {
		a := good()
		c.change(&a)
		err := a.Check()
		var input *alert.InputError
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: %v, want no error", c.name, err)
		case c.field != "" && (!errors.As(err, &input) || input.Field != c.field || !strings.Contains(input.Reason, c.reason)):
			t.Errorf("%s: %v, want one about %s with %q", c.name, err, c.field, c.reason)
		}
	}
}

func TestTypeOfAnAlertWithoutParametersIsEmpty(t *testing.T) {
	t.Parallel()
	a := good()
	if a.Type() != alert.TypePrice {
		t.Errorf("Type() = %q", a.Type())
	}
	a.Params = nil
	if a.Type() != "" {
		t.Errorf("Type() without parameters = %q", a.Type())
	}
}

func TestEventIDIsAFunctionOfWhatHappened(t *testing.T) {
	t.Parallel()
	const bar, now = 1_700_000_040_000, 1_700_000_099_999
	for _, c := range []struct {
		mode alert.Mode
		want string
	}{
		{alert.Intrabar, "a:1:1700000040000"}, {alert.OnClose, "a:1:1700000040000"},
		{alert.Minute, "a:1:m1700000040000"}, {alert.Once, "a:1:once"},
	} {
		a := good()
		a.Mode = c.mode
		if got := a.EventID(bar, now); got != c.want {
			t.Errorf("%s: %q, want %q", c.mode, got, c.want)
		}
		if got := a.EventID(bar, now-30_000); got != c.want {
			t.Errorf("%s: decided earlier in the minute it is %q, want %q", c.mode, got, c.want)
		}
		a.Rev++
		if got := a.EventID(bar, now); got == c.want {
			t.Errorf("%s: another revision has the same id", c.mode)
		}
		a.Rev--
		other := a.EventID(bar+60_000, now+60_000)
		if same := other == c.want; same != (c.mode == alert.Once) {
			t.Errorf("%s: a minute and a candle later the id is %q", c.mode, other)
		}
	}
}

func TestDeliveryIDTellsNothingAndDiffers(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[0-9a-f]{32}$`)
	seen := map[string]string{}
	for _, event := range []string{"a:1:1", "a:1:11", "a:11:1", "a:1:once"} {
		for _, channel := range []string{"telegram", "webhook", "1telegram"} {
			id := alert.DeliveryID(event, channel)
			if !form.MatchString(id) || id != alert.DeliveryID(event, channel) {
				t.Errorf("DeliveryID(%q, %q) = %q", event, channel, id)
			}
			if was, ok := seen[id]; ok {
				t.Errorf("%s to %s has the id of %s", event, channel, was)
			}
			seen[id] = event + " to " + channel
		}
	}
	// Stored ids outlive a release: the function may not change.
	if got, want := alert.DeliveryID("a:1:once", "webhook"), "f2ca2747082002dd0e00e10fd1486064"; got != want {
		t.Errorf("DeliveryID = %q, want %q", got, want)
	}
}

func TestMapHoldsEveryParameter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		p    alert.Params
		want map[string]any
	}{
		{alert.BBBreak{Period: 20, StdDev: 2, Side: alert.Both}, map[string]any{"period": 20, "stdDev": 2.0, "side": "both"}},
		{alert.Price{Op: alert.OpCrosses, Level: 0.5}, map[string]any{"op": "crosses", "level": 0.5}},
	} {
		if diff := cmp.Diff(c.want, c.p.Map()); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", c.p, diff)
		}
	}
}
