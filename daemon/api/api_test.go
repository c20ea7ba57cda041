package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/eval"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/api"
	"github.com/spark-ta/spark/daemon/event"
	"github.com/spark-ta/spark/daemon/store"
)

// shelf keeps alerts in memory, as the stores do.
type shelf struct {
	mu     sync.Mutex
	alerts []alert.Alert // newest first
	down   bool
}

func (s *shelf) find(id string) int {
	return slices.IndexFunc(s.alerts, func(a alert.Alert) bool { return a.ID == id })
}

func (s *shelf) err() error {
	if s.down {
		return fmt.Errorf("get: %w", store.ErrUnavailable)
	}
	return nil
}

func (s *shelf) Alerts(context.Context) ([]alert.Alert, []store.Damage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.alerts), nil, s.err()
}

func (s *shelf) Alert(_ context.Context, id string) (alert.Alert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return alert.Alert{}, errors.Join(s.err(), store.ErrNotFound)
	}
	return s.alerts[i], s.err()
}

func (s *shelf) History(ctx context.Context, id string, limit int) ([]store.EventRecord, error) {
	a, err := s.Alert(ctx, id)
	if err != nil {
		return nil, err
	}
	rec := store.EventRecord{
		Event:      alert.Event{ID: id + ":1:0", AlertID: id, Series: a.Series, Type: a.Type(), Reason: "close>upper", Time: 5},
		Deliveries: []store.Delivery{{Channel: "webhook", State: store.Sent, Attempts: 2}},
	}
	return []store.EventRecord{rec, rec}[:min(limit, 2)], nil
}

func (s *shelf) CreateAlert(_ context.Context, a alert.Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alerts = append([]alert.Alert{a}, s.alerts...)
	return s.err()
}

func (s *shelf) SetActive(_ context.Context, id string, active bool, _ int64) (alert.Alert, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return alert.Alert{}, store.ErrNotFound
	}
	s.alerts[i].Active = active
	return s.alerts[i], nil
}

func (s *shelf) DeleteAlert(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.find(id)
	if i < 0 {
		return store.ErrNotFound
	}
	s.alerts = slices.Delete(s.alerts, i, i+1)
	return nil
}

// flat gives candles at one price.
type flat struct{ err error }

func (f flat) Candles(_ context.Context, series market.Series, limit int) ([]market.Candle, string, error) {
	if f.err != nil {
		return nil, "", f.err
	}
	out := make([]market.Candle, 0, limit)
	for i := range limit {
		out = append(out, market.Candle{
			Time: int64(i) * series.Timeframe.Duration().Milliseconds(), Open: 100, High: 100, Low: 100, Close: 100,
			Volume: 1, Trades: 1, Closed: i < limit-1,
		})
	}
	return out, wire.CacheStale, nil
}

type nobody struct{}

func (nobody) Add(string, float64, ...string) {}

func executor(t *testing.T, s *shelf, gate api.Gate) *httptest.Server {
	t.Helper()
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Alerts{
		Reader: s, Writer: s, Candles: flat{}, Counter: nobody{}, Gate: gate, CooldownSec: 300, History: 100,
		Channels: func() []string { return []string{"webhook"} },
		Inspect:  func(string) (eval.View, bool) { return eval.View{}, false },
	}).AddTo(rt)
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	return srv
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) refusal(t *testing.T) wire.Error {
	t.Helper()
	var e wire.Error
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		t.Fatalf("%q is no wire.Error: %v", a.body, err)
	}
	return e
}

func ask(t *testing.T, method, url, body string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(data)}
}

const good = `{"symbol":"btcusdt","timeframe":"1m","type":"bb_break","params":{"side":"upper"}}`

func TestAnAlertsLifeByHTTP(t *testing.T) {
	s := &shelf{}
	srv := executor(t, s, api.Gate{})
	var made wire.AlertCreated
	got := ask(t, "POST", srv.URL+wire.PathAlertsCreate, good)
	if err := json.Unmarshal([]byte(got.body), &made); err != nil || got.status != 200 || !made.OK {
		t.Fatalf("create = %d %s (%v)", got.status, got.body, err)
	}
	if made.Alert.Symbol != "BTCUSDT" || made.Alert.Params["side"] != "above" || made.Alert.CooldownSec != 300 ||
		made.Alert.Trigger != "intrabar" || made.Alert.LastTriggeredAt != nil || len(made.ID) != 36 || made.ID[14] != '7' {
		t.Errorf("create made %+v", made.Alert)
	}
	if !strings.Contains(got.body, `"lastTriggeredAt":null`) || !strings.Contains(got.body, `"lastError":null`) {
		t.Errorf("create = %s, want nulls", got.body)
	}
	id := fmt.Sprintf(`{"id":%q}`, made.ID)
	steps := []struct {
		method, path, body string
		want               string
	}{
		{"GET", wire.PathAlertsGet + "?id=" + made.ID, "", `"ok":true,"id":"` + made.ID},
		{"GET", wire.PathAlertsList, "", made.ID},
		{"GET", wire.PathAlertsList + "?symbol=ETHUSDT", "", `"items":[]`},
		{"POST", wire.PathAlertsDisable, id, `{"ok":true}`},
		{"GET", wire.PathAlertsGet + "?id=" + made.ID, "", `"state":"paused"`},
		{"POST", wire.PathAlertsEnable, id, `{"ok":true}`},
		{"POST", wire.PathAlertsTest, id, `"triggered":false`},
		{"GET", wire.PathAlertsHistory + "?id=" + made.ID + "&limit=1", "", `"delivery":[{"channel":"webhook","state":"sent","attempts":2}]`},
		{"POST", wire.PathAlertsDelete, id, `{"ok":true}`},
	}
	for _, st := range steps {
		if got := ask(t, st.method, srv.URL+st.path, st.body); got.status != 200 || !strings.Contains(got.body, st.want) {
			t.Errorf("%s %s = %d %s, want 200 with %s", st.method, st.path, got.status, got.body, st.want)
		}
	}
	if got := ask(t, "GET", srv.URL+wire.PathAlertsGet+"?id="+made.ID, ""); got.status != 404 || got.refusal(t).Code != wire.CodeNotFound {
		t.Errorf("get of a deleted alert = %d %s", got.status, got.body)
	}
}

func TestRegression13GarbageIsRefusedAndMakesNothing(t *testing.T) {
	tests := []struct {
		name, path, body string
		status           int
		code             wire.Code
		field, want      string
	}{
		{"no body", wire.PathAlertsCreate, " ", 400, wire.CodeInvalidInput, "", "empty"},
		{"not JSON", wire.PathAlertsCreate, "{", 400, wire.CodeInvalidInput, "", "too early"},
		{"array", wire.PathAlertsCreate, "[]", 400, wire.CodeInvalidInput, "", "the body: a JSON array is not an object"},
		{"two values", wire.PathAlertsCreate, good + good, 400, wire.CodeInvalidInput, "", "goes on"},
		{"unknown field", wire.PathAlertsCreate, `{"symbl":"X"}`, 400, wire.CodeInvalidInput, "symbl", "unknown field"},
		{"client's id", wire.PathAlertsCreate, `{"id":"mine","symbol":"BTCUSDT"}`, 400, wire.CodeInvalidInput, "id", "unknown field"},
		{"wrong type", wire.PathAlertsCreate, `{"symbol":5}`, 400, wire.CodeInvalidInput, "symbol", "symbol: a JSON number is not text"},
		{"wrong type of a number", wire.PathAlertsCreate, `{"cooldownSec":"5"}`, 400, wire.CodeInvalidInput, "cooldownSec", "a JSON string is not a whole number"},
		{"fraction", wire.PathAlertsCreate, `{"cooldownSec":1.5}`, 400, wire.CodeInvalidInput, "cooldownSec", "a JSON number 1.5 is not a whole number"},
		{"wrong type of a list", wire.PathAlertsCreate, `{"channels":"webhook"}`, 400, wire.CodeInvalidInput, "channels", "a JSON string is not a list"},
		{"bad symbol", wire.PathAlertsCreate, strings.Replace(good, "btcusdt", "b!", 1), 400, wire.CodeInvalidSym, "symbol", "b!"},
		{"bad timeframe", wire.PathAlertsCreate, strings.Replace(good, "1m", "7m", 1), 400, wire.CodeInvalidInput, "timeframe", "1m 3m"},
		{"bad type", wire.PathAlertsCreate, strings.Replace(good, "bb_break", "magic", 1), 400, wire.CodeInvalidInput, "type", "bb_break"},
		{"unknown parameter", wire.PathAlertsCreate, strings.Replace(good, "side", "sid", 1), 400, wire.CodeInvalidInput, "params", "period, stdDev, side"},
		{"bad parameter", wire.PathAlertsCreate, strings.Replace(good, "upper", "up", 1), 400, wire.CodeInvalidInput, "params.side", "above, below, both"},
		{"unknown channel", wire.PathAlertsCreate, strings.Replace(good, "{", `{"channels":["pager"],`, 1), 400, wire.CodeInvalidInput, "channels", "webhook"},
		{"past expiry", wire.PathAlertsCreate, strings.Replace(good, "{", `{"expiresAt":5,`, 1), 400, wire.CodeInvalidInput, "expiresAt", "future"},
		{"bad cooldown", wire.PathAlertsCreate, strings.Replace(good, "{", `{"cooldownSec":-1,`, 1), 400, wire.CodeInvalidInput, "cooldownSec", "86400"},
		{"oversize", wire.PathAlertsCreate, `{"note":"` + strings.Repeat("x", api.MaxBody) + `"}`, 400, wire.CodeInvalidInput, "", "larger"},
		{"enable a ghost", wire.PathAlertsEnable, `{"id":"ghost"}`, 404, wire.CodeNotFound, "", "no such alert"},
		{"delete a ghost", wire.PathAlertsDelete, `{"id":"ghost"}`, 404, wire.CodeNotFound, "", "no such alert"},
		{"test without id", wire.PathAlertsTest, `{}`, 400, wire.CodeInvalidInput, "id", "required"},
	}
	s := &shelf{}
	srv := executor(t, s, api.Gate{})
	for _, tt := range tests {
		got := ask(t, "POST", srv.URL+tt.path, tt.body)
		e := got.refusal(t)
		if got.status != tt.status || e.Code != tt.code || e.Field != tt.field || !strings.Contains(e.Error, tt.want) {
			t.Errorf("%s: %d %+v, want %d %s in field %q with %q", tt.name, got.status, e, tt.status, tt.code, tt.field, tt.want)
		}
	}
	if len(s.alerts) != 0 {
		t.Errorf("refused calls made %v", s.alerts)
	}
}

func TestReadsRefuseWhatTheyDoNotKnow(t *testing.T) {
	srv := executor(t, &shelf{}, api.Gate{})
	for _, path := range []string{
		wire.PathAlertsList + "?simbol=X", wire.PathAlertsList + "?limit=0", wire.PathAlertsList + "?limit=x", wire.PathAlertsList + "?active=1",
		wire.PathAlertsList + "?type=magic", wire.PathAlertsList + "?%zz", wire.PathAlertsList + "?active=true;limit=1",
		wire.PathAlertsList + "?sort=up", wire.PathAlertsList + "?cursor=nope", wire.PathAlertsList + "?symbol=a&symbol=b", wire.PathAlertsGet, wire.PathAlertsHistory + "?id=x&limit=-1",
	} {
		if got := ask(t, "GET", srv.URL+path, ""); got.status != 400 || got.refusal(t).Code != wire.CodeInvalidInput && got.refusal(t).Code != wire.CodeInvalidSym {
			t.Errorf("GET %s = %d %s, want 400", path, got.status, got.body)
		}
	}
	if got := ask(t, "GET", srv.URL+"/nowhere", ""); got.status != 404 || got.refusal(t).Code != wire.CodeNotFound {
		t.Errorf("unknown path = %d %s", got.status, got.body)
	}
	if got := ask(t, "DELETE", srv.URL+wire.PathAlertsList, ""); got.status != 405 || got.header.Get("Allow") != "GET" {
		t.Errorf("wrong method = %d, Allow %q", got.status, got.header.Get("Allow"))
	}
}

func TestChangesNeedTokenHostAndOrigin(t *testing.T) {
	srv := executor(t, &shelf{}, api.Gate{APIToken: "secret-token"})
	tests := []struct {
		name   string
		header []string
		status int
	}{
		{"no token", nil, 401},
		{"wrong token", []string{"Authorization", "Bearer secret-tokem"}, 401},
		{"token", []string{"Authorization", "Bearer secret-token"}, 200},
		{"own page", []string{"Authorization", "Bearer secret-token", "Origin", "http://localhost:3000"}, 200},
		{"other site", []string{"Authorization", "Bearer secret-token", "Origin", "https://evil.example"}, 403},
		{"rebound name", []string{"Authorization", "Bearer secret-token", "Host", "evil.example:4001"}, 403},
		{"container's name", []string{"Authorization", "Bearer secret-token", "Host", "executor-1:4001"}, 200},
		{"form", []string{"Authorization", "Bearer secret-token", "Content-Type", "text/plain"}, 400},
	}
	for _, tt := range tests {
		if got := ask(t, "POST", srv.URL+wire.PathAlertsCreate, good, tt.header...); got.status != tt.status {
			t.Errorf("%s: %d %s, want %d", tt.name, got.status, got.body, tt.status)
		}
	}
	if got := ask(t, "GET", srv.URL+wire.PathAlertsList, ""); got.status != 200 {
		t.Errorf("a read without the token = %d, want 200", got.status)
	}
}

func TestStoreDownIsUnavailable(t *testing.T) {
	srv := executor(t, &shelf{down: true}, api.Gate{})
	got := ask(t, "GET", srv.URL+wire.PathAlertsList, "")
	if e := got.refusal(t); got.status != 503 || e.Code != wire.CodeUnavailable || e.RetryAfter == 0 || got.header.Get("Retry-After") == "" {
		t.Errorf("list with the store down = %d %+v", got.status, e)
	}
}

func TestCandles(t *testing.T) {
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Market{Candles: flat{}, Stream: http.NotFoundHandler()}).AddTo(rt)
	srv := httptest.NewServer(rt)
	defer srv.Close()
	// The checklist's unquoted command reaches us with the symbol alone.
	got := ask(t, "GET", srv.URL+wire.PathCandles+"?symbol=BTCUSDT", "")
	var rows []map[string]float64
	if err := json.Unmarshal([]byte(got.body), &rows); err != nil || len(rows) != 200 || len(rows[0]) != 6 {
		t.Errorf("candles = %d %.200s (%v)", got.status, got.body, err)
	}
	if got.header.Get("X-Cache") != "STALE" || got.header.Get("Warning") == "" {
		t.Errorf("headers %v, want STALE and a warning", got.header)
	}
	for _, q := range []string{"?symbol=", "?symbol=b!", "?timeframe=9m", "?limit=0", "?limit=1001", "?limit=1e2", "?sym=BTCUSDT", "?symbol=%zz", "?symbol=BTCUSDT;limit=1"} {
		if got := ask(t, "GET", srv.URL+wire.PathCandles+q, ""); got.status != 400 {
			t.Errorf("candles%s = %d %s, want 400", q, got.status, got.body)
		}
	}
}

func TestCandlesOfAnExchangeThatIsGone(t *testing.T) {
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Market{Candles: flat{err: errors.New("cut")}, Stream: http.NotFoundHandler()}).AddTo(rt)
	srv := httptest.NewServer(rt)
	defer srv.Close()
	if got := ask(t, "GET", srv.URL+wire.PathCandles, ""); got.status != 503 || got.refusal(t).Code != wire.CodeUnavailable {
		t.Errorf("candles = %d %s, want 503", got.status, got.body)
	}
}

func instance(t *testing.T, gate api.Gate, logs *event.Log, ended chan struct{}) *httptest.Server {
	t.Helper()
	rt := api.NewRouter(slog.New(slog.DiscardHandler))
	(&api.Instance{
		Health:  func() wire.Health { return wire.Health{Reasons: []string{"broken"}} },
		Ready:   func() (bool, []string) { return true, nil },
		Metrics: http.NotFoundHandler(), Logs: logs, Gate: gate, Ended: ended,
	}).AddTo(rt)
	(&api.Observe{
		Fleet:  func(context.Context) wire.Fleet { return wire.Fleet{OK: true} },
		Lock:   func(context.Context) (wire.Lock, error) { return wire.Lock{OK: true, State: "free"}, nil },
		Events: logs, Ended: ended,
	}).AddTo(rt)
	srv := httptest.NewServer(rt)
	t.Cleanup(srv.Close)
	return srv
}

func TestHealthIsHonest(t *testing.T) {
	srv := instance(t, api.Gate{}, event.NewLog(10, 0), nil)
	if got := ask(t, "GET", srv.URL+wire.PathHealth, ""); got.status != 503 || !strings.Contains(got.body, `"ok":false`) || !strings.Contains(got.body, "broken") {
		t.Errorf("health = %d %s", got.status, got.body)
	}
	for _, path := range []string{wire.PathLive, wire.PathReady, wire.PathFleet, wire.PathLock} {
		if got := ask(t, "GET", srv.URL+path, ""); got.status != 200 {
			t.Errorf("%s = %d", path, got.status)
		}
	}
}

func TestLogsAreForOperators(t *testing.T) {
	logs := event.NewLog(10, 0)
	for i, level := range []string{"debug", "info", "error"} {
		logs.Append(wire.EventLog, wire.LogRecord{Seq: int64(i), Level: level, Message: level + " said"})
	}
	closed := instance(t, api.Gate{}, logs, nil)
	if got := ask(t, "GET", closed.URL+wire.PathLogs, ""); got.status != 403 || !strings.Contains(got.body, wire.EnvOpsToken) {
		t.Errorf("logs without a token beyond loopback = %d %s", got.status, got.body)
	}
	open := instance(t, api.Gate{OpsToken: "ops-token"}, logs, nil)
	if got := ask(t, "GET", open.URL+wire.PathLogs, ""); got.status != 401 {
		t.Errorf("logs without the token = %d", got.status)
	}
	got := ask(t, "GET", open.URL+wire.PathLogs+"?level=info", "", "Authorization", "Bearer ops-token")
	if got.status != 200 || strings.Contains(got.body, "debug said") || !strings.Contains(got.body, "error said") {
		t.Errorf("logs = %d %s", got.status, got.body)
	}
	if got := ask(t, "GET", open.URL+wire.PathLogs+"?level=loud", "", "Authorization", "Bearer ops-token"); got.status != 400 {
		t.Errorf("logs of no level = %d", got.status)
	}
}

func TestEventsResumeAfterTheLastSeenAndEndCleanly(t *testing.T) {
	logs := event.NewLog(10, 0)
	ended := make(chan struct{})
	srv := instance(t, api.Gate{Loopback: true}, logs, ended)
	for _, state := range []string{"became", "lost"} {
		logs.Append(wire.EventLeader, wire.LeaderEvent{State: state})
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+wire.PathEvents, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(wire.HeaderLastEventID, "1")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("headers %v", resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	var text []string
	for lines.Scan() {
		text = append(text, lines.Text())
		if strings.Contains(lines.Text(), `"lost"`) {
			logs.Append(wire.EventLeader, wire.LeaderEvent{State: "resigned"})
		}
		if strings.Contains(lines.Text(), `"resigned"`) {
			close(ended)
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream ended with %v, want a clean end", err)
	}
	all := strings.Join(text, "\n")
	if strings.Contains(all, "became") || !strings.Contains(all, "id: 2\nevent: leader") || !strings.Contains(all, "id: 3\nevent: leader") {
		t.Errorf("stream:\n%s", all)
	}
	for _, path := range []string{wire.PathEvents, wire.PathFleet} {
		if got := ask(t, "GET", srv.URL+path+"?since=1", ""); got.status != 400 || got.refusal(t).Field != "since" {
			t.Errorf("GET %s?since=1 = %d %s, want 400", path, got.status, got.body)
		}
	}
	if got := ask(t, "GET", srv.URL+wire.PathEvents, "", wire.HeaderLastEventID, "x"); got.status != 400 {
		t.Errorf("Last-Event-ID x = %d, want 400", got.status)
	}
}
