package sim

import (
	"encoding/json"
	"slices"
)

// The exchangeInfo reply, with every field that is published.
type exchangeInfo struct {
	Timezone        string       `json:"timezone"`
	ServerTime      int64        `json:"serverTime"`
	RateLimits      []rateLimit  `json:"rateLimits"`
	ExchangeFilters []any        `json:"exchangeFilters"`
	Symbols         []symbolInfo `json:"symbols"`
}

type rateLimit struct {
	Type   string `json:"rateLimitType"`
	Window string `json:"interval"`
	Number int    `json:"intervalNum"`
	Limit  int    `json:"limit"`
}

type symbolInfo struct {
	Symbol                   string     `json:"symbol"`
	Status                   string     `json:"status"`
	BaseAsset                string     `json:"baseAsset"`
	BaseAssetPrecision       int        `json:"baseAssetPrecision"`
	QuoteAsset               string     `json:"quoteAsset"`
	QuotePrecision           int        `json:"quotePrecision"`
	QuoteAssetPrecision      int        `json:"quoteAssetPrecision"`
	BaseCommissionPrecision  int        `json:"baseCommissionPrecision"`
	QuoteCommissionPrecision int        `json:"quoteCommissionPrecision"`
	OrderTypes               []string   `json:"orderTypes"`
	Iceberg                  bool       `json:"icebergAllowed"`
	OCO                      bool       `json:"ocoAllowed"`
	OTO                      bool       `json:"otoAllowed"`
	OPO                      bool       `json:"opoAllowed"`
	QuoteOrderQtyMarket      bool       `json:"quoteOrderQtyMarketAllowed"`
	TrailingStop             bool       `json:"allowTrailingStop"`
	CancelReplace            bool       `json:"cancelReplaceAllowed"`
	Amend                    bool       `json:"amendAllowed"`
	PegInstructions          bool       `json:"pegInstructionsAllowed"`
	SpotTrading              bool       `json:"isSpotTradingAllowed"`
	MarginTrading            bool       `json:"isMarginTradingAllowed"`
	Filters                  []any      `json:"filters"`
	Permissions              []string   `json:"permissions"`
	PermissionSets           [][]string `json:"permissionSets"`
	DefaultPrevention        string     `json:"defaultSelfTradePreventionMode"`
	AllowedPreventions       []string   `json:"allowedSelfTradePreventionModes"`
}

type priceFilter struct {
	Type     string `json:"filterType"`
	MinPrice string `json:"minPrice"`
	MaxPrice string `json:"maxPrice"`
	TickSize string `json:"tickSize"`
}

type lotFilter struct {
	Type   string `json:"filterType"`
	MinQty string `json:"minQty"`
	MaxQty string `json:"maxQty"`
	Step   string `json:"stepSize"`
}

type notionalFilter struct {
	Type        string `json:"filterType"`
	Min         string `json:"minNotional"`
	MinOnMarket bool   `json:"applyMinToMarket"`
	Max         string `json:"maxNotional"`
	MaxOnMarket bool   `json:"applyMaxToMarket"`
	Minutes     int    `json:"avgPriceMins"`
}

type countFilter struct {
	Type   string `json:"filterType"`
	Limit  int    `json:"limit,omitempty"`
	Orders int    `json:"maxNumOrders,omitempty"`
	Algo   int    `json:"maxNumAlgoOrders,omitempty"`
}

func decimalText(v int64, decimals int) string { return string(appendDecimal(nil, v, decimals)) }

// info returns what the exchange publishes about a symbol.
func (l *listing) info(now int64, sets bool) symbolInfo {
	permissions := []string{"SPOT"}
	info := symbolInfo{
		Symbol: string(l.symbol), Status: l.status(now),
		BaseAsset: l.base, BaseAssetPrecision: 8,
		QuoteAsset: l.quote, QuotePrecision: 8, QuoteAssetPrecision: 8,
		BaseCommissionPrecision: 8, QuoteCommissionPrecision: 8,
		OrderTypes: []string{"LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"},
		Iceberg:    true, OCO: true, OTO: true, QuoteOrderQtyMarket: true,
		TrailingStop: true, CancelReplace: true, Amend: true, SpotTrading: true,
		Filters: []any{
			priceFilter{"PRICE_FILTER", decimalText(1, l.tick), decimalText(100_000_000, min(l.tick, 2)), decimalText(1, l.tick)},
			lotFilter{"LOT_SIZE", decimalText(1, l.step), decimalText(9_000_000, 0), decimalText(1, l.step)},
			countFilter{Type: "ICEBERG_PARTS", Limit: 10},
			lotFilter{"MARKET_LOT_SIZE", decimalText(0, 0), decimalText(1_000_000, 0), decimalText(0, 0)},
			notionalFilter{"NOTIONAL", decimalText(5, 0), true, decimalText(9_000_000, 0), false, 5},
			countFilter{Type: "MAX_NUM_ORDERS", Orders: 200},
			countFilter{Type: "MAX_NUM_ALGO_ORDERS", Algo: 5},
		},
		Permissions: []string{}, PermissionSets: [][]string{},
		DefaultPrevention: "EXPIRE_MAKER", AllowedPreventions: []string{"EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"},
	}
	if sets {
		info.PermissionSets = [][]string{permissions}
	}
	return info
}

func (s *Server) exchangeInfo(q *query) ([]byte, *refusal) {
	names, sets, refused := s.infoWanted(q)
	if refused != nil {
		return nil, refused
	}
	now := s.clock.now()
	info := exchangeInfo{
		Timezone: "UTC", ServerTime: s.serverTime() * q.unit,
		RateLimits: []rateLimit{
			{"REQUEST_WEIGHT", "MINUTE", 1, s.opts.Limits.Weight},
			{"ORDERS", "SECOND", 10, 100},
			{"ORDERS", "DAY", 1, 200_000},
			{"RAW_REQUESTS", "MINUTE", 5, 61_000},
		},
		ExchangeFilters: []any{}, Symbols: []symbolInfo{},
	}
	for _, name := range names {
		info.Symbols = append(info.Symbols, s.tapes[name].info(now, sets))
	}
	body, err := json.Marshal(info)
	if err != nil {
		return nil, statusRefusal(500, s.clock.base) // strings and numbers can always be encoded
	}
	return body, nil
}

// infoWanted returns the symbols that a request selects.
func (s *Server) infoWanted(q *query) (names []string, sets bool, refused *refusal) {
	single, one, refused := q.get("symbol")
	if refused != nil {
		return nil, false, refused
	}
	list, several, refused := q.get("symbols")
	if refused != nil {
		return nil, false, refused
	}
	permission, permitted, refused := q.get("permissions")
	if refused != nil {
		return nil, false, refused
	}
	status, stated, refused := q.get("symbolStatus")
	if refused != nil {
		return nil, false, refused
	}
	show, _, refused := q.get("showPermissionSets")
	if refused != nil {
		return nil, false, refused
	}
	if refused := q.done(); refused != nil {
		return nil, false, refused
	}
	sets = show != "false"
	switch {
	case show != "" && show != "true" && show != "false":
		return nil, false, notValid("showPermissionSets")
	case one && several || (one || several) && (permitted || stated):
		return nil, false, badCombination()
	case stated && !slices.Contains([]string{"TRADING", "HALT", "BREAK"}, status):
		return nil, false, badStatus()
	case one:
		if !symbolPattern.MatchString(single) {
			return nil, false, illegal("symbol", legalSymbol)
		}
		names = []string{single}
	case several:
		if names, refused = symbolList(list); refused != nil {
			return nil, false, refused
		}
	case permitted && permission != "SPOT" && permission != `["SPOT"]`:
		return nil, sets, nil // nothing else is traded here
	default:
		now := s.clock.now()
		return slices.DeleteFunc(slices.Clone(s.names), func(name string) bool {
			return stated && s.tapes[name].status(now) != status
		}), sets, nil
	}
	for _, name := range names {
		if s.tapes[name] == nil {
			return nil, false, badSymbol()
		}
	}
	return names, sets, nil
}

// symbolList reads the parameter symbols, a JSON array.
func symbolList(text string) ([]string, *refusal) {
	var names []string
	if !symbolsPattern.MatchString(text) || json.Unmarshal([]byte(text), &names) != nil {
		return nil, illegal("symbols", legalSymbols)
	}
	seen := make(map[string]bool, len(names))
	for _, name := range names {
		if seen[name] {
			return nil, twice()
		}
		seen[name] = true
	}
	return names, nil
}
