package binance_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/daemon/exchange/binance"
)

var btc1m = market.Series{Symbol: "BTCUSDT", Timeframe: market.M1}

// answer is what an office gives to one request.
type answer struct {
	status int
	header map[string]string
	body   string
}

// office answers REST requests in the memory of the test: the time always, the
// rest by a function.
type office struct {
	skew  time.Duration
	kline func(n int, r *http.Request) answer // n counts the requests that are not for the time

	mu       sync.Mutex
	requests []*http.Request // all but those for the time
	times    int             // requests for the time
}

func (o *office) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var a answer
	if r.URL.Path == "/api/v3/time" {
		o.times++
		a = answer{status: 200, body: fmt.Sprintf(`{"serverTime":%d}`, time.Now().Add(o.skew).UnixMilli())}
	} else {
		o.requests = append(o.requests, r)
		a = o.kline(len(o.requests), r)
	}
	h := http.Header{}
	for k, v := range a.header {
		h.Set(k, v)
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (o *office) count() (requests, times int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.requests), o.times
}

// desk returns a client of an office.
func desk(o *office) *binance.Client {
	return &binance.Client{REST: "http://rest.test", HTTP: &http.Client{Transport: o}}
}

func always(a answer) func(int, *http.Request) answer {
	return func(int, *http.Request) answer { return a }
}

// row returns a kline of the minute that opens at the given time.
func row(open time.Time) string {
	ms := open.UnixMilli()
	return fmt.Sprintf(`[%d,"1.5","2","0.00001230","1.75","10.25",%d,"1",42,"1","1","0"]`, ms, ms+59_999)
}

// wait lets the bubble's time pass.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
	synctest.Wait()
}

func TestKlinesAreClosedByTheExchangesClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Truncate(time.Minute)
		// Our clock is 90 s behind the exchange's: two of the three rows are closed.
		o := &office{skew: 90 * time.Second}
		o.kline = func(_ int, r *http.Request) answer {
			q := r.URL.Query()
			if q.Get("symbol") != "BTCUSDT" || q.Get("interval") != "1m" || q.Get("limit") != "3" || q.Get("startTime") != "5" || q.Get("endTime") != "7" {
				t.Errorf("asked %s", r.URL)
			}
			return answer{status: 200, body: "[" + row(start.Add(-time.Minute)) + "," + row(start) + "," + row(start.Add(time.Minute)) + "]"}
		}
		c := desk(o)
		got, err := c.Klines(t.Context(), btc1m, 3, 5, 7)
		if err != nil {
			t.Fatal(err)
		}
		candle := market.Candle{Open: 1.5, High: 2, Low: 0.0000123, Close: 1.75, Volume: 10.25, Trades: 42}
		want := []market.Candle{candle, candle, candle}
		for i := range want {
			want[i].Time = start.UnixMilli() + int64(i-1)*60_000
			want[i].Event = want[i].Time + 59_999
			want[i].Closed = i < 2
		}
		want[2].Event = start.UnixMilli() + 90_000
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("candles (-want +got):\n%s", diff)
		}
		if got, want := c.Now(), time.Now().Add(90*time.Second); !got.Equal(want) {
			t.Errorf("Now = %v, want %v", got, want)
		}
	})
}

func TestCandleBeforeAnotherIsClosedWhateverTheClockSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Truncate(time.Minute)
		o := &office{skew: -time.Second} // by its clock the first one is still open
		o.kline = always(answer{status: 200, body: "[" + row(start.Add(-time.Minute)) + "," + row(start) + "]"})
		got, err := desk(o).Klines(t.Context(), btc1m, 2, 0, 0)
		if err != nil || len(got) != 2 || !got[0].Closed || got[1].Closed {
			t.Errorf("Klines = %+v, %v, want the first closed, the second open", got, err)
		}
	})
}

func TestClockIsReadEveryTenMinutesAndAnOldOneServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{kline: always(answer{status: 200, body: "[]"})}
		c := desk(o)
		for range 60 {
			if _, err := c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
				t.Fatal(err)
			}
			wait(t, time.Minute)
		}
		if _, times := o.count(); times != 6 {
			t.Errorf("the time was asked %d times in an hour, want 6", times)
		}
	})
}

func TestClockOfAFastExchangeRunsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := desk(&office{kline: always(answer{status: 200, body: "[]"})})
		c.Speed = 60
		if _, err := c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
			t.Fatal(err)
		}
		before := c.Now()
		wait(t, time.Second)
		if got := c.Now().Sub(before); got != time.Minute {
			t.Errorf("a second is %v, want a minute", got)
		}
	})
}

func TestNoRequestLeavesBeforeRetryAfter(t *testing.T) {
	for _, test := range []struct {
		status int
		header string
		wait   time.Duration
	}{
		{429, "37", 37 * time.Second},
		{418, "259200", 72 * time.Hour},
		{418, "99999999", 72 * time.Hour},
		{429, "", time.Minute},
		{429, "soon", time.Minute},
		{418, "", 2 * time.Minute},
		{429, "0", time.Second},
	} {
		t.Run(fmt.Sprint(test.status, test.header), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &office{}
				o.kline = func(n int, _ *http.Request) answer {
					if n > 1 {
						return answer{status: 200, body: "[]"}
					}
					return answer{status: test.status, header: map[string]string{"Retry-After": test.header}, body: `{"code":-1003,"msg":"Too many requests."}`}
				}
				c := desk(o)
				_, err := c.Klines(t.Context(), btc1m, 1, 0, 0)
				var limit *binance.RateLimitError
				if !errors.As(err, &limit) || limit.RetryAfter() != test.wait || limit.Banned != (test.status == 418) {
					t.Fatalf("error = %v, want a rate limit of %v", err, test.wait)
				}
				for range 20 {
					wait(t, test.wait/21)
					_, err = c.Klines(t.Context(), btc1m, 1, 0, 0)
					if !errors.As(err, &limit) {
						t.Fatalf("within Retry-After: %v, want a rate limit", err)
					}
					if _, err = c.Symbols(t.Context()); !errors.As(err, &limit) {
						t.Fatalf("another call within Retry-After: %v, want a rate limit", err)
					}
				}
				if n, times := o.count(); n != 1 || times != 1 {
					t.Errorf("%d requests and %d for the time within Retry-After, want 1 and 1", n, times)
				}
				wait(t, test.wait/10)
				if _, err = c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
					t.Errorf("after Retry-After: %v", err)
				}
				if got := c.Stats().RateLimited; got != 1 {
					t.Errorf("%d counted, want 1", got)
				}
			})
		})
	}
}

func TestHalfOfTheWeightIsUsedAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{kline: always(answer{status: 200, body: "[]"})}
		c := desk(o)
		var err error
		sent := 0
		for sent = 0; sent < 10_000; sent++ {
			if _, err = c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
				break
			}
		}
		var limit *binance.RateLimitError
		if !errors.As(err, &limit) || limit.Wait > time.Minute || limit.Banned {
			t.Fatalf("error = %v, want a rate limit within the minute", err)
		}
		if sent < 1400 || sent > 1500 {
			t.Errorf("%d requests of weight 2 before it, want half of 6,000 in weight", sent)
		}
		wait(t, limit.Wait)
		if _, err = c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
			t.Errorf("in the next minute: %v", err)
		}
		// What others on this address use counts too.
		o.kline = always(answer{status: 200, body: "[]", header: map[string]string{"X-MBX-USED-WEIGHT-1M": "2999"}})
		if _, err = c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
			t.Fatal(err)
		}
		if _, err = c.Klines(t.Context(), btc1m, 1, 0, 0); !errors.As(err, &limit) {
			t.Errorf("with 2,999 used by others: %v, want a rate limit", err)
		}
		if got := c.Stats().UsedWeight; got != 2999 {
			t.Errorf("used weight = %d, want 2999", got)
		}
	})
}

func TestRefusalsAreTyped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			answer answer
			want   func(error) bool
			text   string
		}{
			{answer{status: 400, body: `{"code":-1121,"msg":"Invalid symbol."}`}, func(err error) bool {
				var e *binance.SymbolError
				return errors.As(err, &e) && errors.Is(err, market.ErrSymbol)
			}, "BTCUSDT"},
			{answer{status: 400, body: `{"code":-1120,"msg":"Invalid interval."}`}, func(err error) bool {
				var e *binance.APIError
				return errors.As(err, &e) && e.Code == -1120 && !errors.Is(err, market.ErrSymbol)
			}, "Invalid interval."},
			{answer{status: 451, body: `{"code":0,"msg":"Service unavailable from a restricted location"}`}, func(err error) bool {
				return errors.Is(err, binance.ErrRestricted)
			}, binance.MirrorREST},
			{answer{status: 502, body: "<html>\x1b[31mbad gateway"}, func(err error) bool {
				var e *binance.APIError
				return errors.As(err, &e) && e.Status == 502
			}, "502"},
			{answer{status: 500, body: `{"code":-1000,"msg":"\u001b[2J` + strings.Repeat("x", 500) + `"}`}, func(err error) bool {
				return !strings.Contains(err.Error(), "\x1b") && len(err.Error()) < 400
			}, "-1000"},
			{answer{status: 200, body: `{"not":"rows"}`}, func(err error) bool { return errors.Is(err, binance.ErrAnswer) }, "array"},
			{answer{status: 200, body: `[[1,"x"]]`}, func(err error) bool { return errors.Is(err, binance.ErrAnswer) }, "row 0"},
			{answer{status: 200, body: ``}, func(err error) bool { return errors.Is(err, binance.ErrAnswer) }, "array"},
		} {
			c := desk(&office{kline: always(test.answer)})
			_, err := c.Klines(t.Context(), btc1m, 1, 0, 0)
			if err == nil || !test.want(err) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("answer %d %.40s: error %v", test.answer.status, test.answer.body, err)
			}
		}
	})
}

func TestRestrictedLocationGoesToTheMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{}
		var hosts []string
		refuse := func(r *http.Request) bool {
			hosts = append(hosts, r.URL.Scheme+"://"+r.URL.Host)
			return r.URL.Host == "api.binance.com"
		}
		o.kline = func(_ int, r *http.Request) answer {
			if refuse(r) {
				return answer{status: 451}
			}
			return answer{status: 200, body: "[]"}
		}
		c := &binance.Client{HTTP: &http.Client{Transport: o}}
		for range 2 {
			if _, err := c.Klines(t.Context(), btc1m, 1, 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{binance.DefaultREST, binance.MirrorREST, binance.MirrorREST}, hosts); diff != "" {
			t.Errorf("asked (-want +got):\n%s", diff)
		}
	})
}

func TestSymbolsAreCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &office{kline: always(answer{status: 200, body: `{"timezone":"UTC","symbols":[{"symbol":"ETHUSDT","status":"TRADING"},{"symbol":"BTCUSDT","status":"TRADING"},{"symbol":"OLDUSDT","status":"BREAK"},{"symbol":"币安人生USDT","status":"TRADING"}]}`})}
		c := desk(o)
		for range 3 {
			got, err := c.Symbols(t.Context())
			if diff := cmp.Diff([]market.Symbol{"BTCUSDT", "ETHUSDT"}, got); err != nil || diff != "" {
				t.Fatalf("Symbols: %v (-want +got):\n%s", err, diff)
			}
			got[0] = "MINE"
		}
		if n, _ := o.count(); n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
		o.kline = always(answer{status: 503})
		wait(t, 2*time.Hour)
		if got, err := c.Symbols(t.Context()); err != nil || len(got) != 2 {
			t.Errorf("exchange down: %v, %v, want the last answer", got, err)
		}
	})
}

func TestKlinesLimits(t *testing.T) {
	c := desk(&office{})
	for _, limit := range []int{-1, 0, 1001} {
		if _, err := c.Klines(t.Context(), btc1m, limit, 0, 0); err == nil {
			t.Errorf("Klines(limit %d) succeeded", limit)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Klines(ended, btc1m, 1, 0, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}
