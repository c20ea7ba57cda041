package sim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/daemon/exchange/sim"
)

func TestBadRequestsAreRefusedAsTheExchangeDoes(t *testing.T) {
	s := start(t, sim.Options{})
	const k = "/api/v3/klines?symbol=BTCUSDT&interval=1m"
	for _, tc := range []struct {
		path string
		code int
		msg  string
	}{
		{"/api/v3/klines?interval=1m", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."},
		{"/api/v3/klines?symbol=BTCUSDT", -1102, "Mandatory parameter 'interval' was not sent, was empty/null, or malformed."},
		{"/api/v3/klines?symbol=&interval=1m", -1105, "Parameter 'symbol' was empty."},
		{"/api/v3/klines?symbol=btcusdt&interval=1m", -1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."},
		{"/api/v3/klines?symbol=NOSUCH&interval=1m", -1121, "Invalid symbol."},
		{"/api/v3/klines?symbol=BTCUSDT&interval=7m", -1120, "Invalid interval."},
		{"/api/v3/klines?symbol=BTCUSDT&interval=1D", -1120, "Invalid interval."},
		{k + "&limit=-1", -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."},
		{k + "&limit=ten", -1100, "Illegal characters found in parameter 'limit'; legal range is '^[0-9]{1,20}$'."},
		{k + "&limit=99999999999999999999", -1130, "Data sent for parameter 'limit' is not valid."},
		{k + "&limit=0", -1130, "Data sent for parameter 'limit' is not valid."},
		{k + "&startTime=x", -1100, "Illegal characters found in parameter 'startTime'; legal range is '^[0-9]{1,20}$'."},
		{k + "&endTime=-5", -1100, "Illegal characters found in parameter 'endTime'; legal range is '^[0-9]{1,20}$'."},
		{k + "&timeZone=15", -1130, "Data sent for parameter 'timeZone' is not valid."},
		{k + "&symbol=ETHUSDT", -1101, "Duplicate values for a parameter detected."},
		{k + "&foo=1", -1104, "Not all sent parameters were read; read '2' parameter(s) but was sent '3'."},
		{"/api/v3/ping?x=1", -1101, "Too many parameters; expected '0' and received '1'."},
		{"/api/v3/exchangeInfo?symbol=NOSUCH", -1121, "Invalid symbol."},
		{"/api/v3/exchangeInfo?symbol=b", -1100, "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'."},
		{"/api/v3/exchangeInfo?symbol=BTCUSDT&symbols=%5B%22ETHUSDT%22%5D", -1128, "Combination of optional parameters invalid."},
		{"/api/v3/exchangeInfo?symbol=BTCUSDT&symbolStatus=TRADING", -1128, "Combination of optional parameters invalid."},
		{"/api/v3/exchangeInfo?symbols=BTCUSDT", -1100, `Illegal characters found in parameter 'symbols'; legal range is '^\\[\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}\\]$'.`},
		{"/api/v3/exchangeInfo?symbols=%5B%22ETHUSDT%22,%22ETHUSDT%22%5D", -1151, "Symbol is present multiple times in the list."},
		{"/api/v3/exchangeInfo?symbolStatus=OPEN", -1122, "Invalid symbolStatus."},
		{"/api/v3/exchangeInfo?showPermissionSets=maybe", -1130, "Data sent for parameter 'showPermissionSets' is not valid."},
	} {
		status, header, body := get(t, s.URL()+tc.path)
		want := fmt.Sprintf(`{"code":%d,"msg":"%s"}`, tc.code, tc.msg)
		if status != http.StatusBadRequest || body != want {
			t.Errorf("GET %s = %d %s, want 400 %s", tc.path, status, body, want)
		}
		if header.Get("X-MBX-USED-WEIGHT-1M") == "" || header.Get("X-MBX-USED-WEIGHT") == "" {
			t.Errorf("GET %s: no used weight among %v", tc.path, header)
		}
	}
	status, _, body := request(t, http.MethodGet, s.URL()+"/api/v3/time", "", map[string]string{"X-MBX-TIME-UNIT": "hours"})
	if status != 400 || !strings.Contains(body, "-1194") {
		t.Errorf("time in hours = %d %s, want -1194", status, body)
	}
}

func TestKlinesAreSelectedByTimeAndLimit(t *testing.T) {
	s := start(t, sim.Options{Speed: 1})
	const base = "symbol=BTCUSDT&interval=1m"
	at := noon.UnixMilli()
	for _, tc := range []struct {
		name, query string
		n           int
		first, last int64 // open times
	}{
		{"newest", "", 500, at - 499*60_000, at},
		{"newest, few", "&limit=3", 3, at - 2*60_000, at},
		{"over the most", "&limit=5000", 1000, at - 999*60_000, at},
		{"from", fmt.Sprintf("&startTime=%d&limit=2", at-600_000), 2, at - 600_000, at - 540_000},
		{"from between", fmt.Sprintf("&startTime=%d&limit=2", at-600_001), 2, at - 600_000, at - 540_000},
		{"from after", fmt.Sprintf("&startTime=%d&limit=2", at-599_999), 2, at - 540_000, at - 480_000},
		{"until", fmt.Sprintf("&endTime=%d&limit=2", at-600_000), 2, at - 660_000, at - 600_000},
		{"both", fmt.Sprintf("&startTime=%d&endTime=%d", at-300_000, at-120_001), 3, at - 300_000, at - 180_000},
		{"µs", fmt.Sprintf("&startTime=%d000&endTime=%d999&limit=2", at-600_000, at-600_000), 1, at - 600_000, at - 600_000},
		{"end before start", fmt.Sprintf("&startTime=%d&endTime=%d", at-60_000, at-120_000), 0, 0, 0},
		{"the future", fmt.Sprintf("&startTime=%d", at+86_400_000), 0, 0, 0},
		{"before trading began", "&endTime=900000000000", 0, 0, 0},
		{"the beginning", "&startTime=0&limit=2", 2, 946_684_800_000, 946_684_860_000},
	} {
		all := rows(t, s, base+tc.query)
		if len(all) != tc.n {
			t.Errorf("%s: %d rows, want %d", tc.name, len(all), tc.n)
			continue
		}
		if tc.n > 0 && (ms(t, all[0][0]) != tc.first || ms(t, all[tc.n-1][0]) != tc.last) {
			t.Errorf("%s: %v … %v, want %d … %d", tc.name, all[0][0], all[tc.n-1][0], tc.first, tc.last)
		}
	}
	zoned := rows(t, s, "symbol=BTCUSDT&interval=1d&limit=1&timeZone=05:45")
	if open := ms(t, zoned[0][0]); (open+(5*60+45)*60_000)%86_400_000 != 0 {
		t.Errorf("a day at +05:45 opens at %d", open)
	}
	status, _, body := request(t, http.MethodGet, s.URL()+"/api/v3/klines?"+base+"&limit=1", "", map[string]string{"X-MBX-TIME-UNIT": "MICROSECOND"})
	if want := fmt.Sprintf("[[%d000,", at); status != 200 || !strings.HasPrefix(body, want) || !strings.Contains(body, `59999999,`) {
		t.Errorf("klines in µs = %d %s, want %s…59999999", status, body, want)
	}
}

func TestExchangeInfoHasEveryField(t *testing.T) {
	s := start(t, sim.Options{})
	_, _, body := get(t, s.URL()+"/api/v3/exchangeInfo")
	var info struct {
		Timezone   string           `json:"timezone"`
		ServerTime int64            `json:"serverTime"`
		RateLimits []map[string]any `json:"rateLimits"`
		Filters    []any            `json:"exchangeFilters"`
		Symbols    []map[string]any `json:"symbols"`
	}
	decodeJSON(t, body, &info)
	if info.Timezone != "UTC" || info.ServerTime < noon.UnixMilli() || len(info.RateLimits) < 3 || info.Filters == nil {
		t.Errorf("exchangeInfo = %.300s", body)
	}
	if len(info.Symbols) < 8 {
		t.Errorf("%d symbols, want 8 or more", len(info.Symbols))
	}
	fields := strings.Fields(`symbol status baseAsset baseAssetPrecision quoteAsset quotePrecision quoteAssetPrecision
		baseCommissionPrecision quoteCommissionPrecision orderTypes icebergAllowed ocoAllowed otoAllowed opoAllowed
		quoteOrderQtyMarketAllowed allowTrailingStop cancelReplaceAllowed amendAllowed pegInstructionsAllowed
		isSpotTradingAllowed isMarginTradingAllowed filters permissions permissionSets defaultSelfTradePreventionMode
		allowedSelfTradePreventionModes`)
	for _, symbol := range info.Symbols {
		for _, f := range fields {
			if v, ok := symbol[f]; !ok || v == nil {
				t.Errorf("%v: no %s", symbol["symbol"], f)
			}
		}
		if len(symbol) != len(fields) {
			t.Errorf("%v: %d fields, want %d", symbol["symbol"], len(symbol), len(fields))
		}
	}
}

func TestWeightIsCountedAndLimited(t *testing.T) {
	const klines = "/api/v3/klines?symbol=BTCUSDT&interval=1h"
	paths := []string{"/api/v3/exchangeInfo", klines, "/api/v3/time", klines, "/api/v3/ping", "/api/v3/ping", "/api/v3/ping", "/api/v3/ping", "/api/v3/ping"}
	want := []string{"200 20", "200 22", "200 23", "200 25", "429 26", "429 27", "429 28", "418 29", "418 29"}
	var got []string
	for range 2 { // a new minute may begin in the first turn, hardly in both
		s := start(t, sim.Options{Limits: sim.Limits{Weight: 25, Connects: -1, Messages: -1}})
		got = nil
		for i, path := range paths {
			status, header, body := get(t, s.URL()+path)
			got = append(got, fmt.Sprint(status, " ", header.Get("X-MBX-USED-WEIGHT-1M")))
			if status != 200 && (header.Get("Retry-After") == "" || !strings.Contains(body, `"code":-1003`)) {
				t.Errorf("request %d = %d %s, Retry-After %q, want -1003 and a time to wait", i, status, body, header.Get("Retry-After"))
			}
		}
		if cmp.Equal(want, got) {
			return
		}
	}
	t.Errorf("status and used weight (-want +got)\n%s", cmp.Diff(want, got))
}
