// Package api answers HTTP for the three roles: what every instance says of
// itself, the executor's alerts, the gateway's candles and streams, the observer's
// fleet and events.
//
// It holds no state of its own. Each group of calls is a struct whose fields are
// the few things it asks; the wiring fills them and adds them to a [Router].
//
// # Refusals
//
// Every refusal is a wire.Error with a code of the closed set. A body is at most
// 64 KiB (512 KiB where a plan is sent), must be application/json, and may hold no
// field that the call does not know: a misspelt option that is silently dropped is
// how an alert comes to do something else than its owner meant.
//
// # Who may
//
// A changing call needs a Host and, when a browser sends one, an Origin that a
// page of another site cannot have (see [Gate]), and the API token if one is
// configured. Calls for operators need the operations token, or, without one
// configured, a listener on loopback. Reading how hypercare stands is for everybody
// who reaches the port; changing it, and its journal, are for operators.
package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/alert"
	"github.com/spark-ta/spark/core/market"
	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/store"
)

// MaxBody is the most that a request's body may have, in bytes.
const MaxBody = 64 << 10

// handler answers a call or says why not.
type handler func(w http.ResponseWriter, r *http.Request) error

// Router routes by path and then by method, so that a wrong method answers 405
// and an unknown path 404, both as JSON. Make one with [NewRouter].
type Router struct {
	mux *http.ServeMux
	log *slog.Logger
	at  map[string]map[string]handler
}

// NewRouter returns a router that knows no path.
func NewRouter(log *slog.Logger) *Router {
	rt := &Router{mux: http.NewServeMux(), log: log, at: map[string]map[string]handler{}}
	rt.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		rt.refuse(w, r, &refusal{code: wire.CodeNotFound, text: fmt.Sprintf("no such path: %.128q", r.URL.Path)})
	})
	return rt
}

func (rt *Router) on(method, path string, h handler) {
	methods := rt.at[path]
	if methods == nil {
		methods = map[string]handler{}
		rt.at[path] = methods
		rt.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { rt.serve(w, r, methods) })
	}
	methods[method] = h
}

func (rt *Router) serve(w http.ResponseWriter, r *http.Request, methods map[string]handler) {
	h := methods[r.Method]
	if h == nil && r.Method == http.MethodHead {
		h = methods[http.MethodGet]
	}
	if h == nil {
		allowed := make([]string, 0, len(methods))
		for m := range methods {
			allowed = append(allowed, m)
		}
		slices.Sort(allowed)
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		rt.refuse(w, r, &refusal{code: wire.CodeInvalidInput, status: http.StatusMethodNotAllowed,
			text: fmt.Sprintf("%.16s is not answered here: use %s", r.Method, strings.Join(allowed, " or "))})
		return
	}
	if err := h(w, r); err != nil {
		rt.refuse(w, r, err)
	}
}

// ServeHTTP implements [http.Handler].
func (rt *Router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	rt.mux.ServeHTTP(w, r)
}

// refusal is an error that knows its answer.
type refusal struct {
	code       wire.Code
	status     int // 0 means the code's
	field      string
	text       string
	retryAfter int
}

func (e *refusal) Error() string { return e.text }

func badInput(field, format string, args ...any) error {
	return &refusal{code: wire.CodeInvalidInput, field: field, text: fmt.Sprintf(format, args...)}
}

// refuse turns an error into an answer. What is not foreseen is logged and hidden.
func (rt *Router) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var no *refusal
	var input *alert.InputError
	switch {
	case errors.As(err, &no):
	case errors.As(err, &input):
		no = &refusal{code: wire.CodeInvalidInput, field: input.Field, text: input.Error()}
	case errors.Is(err, market.ErrSymbol):
		no = &refusal{code: wire.CodeInvalidSym, field: "symbol", text: err.Error()}
	case errors.Is(err, market.ErrTimeframe):
		no = &refusal{code: wire.CodeInvalidInput, field: "timeframe", text: err.Error()}
	case errors.Is(err, store.ErrNotFound):
		no = &refusal{code: wire.CodeNotFound, text: "no such alert"}
	case errors.Is(err, store.ErrExists), errors.Is(err, store.ErrConflict):
		no = &refusal{code: wire.CodeConflict, text: err.Error()}
	case errors.Is(err, store.ErrUnavailable):
		no = &refusal{code: wire.CodeUnavailable, text: "the store does not answer", retryAfter: 2}
	case r.Context().Err() != nil:
		return // the caller has gone
	default:
		rt.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
		no = &refusal{code: wire.CodeInternal, text: "internal error, see the log"}
	}
	status := no.status
	if status == 0 {
		status = no.code.Status()
	}
	if no.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(no.retryAfter))
	}
	reply(w, status, wire.Error{Error: no.text, Code: no.code, Field: no.field, RetryAfter: no.retryAfter})
}

// reply writes JSON.
func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the caller has gone: there is nobody to tell
}

// read decodes the body of a changing call, strictly.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	return readUpTo(MaxBody, w, r, into)
}

func readUpTo(limit int64, w http.ResponseWriter, r *http.Request, into any) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return badInput("", "Content-Type is %.64q, want application/json", r.Header.Get("Content-Type"))
	}
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return explain(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badInput("", "the body goes on after its JSON value")
	}
	return nil
}

// explain says in the caller's words what is wrong with a body.
func explain(err error) error {
	var large *http.MaxBytesError
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &large):
		return badInput("", "the body is larger than %d bytes", large.Limit)
	case errors.As(err, &kind):
		return badInput(kind.Field, "%s: a JSON %s is not %s", orWord(kind.Field, "the body"), kind.Value, wanted(kind.Type))
	case errors.As(err, &syntax):
		return badInput("", "not JSON at byte %d: %v", syntax.Offset, err)
	case errors.Is(err, io.EOF):
		return badInput("", "the body is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return badInput("", "the JSON ends too early")
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name = strings.Trim(name, `"`)
		return badInput(name, "unknown field %.64q", name)
	}
	return badInput("", "the body can't be read: %v", err)
}

// wanted names in the caller's words what a field holds.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}

// query checks that a request names only known query parameters, each once.
func query(r *http.Request, known ...string) (map[string]string, error) {
	all, err := url.ParseQuery(r.URL.RawQuery) // r.URL.Query() would leave out what it cannot read
	if err != nil {
		return nil, badInput("query", "the query is not well formed: %.96v", err)
	}
	values := map[string]string{}
	for name, given := range all {
		if !slices.Contains(known, name) {
			return nil, badInput(name, "unknown parameter %.64q: allowed are %s", name, orNone(strings.Join(known, ", ")))
		}
		if len(given) > 1 {
			return nil, badInput(name, "%s is given %d times", name, len(given))
		}
		values[name] = given[0]
	}
	return values, nil
}

func orNone(names string) string {
	if names == "" {
		return "none"
	}
	return names
}

func wholeNumber(values map[string]string, name string, def, low, high int) (int, error) {
	text, ok := values[name]
	if !ok {
		return def, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, badInput(name, "%s %.32q is not a whole number from %d to %d", name, text, low, high)
	}
	return n, nil
}
