package stream

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
)

// Defaults of the query.
const (
	defaultSymbol    = "BTCUSDT"
	defaultTimeframe = "1m"
	maxSymbols       = 50
)

// resume is where a reader wants to go on.
type resume struct {
	given bool
	known bool // the id is a number
	id    int64
	// overlap is how many ms before the id to begin: an id stands for all series of
	// a stream, and their frames do not arrive in the order of their times.
	overlap int64
}

const overlapOfSeveral = 60_000

// parameters are what a query may name, each once. The last one stands in for the
// header where a client cannot set it.
var parameters = []string{"symbol", "symbols", "timeframe", "lastEventId"}

// parseQuery reads which series are asked for. What is absent has a default; what
// is there and empty, misspelt or there twice is a mistake.
func parseQuery(raw string) ([]market.Series, *wire.Error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &wire.Error{Error: "query: not well formed", Code: wire.CodeInvalidInput, Field: "query"}
	}
	for name, given := range q {
		if !slices.Contains(parameters, name) {
			text := fmt.Sprintf("unknown parameter %.64q: allowed are %s", name, strings.Join(parameters, ", "))
			return nil, &wire.Error{Error: text, Code: wire.CodeInvalidInput, Field: orText(name, "query")}
		}
		if len(given) > 1 {
			return nil, &wire.Error{Error: fmt.Sprintf("%s is given %d times", name, len(given)), Code: wire.CodeInvalidInput, Field: name}
		}
	}
	tf, err := market.ParseTimeframe(orAbsent(q, "timeframe", defaultTimeframe))
	if err != nil {
		return nil, &wire.Error{Error: err.Error(), Code: wire.CodeInvalidInput, Field: "timeframe"}
	}
	field, names := "symbol", []string{orAbsent(q, "symbol", defaultSymbol)}
	if q.Has("symbols") {
		if q.Has("symbol") {
			return nil, &wire.Error{Error: "symbols: give either symbol or symbols", Code: wire.CodeInvalidInput, Field: "symbols"}
		}
		field, names = "symbols", strings.SplitN(q.Get("symbols"), ",", maxSymbols+1)
		if len(names) > maxSymbols {
			return nil, &wire.Error{Error: fmt.Sprintf("symbols: more than %d", maxSymbols), Code: wire.CodeInvalidInput, Field: field}
		}
	}
	all := make([]market.Series, 0, len(names))
	for _, name := range names {
		symbol, err := market.ParseSymbol(name)
		if err != nil {
			return nil, &wire.Error{Error: err.Error(), Code: wire.CodeInvalidSym, Field: field}
		}
		if s := (market.Series{Symbol: symbol, Timeframe: tf}); !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all, nil
}

// parseResume reads the id of the last event seen: ASCII digits. Anything else is
// an id that we do not know. The header is the newer one: a browser that reconnects
// keeps the query it began with.
func parseResume(header, query string, series int) resume {
	text := orText(header, query)
	if text == "" {
		return resume{}
	}
	if strings.Trim(text, "0123456789") != "" {
		return resume{given: true}
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return resume{given: true}
	}
	r := resume{given: true, known: true, id: id}
	if series > 1 {
		r.overlap = overlapOfSeveral
	}
	return r
}

// orAbsent returns a parameter, or otherwise when it is not there.
func orAbsent(q url.Values, name, otherwise string) string {
	if !q.Has(name) {
		return otherwise
	}
	return q.Get(name)
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// AddrBehind returns a function that tells a client's address: the connection's, or,
// while that is one of the proxies, the last entry of X-Forwarded-For before it, and
// so on. What a client itself writes there is therefore never believed.
func AddrBehind(proxies []netip.Prefix) func(*http.Request) netip.Addr {
	trusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(proxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	return func(r *http.Request) netip.Addr {
		addr := remote(r)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && trusted(addr); i-- {
			hop, err := parseHop(strings.TrimSpace(hops[i]))
			if err != nil {
				break
			}
			addr = hop
		}
		return addr
	}
}

// parseHop reads an address with or without a port.
func parseHop(s string) (netip.Addr, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), nil
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err
}

func remote(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// slotOf is what counts as one client: an IPv4 address, or the /64 that one IPv6
// customer has.
func slotOf(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil { // the zero address: a listener without addresses
		return netip.Prefix{}
	}
	return p
}
