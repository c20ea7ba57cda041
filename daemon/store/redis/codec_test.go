package redis

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/alert"
)

// FuzzDecodeAlert: whatever is in the hash, reading it neither fails nor panics for
// any object, an alert without an error passes its checks, and writing it again and
// reading that gives the same alert.
func FuzzDecodeAlert(f *testing.F) {
	f.Add(`{"id":"a","symbol":"btcusdt","timeframe":"1h","type":"bb_break","params":{"side":"upper"},"lastTriggeredAt":0}`, "1", "1700000000000")
	f.Add(`{"symbol":"BTCUSDT","timeframe":"1M","type":"price","params":{"op":"crosses","level":1.23e-5},"channels":["webhook"],"trigger":"once"}`, "0", "")
	f.Add(`{"createdAt":1e300,"rev":-1,"note":null,"channels":"x"}`, "yes", "x")
	f.Add(`[]`, "", "")
	f.Fuzz(func(t *testing.T, text, active, created string) {
		a, err := decodeAlert("id", map[string]string{"json": text, "active": active, "createdAt": created}, 300)
		var object map[string]json.RawMessage
		if isObject := json.Unmarshal([]byte(text), &object) == nil && object != nil; isObject != (err == nil) {
			t.Fatalf("object %t, error %v", isObject, err)
		}
		if err != nil || a.LastError != "" {
			if a.Params != nil {
				t.Fatalf("params beside the error %q", a.LastError)
			}
			return
		}
		if err := a.Check(); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		list, err := encodeAlert(a)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeAlert("id", hashOf(t, list), 300)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(a, again, cmp.Transformer("empty", func(s []string) int { return len(s) })); diff != "" {
			t.Fatalf("written and read again it differs:\n%s", diff)
		}
	})
}

func hashOf(t *testing.T, list []any) map[string]string {
	t.Helper()
	hash := map[string]string{}
	for i := 0; i < len(list); i += 2 {
		v := list[i+1]
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		hash[list[i].(string)] = text
	}
	return hash
}

// FuzzDecodeEvent: no text makes reading an event panic, and what is read is
// written and read again as it was.
func FuzzDecodeEvent(f *testing.F) {
	f.Add(`{"id":"a:1:2","alertId":"a","symbol":"BTCUSDT","timeframe":"1m","value":{"close":1e-7},"ts":5,"channels":["webhook"]}`)
	f.Add(`{"id":"a","symbol":"btcusdt","ts":1700000005000,"value":{"c":1}}`)
	f.Add(`{"value":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := decodeEvent("a", text)
		if err != nil {
			return
		}
		written, err := encodeEvent(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeEvent("a", written)
		if err != nil {
			t.Fatal(err)
		}
		normal := func(e alert.Event) alert.Event {
			if len(e.Value) == 0 {
				e.Value = nil
			}
			if len(e.Channels) == 0 {
				e.Channels = nil
			}
			return e
		}
		if diff := cmp.Diff(normal(e), normal(again)); diff != "" {
			t.Fatalf("written and read again it differs:\n%s", diff)
		}
	})
}
