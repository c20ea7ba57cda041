package stream_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/stream"
)

func TestResume(t *testing.T) {
	live := func(n int64) string { return fmt.Sprint(bar(n).Event) }
	tests := []struct {
		name   string
		header string
		query  string
		want   []string
	}{
		{"fresh", "", "", []string{"open", "9", "10?"}},
		{"after an open state", fmt.Sprint(tick(7, 30_000).Event), "", []string{"open", "7", "8", "9", "10?"}},
		{"after a closed candle", live(6), "", []string{"open", "7", "8", "9", "10?"}},
		{"nothing missed", live(9), "", []string{"open", "10?"}},
		{"all of the ring is just enough", live(4), "", []string{"open", "5", "6", "7", "8", "9", "10?"}},
		{"by query", "", live(8), []string{"open", "9", "10?"}},
		{"the header is newer than the query", live(8), live(5), []string{"open", "9", "10?"}},
		{"a little ahead of this gateway", fmt.Sprint(bar(9).Event + 30_000), "", []string{"open", "10?"}},
		{"too old", live(1), "", []string{"open", "gap", "4", "5", "6", "7", "8", "9", "10?"}},
		{"zero", "0", "", []string{"open", "gap", "4", "5", "6", "7", "8", "9", "10?"}},
		{"from the future", "99999999999999", "", []string{"open", "gap", "4", "5", "6", "7", "8", "9", "10?"}},
		{"no number", "abc", "", []string{"open", "gap", "4", "5", "6", "7", "8", "9", "10?"}},
		{"too large", strings.Repeat("9", 40), "", []string{"open", "gap", "4", "5", "6", "7", "8", "9", "10?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newExchange()
				h := &stream.Hub{Source: x, Ring: 6}
				run(t, h)
				first := newGated()
				leaveFirst, _ := connect(t.Context(), h, first, path)
				synctest.Wait()
				for n := range int64(10) {
					x.push(btc, update(bar(n)))
				}
				x.push(btc, update(tick(10, 2000)))
				synctest.Wait()
				g := newGated()
				target := path
				if tt.query != "" {
					target += "?lastEventId=" + tt.query
				}
				var header []string
				if tt.header != "" {
					header = []string{"Last-Event-ID", tt.header}
				}
				leave, _ := connect(t.Context(), h, g, target, header...)
				synctest.Wait()
				leave()
				leaveFirst()
				if diff := cmp.Diff(tt.want, klines(t, g.taken())); diff != "" {
					t.Errorf("resumed (-want +got):\n%s", diff)
				}
				if n := len(g.taken()); n != 1 {
					t.Errorf("%d writes, want all in the first", n)
				}
			})
		})
	}
}

func TestResumeMissesNoCandleWhoseIdIsNotNewer(t *testing.T) {
	tests := []struct {
		name string
		seen int64 // the reader's last id
		news func(x *exchange)
		want string
	}{
		{
			// By stream the last open state came 5 ms after the close; this gateway read
			// the close by REST, whose id is the close time.
			"closed by REST, seen open later", 180_005,
			func(x *exchange) {
				c := bar(2)
				c.Event = 179_999
				x.push(btc, update(c))
			}, "2",
		},
		{
			"corrected after the reader left", tick(3, 30_000).Event,
			func(x *exchange) {
				x.push(btc, update(bar(2)), update(tick(3, 30_000)))
				c := bar(2)
				c.Event, c.Trades = 179_999, c.Trades+1
				x.push(btc, update(c))
			}, "2",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newExchange()
				x.push(btc, update(bar(0)), update(bar(1)))
				h := &stream.Hub{Source: x}
				run(t, h)
				leaveFirst, _ := connect(t.Context(), h, newGated(), path)
				defer leaveFirst()
				synctest.Wait()
				tt.news(x)
				synctest.Wait()
				g := newGated()
				leave, _ := connect(t.Context(), h, g, path, "Last-Event-ID", fmt.Sprint(tt.seen))
				synctest.Wait()
				leave()
				if got := klines(t, g.taken()); len(got) < 2 || got[1] != tt.want {
					t.Errorf("resumed with %v, want candle %s first", got, tt.want)
				}
			})
		})
	}
}

func TestResumeOfSeveralSeriesBeginsAMinuteEarlier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newExchange()
		eth := market.Series{Symbol: "ETHUSDT", Timeframe: market.M1}
		for n := range int64(10) {
			x.push(btc, update(bar(n)))
			late := bar(n)
			late.Event -= 5 // arrived after BTCUSDT's, with an earlier id
			x.push(eth, update(late))
		}
		h := &stream.Hub{Source: x}
		run(t, h)
		g := newGated()
		leave, _ := connect(t.Context(), h, g, path+"?symbols=BTCUSDT,ETHUSDT", "Last-Event-ID", fmt.Sprint(bar(9).Event))
		synctest.Wait()
		leave()
		var last string
		for _, w := range g.taken() {
			if strings.Contains(w, `"symbol":"ETHUSDT","timeframe":"1m","data":{"t":540000`) {
				last = w
			}
		}
		if last == "" {
			t.Errorf("the other series' candle of the same minute is missing: %q", g.taken())
		}
	})
}

// TestResumeOnAnotherGateway cuts a reader at a random place again and again and lets
// it go on at another gateway, which got the same candles partly by REST (whose ids
// are the close times).
func TestResumeOnAnotherGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		xs := []*exchange{newExchange(), newExchange()}
		hubs := make([]*stream.Hub, 2)
		for i, x := range xs {
			hubs[i] = &stream.Hub{Source: x}
			run(t, hubs[i])
			g := newGated() // keeps the topic
			leave, _ := connect(t.Context(), hubs[i], g, path)
			defer leave()
		}
		var writes []string
		lastID, cuts := "", 0
		g := newGated()
		leave, _ := connect(t.Context(), hubs[0], g, path)
		for n := range int64(300) {
			for ms := int64(10_000); ms < 60_000; ms += 20_000 {
				for _, x := range xs {
					x.push(btc, update(tick(n, ms+n%7)))
				}
				synctest.Wait()
			}
			byREST := bar(n)
			byREST.Event = btc.Timeframe.CloseTime(byREST.Time)
			if n%2 == 0 {
				xs[0].push(btc, update(bar(n)))
				xs[1].push(btc, update(byREST))
			} else {
				xs[0].push(btc, update(byREST))
				xs[1].push(btc, update(bar(n)))
			}
			if n%3 != 0 { // sometimes cut before the candle was delivered
				synctest.Wait()
			}
			leave()
			got := g.taken()
			writes = append(writes, got...)
			r := newReader(strings.NewReader(strings.Join(got, "")))
			for {
				if _, err := r.next(); err != nil {
					break
				}
			}
			if r.lastID != "" {
				lastID = r.lastID
			}
			cuts++
			synctest.Wait()
			g = newGated()
			leave, _ = connect(t.Context(), hubs[cuts%2], g, path, "Last-Event-ID", lastID)
			synctest.Wait()
		}
		leave()
		writes = append(writes, g.taken()...)
		seen := map[string]int{}
		for _, k := range klines(t, writes) {
			seen[k]++
		}
		for n := range 300 {
			if seen[fmt.Sprint(n)] == 0 {
				t.Errorf("candle %d was never delivered closed", n)
			}
		}
		if seen["gap"] > 1 { // the first cut may be before anything was seen
			t.Errorf("%d gaps", seen["gap"])
		}
	})
}
