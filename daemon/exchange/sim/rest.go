package sim

import (
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

const (
	usualRows = 500
	mostRows  = 1000

	// Times in parameters may be in µs; ms reach this in the year 5138.
	microseconds = 100_000_000_000_000
)

// What may stand in a parameter, as the refusals quote it.
const (
	legalSymbol  = `^[A-Z0-9-_.]{1,20}$`
	legalSymbols = `^\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\]$`
	legalNumber  = `^[0-9]{1,20}$`
)

var (
	symbolPattern  = regexp.MustCompile(`^[A-Z0-9_.-]{1,20}$`)
	symbolsPattern = regexp.MustCompile(`^\["[A-Z0-9_.-]{1,20}"(,"[A-Z0-9_.-]{1,20}")*\]$`)
	numberPattern  = regexp.MustCompile(legalNumber)
)

// query is the parameters of a request. It notes what was asked for, so that
// parameters that nobody reads can be refused.
type query struct {
	values url.Values
	read   int
	unit   int64 // of times in the reply: 1 for ms, 1,000 for µs
}

// newQuery reads the parameters and the wanted unit of time.
func newQuery(r *http.Request) (*query, *refusal) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, illegal("query", "percent-encoded")
	}
	for _, v := range values {
		if len(v) > 1 {
			return nil, duplicate()
		}
	}
	q := &query{values: values, unit: 1}
	switch r.Header.Get("X-MBX-TIME-UNIT") {
	case "", "MILLISECOND", "millisecond":
	case "MICROSECOND", "microsecond":
		q.unit = 1000
	default:
		return nil, badTimeUnit()
	}
	return q, nil
}

// get returns a parameter and whether it was sent; an empty one is refused.
func (q *query) get(name string) (string, bool, *refusal) {
	v, ok := q.values[name]
	if !ok {
		return "", false, nil
	}
	q.read++
	if v[0] == "" {
		return "", false, empty(name)
	}
	return v[0], true, nil
}

// number returns a parameter that is a whole number, or a value for its absence.
func (q *query) number(name string, absent int64) (int64, *refusal) {
	v, ok, refused := q.get(name)
	if !ok || refused != nil {
		return absent, refused
	}
	if !numberPattern.MatchString(v) {
		return 0, illegal(name, legalNumber)
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, notValid(name)
	}
	return n, nil
}

// moment is number for a time, in ms.
func (q *query) moment(name string) (int64, *refusal) {
	n, refused := q.number(name, -1)
	if n >= microseconds {
		n /= 1000
	}
	return n, refused
}

// done refuses what was sent and not read.
func (q *query) done() *refusal {
	switch {
	case q.read == len(q.values):
		return nil
	case q.read == 0:
		return tooMany(len(q.values))
	default:
		return unread(q.read, len(q.values))
	}
}

func (s *Server) ping(q *query) ([]byte, *refusal) {
	return []byte("{}"), q.done()
}

// serverTime is the virtual time as clients are told it, in ms.
func (s *Server) serverTime() int64 {
	return s.clock.now() + s.faults.delay(Skew, time.Now())
}

func (s *Server) time(q *query) ([]byte, *refusal) {
	body := strconv.AppendInt([]byte(`{"serverTime":`), s.serverTime()*q.unit, 10)
	return append(body, '}'), q.done()
}

// rowsWanted is what a request for klines asks for.
type rowsWanted struct {
	tape        *tape
	interval    interval
	from, until int64 // ms; from is negative when it was not sent
	limit       int
}

func (s *Server) klineRows(q *query) ([]byte, *refusal) {
	s.klines.Add(1)
	want, refused := s.rowsWanted(q)
	if refused != nil {
		return nil, refused
	}
	now := s.clock.now() - s.faults.delay(Lag, time.Now())
	rows := want.tape.candles(want.interval, want.from, want.until, want.limit, now)
	body := make([]byte, 0, 2+len(rows)*192)
	body = append(body, '[')
	for i, c := range rows {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendRow(body, &want.tape.listing, c, q.unit)
	}
	return append(body, ']'), nil
}

func (s *Server) rowsWanted(q *query) (want rowsWanted, refused *refusal) {
	if want.tape, refused = s.symbolOf(q); refused != nil {
		return want, refused
	}
	name, ok, refused := q.get("interval")
	switch {
	case refused != nil:
		return want, refused
	case !ok:
		return want, mandatory("interval")
	}
	iv, err := parseInterval(name)
	if err != nil {
		return want, badInterval()
	}
	limit, refused := q.number("limit", usualRows)
	if refused != nil {
		return want, refused
	}
	if limit == 0 || limit > math.MaxInt32 {
		return want, notValid("limit")
	}
	want.limit = int(min(limit, mostRows))
	if want.from, refused = q.moment("startTime"); refused != nil {
		return want, refused
	}
	if want.until, refused = q.moment("endTime"); refused != nil {
		return want, refused
	}
	if want.until < 0 {
		want.until = math.MaxInt64
	}
	zone, ok, refused := q.get("timeZone")
	if refused != nil {
		return want, refused
	}
	if ok {
		if iv.offset, err = parseZone(zone); err != nil {
			return want, notValid("timeZone")
		}
	}
	want.interval = iv
	return want, q.done()
}

// symbolOf returns the tape of the mandatory parameter symbol.
func (s *Server) symbolOf(q *query) (*tape, *refusal) {
	name, ok, refused := q.get("symbol")
	switch {
	case refused != nil:
		return nil, refused
	case !ok:
		return nil, mandatory("symbol")
	case !symbolPattern.MatchString(name):
		return nil, illegal("symbol", legalSymbol)
	case s.tapes[name] == nil:
		return nil, badSymbol()
	}
	return s.tapes[name], nil
}
