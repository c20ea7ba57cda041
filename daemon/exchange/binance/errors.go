package binance

import (
	"errors"
	"fmt"
	"time"

	"github.com/spark-ta/spark/core/market"
)

// ErrRestricted says that the exchange does not serve the place we call from
// (HTTP 451, or 403 from its firewall).
var ErrRestricted = errors.New("binance does not serve this location (HTTP 451 or 403); a mirror that does, for public data: " +
	"REST " + MirrorREST + ", WebSocket " + MirrorWS)

// ErrAnswer says that an answer was not what Binance documents.
var ErrAnswer = errors.New("unexpected answer from binance")

// SymbolError says that the exchange does not list a symbol (code −1121). It is
// a [market.ErrSymbol].
type SymbolError struct{ Symbol market.Symbol }

func (e *SymbolError) Error() string { return fmt.Sprintf("binance does not list %s", e.Symbol) }

// Is reports true for [market.ErrSymbol].
func (e *SymbolError) Is(target error) bool { return target == market.ErrSymbol }

// RateLimitError says that no request may be sent for a while: the exchange said
// so, or our share of its budget is used up. No request was sent if it comes
// without one having been answered.
type RateLimitError struct {
	Wait   time.Duration // until the next request may be sent
	Banned bool          // HTTP 418: the address is banned
}

func (e *RateLimitError) Error() string {
	what := "binance rate limit"
	if e.Banned {
		what = "binance banned this address"
	}
	return fmt.Sprintf("%s: no request for %s", what, e.Wait.Round(time.Millisecond))
}

// RetryAfter returns the time until the next request may be sent.
func (e *RateLimitError) RetryAfter() time.Duration { return e.Wait }

// APIError is any other refusal: an HTTP status with Binance's code and message.
type APIError struct {
	Status  int
	Code    int64  // 0 when the answer carried none
	Message string // as the exchange sent it, at most 200 bytes; untrusted
}

func (e *APIError) Error() string {
	return fmt.Sprintf("binance answered %d, code %d: %q", e.Status, e.Code, e.Message)
}
