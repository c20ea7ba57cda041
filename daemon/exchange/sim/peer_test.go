package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/adshao/go-binance/v2"
	"github.com/adshao/go-binance/v2/common"

	"github.com/spark-ta/spark/daemon/exchange/sim"
)

// go-binance is an independent reading of the protocol.
func TestIndependentClientReadsTheExchange(t *testing.T) {
	s := start(t, sim.Options{Seed: 7})
	// Where go-binance looks for the exchange are variables of the package.
	binance.BaseAPIMainURL = s.URL()
	binance.BaseWsMainURL = s.StreamURL() + "/ws"
	binance.BaseCombinedMainURL = s.StreamURL() + "/stream?streams="
	ctx := t.Context()
	c := binance.NewClient("", "")

	if err := c.NewPingService().Do(ctx); err != nil {
		t.Errorf("ping: %v", err)
	}
	if ms, err := c.NewServerTimeService().Do(ctx); err != nil || ms < noon.UnixMilli() {
		t.Errorf("time = %d, %v", ms, err)
	}
	info, err := c.NewExchangeInfoService().Symbols("BTCUSDT", "PEPEUSDT").Do(ctx)
	if err != nil || len(info.Symbols) != 2 {
		t.Fatalf("exchangeInfo = %+v, %v, want two symbols", info, err)
	}
	if f := info.Symbols[0].PriceFilter(); f == nil || f.TickSize != "0.01000000" {
		t.Errorf("price filter of BTCUSDT = %+v, want a tick of 0.01", f)
	}
	if f := info.Symbols[1].LotSizeFilter(); f == nil || f.StepSize != "1.00000000" {
		t.Errorf("lot size of PEPEUSDT = %+v, want a step of 1", f)
	}
	rows, err := c.NewKlinesService().Symbol("ETHUSDT").Interval("1h").Limit(1000).Do(ctx)
	if err != nil || len(rows) != 1000 {
		t.Fatalf("klines: %d rows, %v, want 1000", len(rows), err)
	}
	if c.UsedWeight.Used1M == 0 {
		t.Error("no used weight in the header")
	}
	_, err = c.NewKlinesService().Symbol("NOSUCH").Interval("1h").Do(ctx)
	var api *common.APIError
	if !errors.As(err, &api) || api.Code != -1121 || api.Message != "Invalid symbol." {
		t.Errorf("klines of an unknown symbol: %v, want -1121", err)
	}

	readStreams(t, func(h binance.WsKlineHandler, e binance.ErrHandler) (chan struct{}, chan struct{}, error) {
		return binance.WsKlineServe("BTCUSDT", "1m", h, e)
	}, map[string]bool{"BTCUSDT 1m": true})
	readStreams(t, func(h binance.WsKlineHandler, e binance.ErrHandler) (chan struct{}, chan struct{}, error) {
		return binance.WsCombinedKlineServe(map[string]string{"BTCUSDT": "1m", "ETHUSDT": "5m", "ADAUSDT": "3m"}, h, e)
	}, map[string]bool{"BTCUSDT 1m": true, "ETHUSDT 5m": true, "ADAUSDT 3m": true})
}

// readStreams reads until a closed candle of each wanted series has come.
func readStreams(t *testing.T, serve func(binance.WsKlineHandler, binance.ErrHandler) (chan struct{}, chan struct{}, error), want map[string]bool) {
	t.Helper()
	events := make(chan *binance.WsKlineEvent, 1000)
	failures := make(chan error, 10)
	done, stop, err := serve(
		func(e *binance.WsKlineEvent) { events <- e },
		func(err error) { failures <- err },
	)
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.After(10 * time.Second)
	for len(want) > 0 {
		select {
		case e := <-events:
			if e.Kline.IsFinal && e.Kline.TradeNum > 0 && e.Kline.LastTradeID-e.Kline.FirstTradeID+1 == e.Kline.TradeNum {
				delete(want, e.Symbol+" "+e.Kline.Interval)
			}
		case err := <-failures:
			t.Fatalf("stream: %v", err)
		case <-deadline:
			t.Fatalf("no closed candle of %v", want)
		}
	}
	close(stop)
	<-done
}
