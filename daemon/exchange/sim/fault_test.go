package sim_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/spark-ta/spark/daemon/exchange/sim"
)

const minuteStream = "btcusdt@kline_1m"

func TestConnectionsEndOnCommand(t *testing.T) {
	s := start(t, sim.Options{})
	first := dial(t, s, "/ws/"+minuteStream)
	first.next() // the server knows it before the second
	second := dial(t, s, "/ws/"+minuteStream)
	second.next()
	inject(t, s, sim.Fault{Kind: sim.Close, Count: 1})
	if code := first.ended(); code != websocket.CloseNormalClosure {
		t.Errorf("close: code %d, want 1000", code)
	}
	second.next() // goes on
	inject(t, s, sim.Fault{Kind: sim.Cut})
	for {
		_, err := second.read()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if errors.As(err, &closed) || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("cut: %v, want a reset without a close frame", err)
		}
		break
	}
	third := dial(t, s, "/stream?streams="+minuteStream)
	third.next()
	inject(t, s, sim.Fault{Kind: sim.Shutdown, DelayMS: 30})
	for !strings.HasPrefix(third.next(), `{"stream":"!serverShutdown"`) {
	}
	if code := third.ended(); code != websocket.CloseGoingAway {
		t.Errorf("shutdown: code %d, want 1001", code)
	}
}

func TestAFrozenConnectionIsOpenAndSilent(t *testing.T) {
	s := start(t, sim.Options{PingPeriod: 10 * time.Millisecond, PongTimeout: 50 * time.Millisecond})
	c := dial(t, s, "/ws/"+minuteStream)
	c.next()
	inject(t, s, sim.Fault{Kind: sim.Freeze})
	pings := 0
	c.SetPingHandler(func(string) error { pings++; return nil })
	// What was under way may still come; then nothing for ten times the timeouts.
	var err error
	frames := 0
	for ; err == nil; frames++ {
		if err = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err == nil {
			_, _, err = c.ReadMessage()
		}
	}
	if !strings.Contains(err.Error(), "timeout") || frames > 10 || pings > 5 {
		t.Errorf("frozen: %d frames, %d pings, then %v, want silence", frames, pings, err)
	}
	if n := s.Stats().Connections; n != 1 {
		t.Errorf("%d connections, want the frozen one", n)
	}

	d := dial(t, s, "/ws/"+minuteStream)
	d.next() // it is known to the server
	inject(t, s, sim.Fault{Kind: sim.Freeze, ForMS: 30})
	if code := d.ended(); code != 0 {
		t.Errorf("after a while: close code %d, want a reset", code)
	}
}

func TestGapsLeaveOutFrames(t *testing.T) {
	s := start(t, sim.Options{})
	c := dial(t, s, "/ws/"+minuteStream)
	before := c.closedKline()
	inject(t, s, sim.Fault{Kind: sim.Gap, Closed: true, Count: 2, Stream: minuteStream})
	after := c.closedKline()
	opened := opens(t, before, after)
	// A candle may have closed between reading and injecting.
	if n := (opened[1] - opened[0]) / 60_000; n < 3 || n > 5 {
		t.Errorf("%d minutes between closed candles, want 3", n)
	}
	if st := s.Stats(); st.Lost != 2 {
		t.Errorf("%d events lost, want 2", st.Lost)
	}
	if left := s.Faults(); len(left) != 0 {
		t.Errorf("faults left: %+v", left)
	}
}

func opens(t *testing.T, ks ...kline) []int64 {
	t.Helper()
	all := make([]int64, len(ks))
	for i, k := range ks {
		all[i] = ms(t, k.K.Open)
	}
	return all
}

func TestFramesAreDoubled(t *testing.T) {
	s := start(t, sim.Options{})
	inject(t, s, sim.Fault{Kind: sim.Duplicate, Closed: true, Count: 2})
	c := dial(t, s, "/ws/"+minuteStream)
	ks := opens(t, c.closedKline(), c.closedKline(), c.closedKline(), c.closedKline(), c.closedKline())
	var steps []int64
	for i := range 4 {
		steps = append(steps, (ks[i+1]-ks[i])/60_000)
	}
	if want := []int64{0, 1, 0, 1}; !slices.Equal(steps, want) {
		t.Errorf("minutes between closed candles %v, want %v", steps, want)
	}
}

func TestFramesComeOutOfOrder(t *testing.T) {
	s := start(t, sim.Options{})
	inject(t, s, sim.Fault{Kind: sim.Reorder, Closed: true, Count: 1})
	c := dial(t, s, "/ws/"+minuteStream)
	last := int64(0)
	for {
		k := c.kline()
		open := ms(t, k.K.Open)
		if k.K.Closed {
			if open >= last {
				t.Errorf("candle %d closed before %d was seen open", open, last)
			}
			return
		}
		last = open
	}
}

func TestStalledFramesComeLater(t *testing.T) {
	s := start(t, sim.Options{})
	c := dial(t, s, "/ws/"+minuteStream)
	last := opens(t, c.closedKline())[0]
	inject(t, s, sim.Fault{Kind: sim.Stall, ForMS: 350}) // 3.5 virtual minutes
	begin := time.Now()
	longest := time.Duration(0)
	for range 6 {
		at := time.Now()
		k := c.closedKline()
		longest = max(longest, time.Since(at))
		open := opens(t, k)[0]
		if open != last+60_000 {
			t.Errorf("candle %d after %d: not one by one", open, last)
		}
		last = open
	}
	if longest < 200*time.Millisecond {
		t.Errorf("longest silence %s within %s, want about 350ms", longest, time.Since(begin))
	}
}

func TestGarbageTakesThePlaceOfFrames(t *testing.T) {
	s := start(t, sim.Options{})
	for shape, is := range map[string]func(string) bool{
		sim.ShapeText:      func(m string) bool { return !json.Valid([]byte(m)) && strings.HasPrefix(m, "<html>") },
		sim.ShapeTypes:     func(m string) bool { return json.Valid([]byte(m)) && strings.Contains(m, `"E":"soon"`) },
		sim.ShapeTruncated: func(m string) bool { return !json.Valid([]byte(m)) && strings.HasPrefix(m, `{"e":"kline"`) },
		sim.ShapeHuge:      func(m string) bool { return json.Valid([]byte(m)) && len(m) > 4<<20 },
	} {
		c := dial(t, s, "/ws/"+minuteStream)
		c.kline()
		inject(t, s, sim.Fault{Kind: sim.Garbage, Shape: shape})
		for {
			m := c.next()
			if is(m) {
				break
			}
			if !strings.HasPrefix(m, `{"e":"kline","E":1`) || !json.Valid([]byte(m)) {
				t.Fatalf("%s: %.100q", shape, m)
			}
		}
		c.kline() // and goes on
		c.Close()
	}
	eventually(t, "no readers", func() bool { return len(s.Stats().Streams) == 0 })
	// Without a shape they take turns.
	inject(t, s, sim.Fault{Kind: sim.Garbage, Count: 3})
	c := dial(t, s, "/ws/"+minuteStream)
	valid := 0
	for range 3 {
		if json.Valid([]byte(c.next())) {
			valid++
		}
	}
	if valid != 1 {
		t.Errorf("%d of three shapes are JSON, want 1", valid)
	}
}

func TestRequestsAreSlowOrAnsweredWithAStatus(t *testing.T) {
	s := start(t, sim.Options{})
	inject(t, s, sim.Fault{Kind: sim.Slow, DelayMS: 150})
	for i, slow := range []bool{true, false} {
		begin := time.Now()
		get(t, s.URL()+"/api/v3/ping")
		if took := time.Since(begin); slow != (took >= 150*time.Millisecond) {
			t.Errorf("request %d took %s", i, took)
		}
	}
	for _, tc := range []struct {
		status int
		body   string
		retry  string
	}{
		{500, `{"code":-1001,`, ""}, {503, `{"code":-1001,`, ""}, {429, `{"code":-1003,`, "7"}, {418, `{"code":-1003,`, "7"}, {451, `{"code":0,"msg":"Service unavailable from a restricted location`, ""}, {403, `{"code":0,`, ""},
	} {
		f := sim.Fault{Kind: sim.Status, Status: tc.status, Path: "/api/v3/klines"}
		if tc.retry != "" {
			f.DelayMS = 7000
		}
		inject(t, s, f)
		if status, _, _ := get(t, s.URL()+"/api/v3/ping"); status != 200 {
			t.Errorf("ping = %d although only klines are hit", status)
		}
		status, header, body := get(t, s.URL()+"/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1")
		if status != tc.status || !strings.HasPrefix(body, tc.body) || header.Get("Retry-After") != tc.retry {
			t.Errorf("status %d: %d %s, Retry-After %q", tc.status, status, body, header.Get("Retry-After"))
		}
		if status, _, _ := get(t, s.URL()+"/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1"); status != 200 {
			t.Errorf("status %d: the next request has it too", tc.status)
		}
	}
	inject(t, s, sim.Fault{Kind: sim.Status, Status: 451, Path: "/stream"})
	_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.StreamURL()+"/stream", nil)
	if err == nil || resp == nil || resp.StatusCode != 451 {
		t.Errorf("handshake: %v, %v, want 451", resp, err)
	}
}

func TestKlinesLagBehind(t *testing.T) {
	s := start(t, sim.Options{Speed: 1})
	inject(t, s, sim.Fault{Kind: sim.Lag, DelayMS: 600_000, ForMS: 60_000})
	all := rows(t, s, "symbol=BTCUSDT&interval=1m&limit=1")
	if lag := noon.UnixMilli() - ms(t, all[0][0]); lag != 600_000 {
		t.Errorf("newest candle %d ms before the start, want 600000", lag)
	}
	s.ClearFaults()
	all = rows(t, s, "symbol=BTCUSDT&interval=1m&limit=1")
	if ms(t, all[0][0]) < noon.UnixMilli() {
		t.Errorf("newest candle %v after the fault", all[0][0])
	}
}

func TestClocksAreSkewed(t *testing.T) {
	s := start(t, sim.Options{})
	inject(t, s, sim.Fault{Kind: sim.Skew, DelayMS: -3_600_000, ForMS: 60_000})
	var reply struct{ ServerTime int64 }
	_, _, body := get(t, s.URL()+"/api/v3/time")
	decodeJSON(t, body, &reply)
	if off := s.Now().UnixMilli() - reply.ServerTime; off < 3_600_000 || off > 3_700_000 {
		t.Errorf("serverTime is %d ms behind, want an hour", off)
	}
	c := dial(t, s, "/ws/"+minuteStream)
	k := c.kline()
	if k.Time > ms(t, k.K.Open)-3_400_000 {
		t.Errorf("event at %d of candle %v: not shifted", k.Time, k.K.Open)
	}
}

func TestFaultsAreOrderedOverHTTP(t *testing.T) {
	s := slow(t, sim.Options{})
	url := s.URL() + sim.PathFaults
	for _, tc := range []struct {
		body   string
		status int
		answer string
	}{
		{`{"kind":"gap","count":3,"closed":true}`, 201, `"kind":"gap"`},
		{`{"kind":"skew","delay_ms":-5,"for_ms":60000}`, 201, `"kind":"skew"`},
		{`{"kind":"cut"}`, 201, `"kind":"cut"`},
		{`{"kind":"explode"}`, 400, "one of close cut"},
		{`{"kind":"status","status":200}`, 400, "400 to 599"},
		{`{"kind":"slow"}`, 400, "delay_ms"},
		{`{"kind":"lag","delay_ms":5}`, 400, "for_ms"},
		{`{"kind":"stall","count":5}`, 400, "for_ms"},
		{`{"kind":"gap","count":-1}`, 400, "count -1"},
		{`{"kind":"garbage","shape":"blue"}`, 400, "shape"},
		{`{"kind":"gap","colour":1}`, 400, "colour"},
		{`{"kind":"gap"}{}`, 400, "more than one"},
		{`{`, 400, "unexpected"},
	} {
		status, _, body := request(t, http.MethodPost, url, tc.body, nil)
		if status != tc.status || !strings.Contains(body, tc.answer) {
			t.Errorf("POST %s = %d %s, want %d …%s…", tc.body, status, body, tc.status, tc.answer)
		}
	}
	var waiting []sim.Fault
	_, _, body := get(t, url)
	decodeJSON(t, body, &waiting)
	if len(waiting) != 2 || waiting[0].Count != 3 || waiting[1].ForMS > 60_000 || waiting[1].ForMS < 1 {
		t.Errorf("faults = %s, want gap and skew", body)
	}
	if status, _, _ := request(t, http.MethodDelete, url, "", nil); status != 204 {
		t.Errorf("DELETE = %d, want 204", status)
	}
	if _, _, body := get(t, url); strings.TrimSpace(body) != "[]" {
		t.Errorf("faults after DELETE = %s", body)
	}
	var st sim.Stats
	_, _, body = get(t, s.URL()+sim.PathState)
	decodeJSON(t, body, &st)
	if st.Now < noon.UnixMilli() {
		t.Errorf("state = %s", body)
	}
}

func TestTheSinkKeepsCountsAndAnswersAsTold(t *testing.T) {
	s := slow(t, sim.Options{})
	url := s.URL() + sim.PathSink
	post := func(url, id, body string) int {
		status, _, _ := request(t, http.MethodPost, url, body, map[string]string{
			"webhook-id": id, "webhook-timestamp": "1780488000", "idempotency-key": "k-" + id, "content-type": "application/json",
		})
		return status
	}
	var got []int
	for range 4 {
		got = append(got, post(url+"?status=500&count=2", "a", `{"n":1}`))
	}
	got = append(got, post(url+"?status=410", "b", ""), post(url+"?status=500&count=2", "b", ""), post(url, "c", ""))
	if err := s.InjectSink(sim.SinkFault{Status: 503, Count: 2}); err != nil {
		t.Fatal(err)
	}
	got = append(got, post(url, "d", ""), post(url, "d", ""), post(url, "d", ""))
	if status, _, body := request(t, http.MethodPost, s.URL()+sim.PathSinkFaults, `{"delay_ms":120}`, nil); status != 201 {
		t.Errorf("POST %s = %d %s", sim.PathSinkFaults, status, body)
	}
	begin := time.Now()
	got = append(got, post(url, "e", ""))
	if took := time.Since(begin); took < 120*time.Millisecond {
		t.Errorf("delayed arrival took %s", took)
	}
	if want := []int{500, 500, 200, 200, 410, 500, 200, 503, 503, 200, 200}; !slices.Equal(got, want) {
		t.Errorf("answers %v, want %v", got, want)
	}
	var all []sim.Arrival
	_, _, body := get(t, url)
	decodeJSON(t, body, &all)
	if len(all) != 11 || all[0].WebhookID != "e" || all[7].Times != 4 {
		t.Fatalf("arrivals = %s, want 11, newest first, a four times", body)
	}
	first := all[10]
	first.Received = 0
	want := sim.Arrival{WebhookID: "a", Timestamp: "1780488000", IdempotencyKey: "k-a", ContentType: "application/json", Body: `{"n":1}`, Status: 500, Times: 1}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("arrival (-want +got)\n%s", diff)
	}
	if status := post(url, "x", strings.Repeat("x", 65<<10)); status != http.StatusRequestEntityTooLarge {
		t.Errorf("65 KiB = %d, want 413", status)
	}
	for _, bad := range []string{"?status=abc", "?status=99", "?status=500&count=-1"} {
		if status := post(url+bad, "x", ""); status != 400 {
			t.Errorf("POST %s = %d, want 400", bad, status)
		}
	}
	for i := range 1005 {
		post(url, fmt.Sprint(i), "")
	}
	if n := len(s.Arrivals()); n != 1000 {
		t.Errorf("%d arrivals kept, want 1000", n)
	}
	if status, _, _ := request(t, http.MethodDelete, url, "", nil); status != 204 || len(s.Arrivals()) != 0 {
		t.Errorf("DELETE = %d, %d arrivals left", status, len(s.Arrivals()))
	}
}
