package binance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/market"
)

const (
	requestTimeout     = 10 * time.Second
	concurrentRequests = 8
	// maxBody bounds an answer: 1,000 klines have 200 kB, exchangeInfo of a whole
	// market about 20 MB.
	maxBody = 48 << 20

	// MaxKlines is the most candles that one call of Klines returns.
	MaxKlines = 1000
)

// Klines returns up to limit candles of a series (1 to [MaxKlines]), oldest
// first. start and end are bounds of the open time in ms, 0 for none: without
// start the newest ones up to end, with start the oldest ones from it.
//
// A candle is Closed when the exchange's clock has certainly passed its close
// time, or when a later candle follows it; its Event is then its close time, else the exchange's time of the
// answer. The figures of a candle that closed a moment ago may still lag behind
// the stream's.
//
// Errors: a *[SymbolError] for a symbol that is not listed, a *[RateLimitError]
// when no request may be sent (none was then), [ErrRestricted], *[APIError],
// [ErrAnswer], or the transport's.
func (c *Client) Klines(ctx context.Context, series market.Series, limit int, start, end int64) ([]market.Candle, error) {
	c.ready()
	if limit < 1 || limit > MaxKlines {
		return nil, fmt.Errorf("%d klines asked: 1 to %d", limit, MaxKlines)
	}
	if err := c.sync(ctx); err != nil {
		return nil, err
	}
	query := url.Values{
		"symbol":   {string(series.Symbol)},
		"interval": {series.Timeframe.String()},
		"limit":    {strconv.Itoa(limit)},
	}
	if start > 0 {
		query.Set("startTime", strconv.FormatInt(start, 10))
	}
	if end > 0 {
		query.Set("endTime", strconv.FormatInt(end, 10))
	}
	// Read before the request leaves: a row may not be called final by a clock
	// that ran on while the answer was on its way.
	now, slack := c.clock.read(c.Speed)
	body, err := c.get(ctx, "/api/v3/klines", query, 2)
	var refusal *APIError
	if errors.As(err, &refusal) && refusal.Code == codeSymbol {
		return nil, &SymbolError{Symbol: series.Symbol}
	}
	if err != nil {
		return nil, fmt.Errorf("klines of %s: %w", series, err)
	}
	candles, err := decodeKlines(body, now.Add(-slack).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("klines of %s: %w: %v", series, ErrAnswer, err)
	}
	return candles, nil
}

// codeSymbol is Binance's code for a symbol that it does not list.
const codeSymbol = -1121

// decodeKlines reads the answer of /api/v3/klines as of the exchange's time now.
func decodeKlines(body []byte, now int64) ([]market.Candle, error) {
	body = trim(body)
	if !json.Valid(body) || len(body) == 0 || body[0] != '[' {
		return nil, fmt.Errorf("not an array: %.48q", body)
	}
	candles := make([]market.Candle, 0, min(MaxKlines, len(body)/64))
	for row := range elements(body) {
		if len(candles) == MaxKlines {
			return nil, fmt.Errorf("more than %d rows", MaxKlines)
		}
		c, err := decodeRow(row, now)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", len(candles), err)
		}
		if n := len(candles); n > 0 {
			last := &candles[n-1]
			if c.Time <= last.Time {
				return nil, fmt.Errorf("row %d: open time %d after %d", n, c.Time, last.Time)
			}
			last.Closed = true // the minute turned while the answer was on its way
		}
		candles = append(candles, c)
	}
	return candles, nil
}

// decodeRow reads [open time, open, high, low, close, volume, close time, quote
// volume, trades, …].
func decodeRow(row []byte, now int64) (market.Candle, error) {
	var c market.Candle
	var closeTime int64
	n := 0
	for value := range elements(row) {
		var err error
		switch n {
		case 0:
			c.Time, err = integer(value)
		case 1:
			c.Open, err = decimal(value)
		case 2:
			c.High, err = decimal(value)
		case 3:
			c.Low, err = decimal(value)
		case 4:
			c.Close, err = decimal(value)
		case 5:
			c.Volume, err = decimal(value)
		case 6:
			closeTime, err = integer(value)
		case 8:
			c.Trades, err = integer(value)
		}
		if err != nil {
			return c, fmt.Errorf("field %d: %w", n, err)
		}
		n++
	}
	if n < 9 {
		return c, fmt.Errorf("%d fields", n)
	}
	c.Closed = closeTime < now
	c.Event = min(closeTime, now)
	return c, nil
}

// listing caches what the exchange lists.
type listing struct {
	mu      sync.Mutex // held over the request, so that one is made at a time
	symbols []market.Symbol
	at      time.Time
}

// listingAge is how long a listing serves before it is read again.
const listingAge = time.Hour

// Symbols returns the symbols that trade now, sorted, at most an hour old. When
// the exchange cannot be asked an older answer serves. Errors as for Klines. The
// slice is the caller's.
func (c *Client) Symbols(ctx context.Context) ([]market.Symbol, error) {
	c.ready()
	l := &c.symbols
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.symbols != nil && time.Since(l.at) < listingAge {
		return slices.Clone(l.symbols), nil
	}
	symbols, err := c.readSymbols(ctx)
	if err != nil {
		if l.symbols != nil {
			return slices.Clone(l.symbols), nil
		}
		return nil, fmt.Errorf("symbols: %w", err)
	}
	l.symbols, l.at = symbols, time.Now()
	return slices.Clone(symbols), nil
}

func (c *Client) readSymbols(ctx context.Context) ([]market.Symbol, error) {
	body, err := c.get(ctx, "/api/v3/exchangeInfo", nil, 20)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Symbols []struct {
			Symbol string `json:"symbol"`
			Status string `json:"status"`
		} `json:"symbols"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrAnswer, err)
	}
	symbols := make([]market.Symbol, 0, len(answer.Symbols))
	for _, s := range answer.Symbols {
		symbol, err := market.ParseSymbol(s.Symbol)
		if err == nil && string(symbol) == s.Symbol && s.Status == "TRADING" {
			symbols = append(symbols, symbol)
		}
	}
	slices.Sort(symbols)
	return symbols, nil
}

// get sends one request within the budget and returns the body of a 200.
func (c *Client) get(ctx context.Context, path string, query url.Values, weight int64) ([]byte, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		base := c.restBase()
		body, err := c.send(ctx, base+path, query, weight)
		if !errors.Is(err, ErrRestricted) || !c.fallBack(base) {
			return body, err
		}
	}
}

func (c *Client) restBase() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rest
}

// fallBack goes over to the mirrors for good when the public endpoint refused
// our location, and reports whether another attempt makes sense. An address that
// somebody configured is never left.
func (c *Client) fallBack(refused string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case refused == DefaultREST && c.REST == "":
		if c.rest == DefaultREST {
			c.rest = MirrorREST
			c.Log.Warn("exchange refuses this location, using its public-data mirror", "mirror", MirrorREST)
		}
		return true
	case refused == DefaultWS && c.WS == "":
		if c.ws == DefaultWS {
			c.ws = MirrorWS
			c.Log.Warn("exchange refuses this location, using its public-data mirror", "mirror", MirrorWS)
		}
		return true
	}
	return false
}

func (c *Client) send(ctx context.Context, address string, query url.Values, weight int64) ([]byte, error) {
	if err := c.budget.take(c.Now(), weight); err != nil {
		return nil, err
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	c.counts.requests.Add(1)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if used, err := strconv.ParseInt(resp.Header.Get("X-Mbx-Used-Weight-1m"), 10, 64); err == nil && used >= 0 {
		c.budget.report(c.Now(), used)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, c.refused(resp, body)
	case err != nil:
		return nil, err
	case len(body) > maxBody:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxBody)
	}
	return body, nil
}

// refused turns an answer that is not 200 into an error, and into silence where
// the exchange asks for it.
func (c *Client) refused(resp *http.Response, body []byte) error {
	switch resp.StatusCode {
	case http.StatusTooManyRequests, http.StatusTeapot:
		banned := resp.StatusCode == http.StatusTeapot
		wait := retryAfter(resp.Header.Get("Retry-After"), banned)
		c.counts.rateLimited.Add(1)
		c.budget.pause(wait, banned)
		c.Log.Warn("exchange asks for silence", "status", resp.StatusCode, "wait", wait)
		return &RateLimitError{Wait: wait, Banned: banned}
	case http.StatusUnavailableForLegalReasons, http.StatusForbidden:
		return ErrRestricted
	}
	var answer struct {
		Code int64  `json:"code"`
		Msg  string `json:"msg"`
	}
	_ = json.Unmarshal(body, &answer) // a proxy's page has neither; the status then says it all
	return &APIError{Status: resp.StatusCode, Code: answer.Code, Message: answer.Msg[:min(len(answer.Msg), 200)]}
}

// retryAfter reads seconds. Binance bans for at most three days.
func retryAfter(header string, banned bool) time.Duration {
	seconds, err := strconv.ParseInt(header, 10, 64)
	switch {
	case err == nil && seconds >= 0:
		return max(time.Duration(min(seconds, 3*86_400))*time.Second, time.Second)
	case banned:
		return defaultBan
	default:
		return defaultPause
	}
}
