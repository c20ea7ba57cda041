package binance_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/binance"
)

var eth5m = market.Series{Symbol: "ETHUSDT", Timeframe: market.M5}

func coin(i int) market.Series {
	return market.Series{Symbol: market.Symbol(fmt.Sprintf("COIN%d", i)), Timeframe: market.M1}
}

func TestStreamsShareAConnectionAndLeaveNothingBehind(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		one := listen(t, c, btc1m)
		wait(t, time.Second)
		two := listen(t, c, eth5m)
		three := listen(t, c, btc1m)
		wait(t, 2*time.Second)
		p := v.last(t)
		if diff := cmp.Diff([]string{"btcusdt@kline_1m", "ethusdt@kline_5m"}, p.subscribed()); diff != "" {
			t.Errorf("subscribed (-want +got):\n%s", diff)
		}
		p.send(klineOf(btc1m, true))
		p.send(klineOf(eth5m, false))
		synctest.Wait()
		if one.heard() != 1 || two.heard() != 1 || three.heard() != 1 {
			t.Errorf("heard %d, %d, %d, want 1 each", one.heard(), two.heard(), three.heard())
		}
		one.stop()
		two.stop()
		p.send(klineOf(btc1m, true))
		wait(t, 2*time.Second)
		if one.heard() != 1 || three.heard() != 2 {
			t.Errorf("heard %d after the end, %d beside it, want 1 and 2", one.heard(), three.heard())
		}
		if diff := cmp.Diff([]string{"btcusdt@kline_1m"}, p.subscribed()); diff != "" {
			t.Errorf("subscribed (-want +got):\n%s", diff)
		}
		three.stop()
		wait(t, time.Second)
		if dials, open := v.counts(); dials != 1 || open != 0 {
			t.Errorf("%d dials, %d open in the end, want 1 and 0", dials, open)
		}
		if got := c.Stats().Streams; got != 0 {
			t.Errorf("%d streams counted in the end", got)
		}
	})
}

func TestFiveHundredStreamsKeepTheExchangesLimits(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		var ears []*ear
		for i := range 500 {
			ears = append(ears, listen(t, c, coin(i)))
		}
		wait(t, 10*time.Second)
		if dials, open := v.counts(); dials != 3 || open != 3 {
			t.Fatalf("%d dials, %d connections, want 3 of at most 200", dials, open)
		}
		total := 0
		for _, p := range v.peers {
			total += len(p.subscribed())
			if n := len(p.subscribed()); n > 200 {
				t.Errorf("%d streams on a connection", n)
			}
		}
		if total != 500 {
			t.Errorf("%d streams subscribed, want 500", total)
		}
		for i := range 40 { // changes and pings at once
			ears[i].stop()
			for _, p := range v.peers {
				_ = p.ws.WriteControl(websocket.PingMessage, []byte{byte(i)}, time.Now().Add(time.Second))
			}
			wait(t, 50*time.Millisecond)
		}
		wait(t, 10*time.Second)
		for _, p := range v.peers {
			for i := 5; i < len(p.messages); i++ {
				if d := p.messages[i].Sub(p.messages[i-5]); d < time.Second {
					t.Errorf("6 messages within %v", d)
				}
			}
		}
	})
}

func TestPongCarriesThePayloadOfItsPing(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		listen(t, c, btc1m)
		wait(t, time.Second)
		p := v.last(t)
		var want []string
		for i := range 30 {
			want = append(want, fmt.Sprint("ping ", i))
			if err := p.ws.WriteControl(websocket.PingMessage, []byte(want[i]), time.Now().Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			wait(t, 20*time.Second)
		}
		if diff := cmp.Diff(want, p.pongs); diff != "" {
			t.Errorf("pongs (-want +got):\n%s", diff)
		}
		if dials, _ := v.counts(); dials != 1 {
			t.Errorf("%d dials in ten quiet minutes, want 1", dials)
		}
	})
}

func TestCutConnectionComesBackWithItsStreams(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		e, f := listen(t, c, btc1m), listen(t, c, eth5m)
		wait(t, time.Second)
		for range 5 {
			v.last(t).cut()
			wait(t, 35*time.Second)
			p := v.last(t)
			if diff := cmp.Diff([]string{"btcusdt@kline_1m", "ethusdt@kline_5m"}, p.subscribed()); diff != "" {
				t.Errorf("subscribed (-want +got):\n%s", diff)
			}
			p.send(klineOf(btc1m, true))
			p.send(klineOf(eth5m, true))
		}
		synctest.Wait()
		if e.heard() != 5 || f.heard() != 5 {
			t.Errorf("heard %d and %d, want 5 and 5", e.heard(), f.heard())
		}
		want := []bool{true, false, true, false, true, false, true, false, true, false, true}
		if diff := cmp.Diff(want, e.connected()); diff != "" {
			t.Errorf("connected (-want +got):\n%s", diff)
		}
		if got := c.Stats().Reconnects; got != 5 {
			t.Errorf("%d reconnects counted, want 5", got)
		}
	})
}

func TestRefusedConnectionsBackOff(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		v.refuse = func(int) int { return 503 }
		listen(t, c, btc1m)
		wait(t, 10*time.Minute)
		dials, _ := v.counts()
		// Full jitter below 30 s is 15 s on average, 40 attempts in ten minutes.
		if dials < 20 || dials > 110 {
			t.Errorf("%d attempts in ten minutes", dials)
		}
		for i := 1; i < dials; i++ {
			if pause, bound := v.dials[i].Sub(v.dials[i-1]), min(30*time.Second, 250*time.Millisecond<<min(i-1, 20)); pause > bound+time.Millisecond {
				t.Errorf("pause %d is %v, want at most %v", i, pause, bound)
			}
		}
	})
}

func TestConnectionThatIsCutAtOnceKeepsWithinTheDialLimit(t *testing.T) {
	bubble(t, binance.Limits{BackoffMax: time.Millisecond, BackoffMin: time.Millisecond}, func(t *testing.T, v *venue, c *binance.Client) {
		v.refuse = func(int) int { return 500 }
		listen(t, c, btc1m)
		wait(t, 20*time.Minute)
		dials, _ := v.counts()
		if dials < 1200 || dials > 1500 {
			t.Errorf("%d attempts in 20 minutes, want 300 in each 5", dials)
		}
		for i := 300; i < dials; i++ {
			if d := v.dials[i].Sub(v.dials[i-300]); d < 5*time.Minute {
				t.Fatalf("301 attempts within %v", d)
			}
		}
	})
}

func TestHandshakeHonoursRetryAfter(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		v.refuse = func(n int) int {
			if n == 1 {
				return 429
			}
			return 0
		}
		listen(t, c, btc1m)
		wait(t, 89*time.Second)
		if dials, _ := v.counts(); dials != 1 {
			t.Errorf("%d attempts within Retry-After, want 1", dials)
		}
		wait(t, 3*time.Second)
		if _, open := v.counts(); open != 1 {
			t.Error("no connection after Retry-After")
		}
	})
}

func TestHalfOpenConnectionIsReplaced(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		listen(t, c, btc1m)
		wait(t, time.Second)
		p := v.last(t)
		p.mu.Lock()
		p.mute = true
		p.mu.Unlock()
		wait(t, 41*time.Second)
		if dials, _ := v.counts(); dials != 2 {
			t.Errorf("%d dials after 41 s without any frame, want 2", dials)
		}
	})
}

func TestConnectionIsRenewedBeforeItsDayIsOver(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		e := listen(t, c, btc1m)
		wait(t, 23*time.Hour*98/100-time.Minute)
		if dials, _ := v.counts(); dials != 1 {
			t.Fatalf("%d dials too early, want 1", dials)
		}
		sent := 0
		for end := time.Now().Add(40 * time.Minute); time.Now().Before(end); wait(t, 2*time.Second) {
			for _, p := range v.peers {
				select {
				case <-p.gone:
				default:
					p.send(klineOf(btc1m, true))
					sent++
				}
			}
		}
		if dials, open := v.counts(); dials != 2 || open != 1 {
			t.Errorf("%d dials, %d open after 23 h, want 2 and 1", dials, open)
		}
		if e.heard() != sent {
			t.Errorf("heard %d of %d frames", e.heard(), sent)
		}
		if diff := cmp.Diff([]bool{true}, e.connected()); diff != "" {
			t.Errorf("connected (-want +got):\n%s", diff)
		}
		if s := c.Stats(); s.Renewals != 1 || s.Reconnects != 0 {
			t.Errorf("counted %d renewals and %d reconnects, want 1 and 0", s.Renewals, s.Reconnects)
		}
	})
}

func TestShutdownIsAnsweredByANewConnectionFirst(t *testing.T) {
	for name, text := range map[string]string{
		"raw":      `{"e":"serverShutdown","E":1770123456789}`,
		"combined": `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}`,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
				e, f := listen(t, c, btc1m), listen(t, c, eth5m)
				wait(t, time.Second)
				old := v.last(t)
				old.send(text)
				old.send(text)
				wait(t, time.Second)
				fresh := v.last(t)
				if fresh == old {
					t.Fatal("no second connection")
				}
				fresh.send(klineOf(btc1m, true))
				wait(t, time.Second)
				select {
				case <-old.gone:
					t.Error("the old connection went before the new one had brought every stream")
				default:
				}
				old.send(klineOf(eth5m, true))
				fresh.send(klineOf(eth5m, true))
				wait(t, time.Second)
				select {
				case <-old.gone:
				default:
					t.Error("the old connection stays")
				}
				if e.heard() != 1 || f.heard() != 2 {
					t.Errorf("heard %d and %d, want 1 and 2", e.heard(), f.heard())
				}
				if diff := cmp.Diff([]bool{true}, e.connected()); diff != "" {
					t.Errorf("connected (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestRenewalDoesNotWaitForASilentStreamForEver(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		listen(t, c, btc1m)
		wait(t, time.Second)
		old := v.last(t)
		old.send(`{"e":"serverShutdown","E":1}`)
		wait(t, 6*time.Second)
		if _, open := v.counts(); open != 1 || v.last(t) == old {
			t.Errorf("%d connections open 6 s after the announcement, want the new one", open)
		}
	})
}

func TestRenewalSurvivesTheEndOfEitherConnection(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		e := listen(t, c, btc1m)
		wait(t, time.Second)
		old := v.last(t)
		old.send(`{"e":"serverShutdown","E":1}`)
		wait(t, time.Second)
		v.last(t).cut() // the new one breaks: another follows
		wait(t, 2*time.Second)
		old.cut() // the old one breaks while the new one waits for frames
		wait(t, 40*time.Second)
		v.last(t).send(klineOf(btc1m, true))
		synctest.Wait()
		if e.heard() != 1 {
			t.Errorf("heard %d, want 1", e.heard())
		}
		if _, open := v.counts(); open != 1 {
			t.Errorf("%d connections open, want 1", open)
		}
	})
}

func TestGarbageEndsAConnectionOnlyAfterAHundredInARow(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		e := listen(t, c, btc1m)
		wait(t, time.Second)
		p := v.last(t)
		for _, text := range []string{
			"", "\x1b[2J", "{", `{"e":"kline"}`, `{"e":"kline","E":1,"k":7}`, strings.Repeat("[", 100_000), strings.Repeat("x", 4<<20),
		} {
			for range 14 {
				p.send(text)
			}
		}
		_ = p.ws.WriteMessage(websocket.BinaryMessage, []byte(klineOf(btc1m, true)))
		p.send(klineOf(btc1m, true))
		synctest.Wait()
		if e.heard() != 1 {
			t.Errorf("heard %d after 99 bad frames, want 1", e.heard())
		}
		for range 99 {
			p.send("{")
		}
		p.send(klineOf(btc1m, true))
		synctest.Wait()
		if got := c.Stats().BadFrames; got != 198 {
			t.Errorf("%d bad frames counted, want 198", got)
		}
		if dials, _ := v.counts(); dials != 1 {
			t.Fatalf("%d dials after twice 99 bad frames, want 1", dials)
		}
		for range 100 {
			p.send("{")
		}
		wait(t, time.Second)
		if dials, _ := v.counts(); dials != 2 {
			t.Errorf("%d dials after 100 bad frames in a row, want 2", dials)
		}
	})
}

func TestRefusedSubscriptionIsCountedAndEndsNothing(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		e := listen(t, c, btc1m)
		wait(t, time.Second)
		p := v.last(t)
		p.send(`{"code":2,"msg":"Invalid request: unknown variant"}`)
		p.send(`[{"e":"24hrMiniTicker"}]`)
		p.send(`{"u":1,"s":"BTCUSDT","b":"1"}`)
		p.send(klineOf(eth5m, true)) // nobody's
		p.send(klineOf(btc1m, true))
		synctest.Wait()
		s := c.Stats()
		if e.heard() != 1 || s.Refusals != 1 || s.OtherFrames != 3 || s.Frames != 1 || s.BadFrames != 0 {
			t.Errorf("heard %d, counted %+v", e.heard(), s)
		}
	})
}

func TestStreamOpenedAnewTakesAnotherConnection(t *testing.T) {
	bubble(t, binance.Limits{}, func(t *testing.T, v *venue, c *binance.Client) {
		e := listen(t, c, btc1m)
		listen(t, c, eth5m)
		wait(t, time.Second)
		first := v.last(t)
		e.stop()
		e = listen(t, c, btc1m)
		wait(t, time.Second)
		if v.last(t) == first || !slices.Contains(v.last(t).subscribed(), "btcusdt@kline_1m") {
			t.Error("the stream is on the connection that it was just taken from")
		}
		v.last(t).send(klineOf(btc1m, true))
		synctest.Wait()
		if e.heard() != 1 {
			t.Errorf("heard %d, want 1", e.heard())
		}
	})
}
