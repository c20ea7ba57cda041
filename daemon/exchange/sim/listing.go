package sim

import (
	"strings"

	"github.com/spark-ta/spark/core/market"
)

// listing is what the exchange says about a symbol, and what the market model
// needs to know of it.
type listing struct {
	symbol      market.Symbol
	base, quote string
	tick        int // decimals of a price
	step        int // decimals of a quantity
	halted      func(now int64) bool

	price  int64 // in ticks, about which the market moves
	sigma  int64 // deviation of a day's move, millionths
	perDay int64 // trades
	size   int64 // mean quantity of a trade, in steps
}

// listings returns the markets that are generated. PAXGUSDT is thin on purpose:
// about half of its minutes have no trade.
func listings() []listing {
	return []listing{
		{symbol: "BTCUSDT", base: "BTC", quote: "USDT", tick: 2, step: 5, price: 9_000_000, sigma: 22_000, perDay: 150_000, size: 2000},
		{symbol: "ETHUSDT", base: "ETH", quote: "USDT", tick: 2, step: 4, price: 320_000, sigma: 28_000, perDay: 120_000, size: 4000},
		{symbol: "BNBUSDT", base: "BNB", quote: "USDT", tick: 2, step: 3, price: 65_000, sigma: 24_000, perDay: 60_000, size: 800},
		{symbol: "SOLUSDT", base: "SOL", quote: "USDT", tick: 2, step: 3, price: 15_000, sigma: 34_000, perDay: 80_000, size: 5000},
		{symbol: "XRPUSDT", base: "XRP", quote: "USDT", tick: 4, step: 1, price: 22_000, sigma: 32_000, perDay: 70_000, size: 4000},
		{symbol: "ADAUSDT", base: "ADA", quote: "USDT", tick: 4, step: 1, price: 7_000, sigma: 36_000, perDay: 50_000, size: 8000},
		{symbol: "DOGEUSDT", base: "DOGE", quote: "USDT", tick: 5, step: 0, price: 19_000, sigma: 40_000, perDay: 60_000, size: 4000},
		{symbol: "PEPEUSDT", base: "PEPE", quote: "USDT", tick: 8, step: 0, price: 1_050, sigma: 50_000, perDay: 50_000, size: 30_000_000},
		{symbol: "PAXGUSDT", base: "PAXG", quote: "USDT", tick: 2, step: 4, price: 340_000, sigma: 11_000, perDay: 1_000, size: 500},
	}
}

// listingOf returns the listing for a symbol that a candle file brings along:
// base and quote are cut at a quote currency that is known, otherwise in the last
// four letters.
func listingOf(symbol market.Symbol) listing {
	for _, l := range listings() {
		if l.symbol == symbol {
			return l
		}
	}
	name := string(symbol)
	for _, quote := range []string{"USDT", "USDC", "FDUSD", "TUSD", "BTC", "ETH", "BNB", "EUR", "TRY"} {
		if base, ok := strings.CutSuffix(name, quote); ok && base != "" {
			return listing{symbol: symbol, base: base, quote: quote}
		}
	}
	cut := max(1, len(name)-4)
	return listing{symbol: symbol, base: name[:cut], quote: name[cut:]}
}

// status returns the trading status at a moment.
func (l *listing) status(now int64) string {
	if l.halted != nil && l.halted(now) {
		return "BREAK"
	}
	return "TRADING"
}
