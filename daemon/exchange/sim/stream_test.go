package sim_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/spark-ta/spark/daemon/exchange/sim"
)

// slow is an exchange that sends no frame of its own accord within a test.
func slow(t testing.TB, o sim.Options) *sim.Server {
	o.Speed, o.FramePeriod, o.TradePeriod = 1, time.Hour, time.Hour
	return start(t, o)
}

func TestControlMessagesAreAnsweredAsTheExchangeDoes(t *testing.T) {
	s := slow(t, sim.Options{Limits: sim.Limits{Messages: -1, Connects: -1, Streams: 4}})
	c := dial(t, s, "/ws/btcusdt@kline_1m")
	const methods = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
	for _, tc := range [][2]string{
		{`{"method":"LIST_SUBSCRIPTIONS","id":3}`, `{"result":["btcusdt@kline_1m"],"id":3}`},
		{`{"method":"SUBSCRIBE","params":["ethusdt@kline_5m","nosuch@kline_1m"],"id":1}`, `{"result":null,"id":1}`},
		{`{"method":"SUBSCRIBE","params":["ethusdt@kline_5m"],"id":"again-1"}`, `{"result":null,"id":"again-1"}`},
		{`{"method":"LIST_SUBSCRIPTIONS","id":null}`, `{"result":["btcusdt@kline_1m","ethusdt@kline_5m","nosuch@kline_1m"],"id":null}`},
		{`{"method":"UNSUBSCRIBE","params":["btcusdt@kline_1m","never@trade"],"id":312}`, `{"result":null,"id":312}`},
		{`{"method":"LIST_SUBSCRIPTIONS"}`, `{"result":["ethusdt@kline_5m","nosuch@kline_1m"],"id":null}`},
		{`{"method":"SUBSCRIBE","params":["a@trade","b@trade","c@trade"],"id":9}`, `{"code":2,"msg":"Invalid request: too many streams, the limit of a connection is 4","id":9}`},
		{`{"method":"GET_PROPERTY","params":["combined"],"id":2}`, `{"result":false,"id":2}`},
		{`{"method":"SET_PROPERTY","params":["combined",true],"id":5}`, `{"result":null,"id":5}`},
		{`{"method":"GET_PROPERTY","params":["combined"],"id":6}`, `{"result":true,"id":6}`},
		{`{"method":"GET_PROPERTY","params":["colour"],"id":7}`, `{"code":0,"msg":"Unknown property","id":7}`},
		{`{"method":"SET_PROPERTY","params":["combined","yes"],"id":7}`, `{"code":1,"msg":"Invalid value type: expected Boolean"}`},
		{`{"method":"SET_PROPERTY","params":["combined"],"id":7}`, `{"code":1,"msg":"Invalid value type: expected Boolean"}`},
		{`{"method":"GET_PROPERTY","params":[1],"id":7}`, `{"code":2,"msg":"Invalid request: property name must be a string"}`},
		{`{"method":"GET_PROPERTY","id":7}`, `{"code":2,"msg":"Invalid request: property name must be a string"}`},
		{`{"method":"GET_PROPERTY","params":["combined",1],"id":7}`, `{"code":2,"msg":"Invalid request: too many parameters"}`},
		{`{"method":"LIST_SUBSCRIPTIONS","params":["x"],"id":7}`, `{"code":2,"msg":"Invalid request: too many parameters"}`},
		{`{"method":"SUBSCRIBE","params":["x"],"id":1.5}`, `{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}`},
		{`{"method":"SUBSCRIBE","params":["x"],"id":{}}`, `{"code":2,"msg":"Invalid request: request ID must be an unsigned integer"}`},
		{`{"method":"NOPE","params":["x"],"id":1}`, "{\"code\":2,\"msg\":\"Invalid request: unknown variant `NOPE`, expected one of " + methods + " at line 1 column 39\"}"},
		{`{"params":["x"],"id":1}`, "{\"code\":2,\"msg\":\"Invalid request: missing field `method` at line 1 column 23\"}"},
		{`{"method":`, `{"code":3,"msg":"Invalid JSON: expected value at line 1 column 10"}`},
		{"{\n  oops", `{"code":3,"msg":"Invalid JSON: expected value at line 2 column 3"}`},
		{`[1]`, `{"code":2,"msg":"Invalid request: expected an object at line 1 column 1"}`},
		{`{"method":"SUBSCRIBE","params":"x","id":1}`, `{"code":2,"msg":"Invalid request: params must be an array"}`},
		{`{"method":"SUBSCRIBE","params":[7],"id":1}`, `{"code":2,"msg":"Invalid request: a stream name must be a string"}`},
	} {
		if got := c.say(tc[0]); got != tc[1] {
			t.Errorf("%s\n got %s\nwant %s", tc[0], got, tc[1])
		}
	}
}

func TestEveryEventHasItsFields(t *testing.T) {
	s := start(t, sim.Options{TradePeriod: 20 * time.Millisecond})
	for stream, want := range map[string]string{
		"btcusdt@kline_1m":        "E:n e:s k:o s:s",
		"btcusdt@kline_1d@+08:00": "E:n e:s k:o s:s",
		"pepeusdt@trade":          "E:n M:b T:n e:s m:b p:s q:s s:s t:n",
		"btcusdt@aggTrade":        "E:n M:b T:n a:n e:s f:n l:n m:b p:s q:s s:s",
		"btcusdt@bookTicker":      "A:s B:s a:s b:s s:s u:n",
		"btcusdt@miniTicker":      "E:n c:s e:s h:s l:s o:s q:s s:s v:s",
	} {
		var event map[string]any
		c := dial(t, s, "/ws/"+stream)
		decodeJSON(t, c.next(), &event)
		if got := fields(event); got != want {
			t.Errorf("%s: fields %s, want %s", stream, got, want)
		}
		if k, ok := event["k"].(map[string]any); ok {
			if got, want := fields(k), "B:s L:n Q:s T:n V:s c:s f:n h:s i:s l:s n:n o:s q:s s:s t:n v:s x:b"; got != want {
				t.Errorf("%s: fields of k %s, want %s", stream, got, want)
			}
		}
		combined := dial(t, s, "/stream?streams="+strings.ReplaceAll(stream, "+", "%2B"))
		var wrapper struct {
			Stream string         `json:"stream"`
			Data   map[string]any `json:"data"`
		}
		decodeJSON(t, combined.next(), &wrapper)
		if wrapper.Stream != stream || fields(wrapper.Data) != want {
			t.Errorf("/stream?streams=%s: %+v", stream, wrapper)
		}
	}
}

// fields lists the fields of an object with the first letters of their types.
func fields(object map[string]any) string {
	var all []string
	for name, v := range object {
		kind := map[string]string{"string": "s", "float64": "n", "bool": "b", "map[string]interface {}": "o"}[fmt.Sprintf("%T", v)]
		all = append(all, name+":"+kind)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestSubscriptionsBeginAndEnd(t *testing.T) {
	s := start(t, sim.Options{})
	c := dial(t, s, "/ws")
	c.say(`{"method":"SUBSCRIBE","params":["btcusdt@kline_1m","ethusdt@kline_1m","BTCUSDT@kline_1m","btcusdt@kline_9m"],"id":1}`)
	if diff := cmp.Diff(map[string]int{"btcusdt@kline_1m": 1, "ethusdt@kline_1m": 1}, s.Stats().Streams); diff != "" {
		t.Errorf("streams (-want +got)\n%s", diff)
	}
	seen := make(map[string]bool)
	for len(seen) < 2 {
		seen[strings.Split(c.next(), `"s":"`)[1][:7]] = true
	}
	c.say(`{"method":"UNSUBSCRIBE","params":["ethusdt@kline_1m"],"id":2}`)
	for range 20 {
		if text := c.next(); strings.Contains(text, "ETHUSDT") {
			t.Fatalf("event after UNSUBSCRIBE: %s", text)
		}
	}
	c.Close()
	eventually(t, "no readers", func() bool { st := s.Stats(); return len(st.Streams) == 0 && st.Connections == 0 })
}

// eventually waits for something that another goroutine does soon.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(10 * time.Second)
	for !is() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// ended reads until the connection ends and returns the code of the close frame,
// 0 without one.
func (c *client) ended() int {
	c.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := c.read()
		var closed *websocket.CloseError
		switch {
		case err == nil && time.Now().After(deadline):
			c.t.Fatal("the events go on")
		case err == nil:
		case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
			return closed.Code
		case strings.Contains(err.Error(), "timeout"):
			c.t.Fatal("the connection goes on")
		default:
			return 0
		}
	}
}

func TestMoreThanFiveMessagesASecondEndTheConnection(t *testing.T) {
	for _, kind := range []string{"json", "ping", "pong"} {
		s := slow(t, sim.Options{Limits: sim.Limits{Connects: -1}})
		c := dial(t, s, "/ws")
		for range 6 {
			var err error
			switch kind {
			case "json":
				err = c.WriteMessage(websocket.TextMessage, []byte(`{"method":"LIST_SUBSCRIPTIONS","id":1}`))
			case "ping":
				err = c.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second))
			case "pong":
				err = c.WriteControl(websocket.PongMessage, nil, time.Now().Add(time.Second))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if code := c.ended(); code != websocket.ClosePolicyViolation {
			t.Errorf("six times %s: close code %d, want 1008", kind, code)
		}
	}
}

func TestFiveMessagesASecondAreFine(t *testing.T) {
	s := slow(t, sim.Options{Limits: sim.Limits{Connects: -1}})
	c := dial(t, s, "/ws")
	for i := range 5 {
		if got, want := c.say(fmt.Sprintf(`{"method":"LIST_SUBSCRIPTIONS","id":%d}`, i)), fmt.Sprintf(`{"result":[],"id":%d}`, i); got != want {
			t.Errorf("reply %d = %s, want %s", i, got, want)
		}
	}
}

func TestAConnectionHoldsThousandAndTwentyFourStreams(t *testing.T) {
	s := slow(t, sim.Options{})
	names := make([]string, 1025)
	for i := range names {
		names[i] = strconv.Quote(fmt.Sprintf("sym%d@kline_1m", i))
	}
	c := dial(t, s, "/ws")
	all := `{"method":"SUBSCRIBE","params":[` + strings.Join(names[:1024], ",") + `],"id":1}`
	if got := c.say(all); got != `{"result":null,"id":1}` {
		t.Errorf("1,024 streams: %s", got)
	}
	one := `{"method":"SUBSCRIBE","params":[` + names[1024] + `],"id":2}`
	if got := c.say(one); !strings.HasPrefix(got, `{"code":2,`) {
		t.Errorf("stream 1,025: %s, want an error", got)
	}
	over := strings.ReplaceAll(strings.Join(names, "/"), `"`, "")
	if code := dial(t, s, "/stream?streams="+over).ended(); code != websocket.ClosePolicyViolation {
		t.Errorf("1,025 streams in the address: close code %d, want 1008", code)
	}
}

func TestConnectsAreLimited(t *testing.T) {
	s := slow(t, sim.Options{Limits: sim.Limits{Connects: 3}})
	refused := 0
	for range 7 { // a new window may begin in between, and lets in three more
		ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.StreamURL()+"/ws", nil)
		switch {
		case err == nil:
			ws.Close()
		case resp != nil && resp.StatusCode == http.StatusTooManyRequests && resp.Header.Get("Retry-After") != "":
			refused++
		default:
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("7 connects against a limit of 3: none refused")
	}
}

func TestPingsWantPongsWithTheirPayload(t *testing.T) {
	o := sim.Options{PingPeriod: 10 * time.Millisecond, PongTimeout: 300 * time.Millisecond}
	s := slow(t, o)

	good := dial(t, s, "/ws") // answers by itself
	pings := 0
	answer := good.PingHandler()
	good.SetPingHandler(func(payload string) error {
		if payload == "" {
			t.Error("ping without a payload")
		}
		if pings++; pings == 90 {
			good.Close()
		}
		return answer(payload)
	})
	if code := good.ended(); pings < 90 {
		t.Errorf("ended with %d after %d pings although each was answered", code, pings)
	}

	mute := dial(t, s, "/ws")
	mute.SetPingHandler(func(string) error { return nil })
	if code := mute.ended(); code != websocket.ClosePolicyViolation {
		t.Errorf("without pongs: close code %d, want 1008", code)
	}

	wrong := dial(t, s, "/ws")
	wrong.SetPingHandler(func(string) error {
		return wrong.WriteControl(websocket.PongMessage, []byte("something else"), time.Now().Add(time.Second))
	})
	if code := wrong.ended(); code != websocket.ClosePolicyViolation {
		t.Errorf("with pongs of another payload: close code %d, want 1008", code)
	}
}

func TestAConnectionEndsAfterItsLifeWithNotice(t *testing.T) {
	s := slow(t, sim.Options{Life: 200 * time.Millisecond, ShutdownNotice: 20 * time.Millisecond})
	for path, want := range map[string]string{"/ws": `{"e":"serverShutdown","E":`, "/stream": `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":`} {
		c := dial(t, s, path)
		if text := c.next(); !strings.HasPrefix(text, want) {
			t.Errorf("%s: %s, want %s…", path, text, want)
		}
		if code := c.ended(); code != websocket.CloseNormalClosure {
			t.Errorf("%s: close code %d, want 1000", path, code)
		}
	}
}

func TestOversizedAndBinaryMessagesDoNoHarm(t *testing.T) {
	s := slow(t, sim.Options{})
	c := dial(t, s, "/ws")
	if err := c.WriteMessage(websocket.BinaryMessage, []byte{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if got := c.next(); !strings.HasPrefix(got, `{"code":3,`) {
		t.Errorf("binary message: %s, want code 3", got)
	}
	// The server stops reading in the middle: the rest may meet a reset, and so may
	// the close frame on its way here.
	if err := c.WriteMessage(websocket.TextMessage, make([]byte, 70<<10)); err == nil {
		if code := c.ended(); code != websocket.CloseMessageTooBig && code != 0 {
			t.Errorf("70 KiB: close code %d, want 1009", code)
		}
	}
	eventually(t, "no connection", func() bool { return s.Stats().Connections == 0 })
}
