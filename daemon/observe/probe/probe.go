// Package probe asks what no metric answers: a page, the store, a log, Grafana, the
// container engine, a stream, a command. Each kind is a parsed text (the fence of a
// check) and a function from it and some targets to results.
//
// # What holds for all of them
//
//   - One [Result] per target, in the order of the targets, asked at the same time.
//   - Everything ends within a timeout or with the context, whichever is first, and
//     everything that is read has a limit.
//   - A probe only looks. [AlertCanary] alone changes something: it makes an alert
//     that cannot fire, and takes it away again.
//   - An error is not a field. A result with an error may have fields nevertheless:
//     what was learnt before it.
//   - Texts are masked, cleaned and cut on their way into a result, so whatever shows
//     or stores one need not care where it came from.
//
// # Fields
//
// A field is a number or a text; truth is 1 and 0. What a source does not say is not
// there: a missing field is no zero, and the judge calls it unknown. Names are what
// a condition names: lower case with dots, as the sources write them.
//
//	http     status, latency, bytes, header.…, json, body, body.…, title
//	redis    latency, ping, every line of INFO, lock.…
//	log      count, first, last, seen, complete
//	grafana  health, dashboards, panels, panels_with_data, firing, …
//	docker   running, health, restarts, cpu_percent, memory_bytes, image, log
//	canary   ok, created, tested, deleted, latency, …; of streams alive, age, reconnects
//	command  exit, output, took
//
// The package is larger than most because each kind speaks another protocol; what
// they share is in probe.go, and no kind knows another but docker the log's language.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/spark-ta/spark/core/safetext"
)

// Value is a number or a text.
type Value struct {
	Num    float64
	Text   string
	IsText bool
}

// Number returns a number's value.
func Number(v float64) Value { return Value{Num: v} }

// Text returns a text's value.
func Text(s string) Value { return Value{Text: s, IsText: true} }

// Truth returns 1 or 0.
func Truth(b bool) Value {
	if b {
		return Number(1)
	}
	return Number(0)
}

// Result is what one target answered.
type Result struct {
	Target string
	Fields map[string]Value
	Err    error // its text is safe to show
	Took   time.Duration
}

// Target is what is asked: an instance, a store, a server.
type Target struct {
	Name string
	URL  string // base, without a slash at the end; of kinds that are asked by HTTP
	// Started is when the process began, in ms, as the registry has it; 0 when that
	// is not known. Only logs use it.
	Started int64
}

// Limits are common to all probes.
type Limits struct {
	// Timeout of one target; 0 means 5 s.
	Timeout time.Duration
	// Mask replaces secrets in a text; may be nil.
	Mask func(string) string
}

// fieldOutput is the one field that is a text of several lines.
const fieldOutput = "output"

// Lengths of texts in a result, in bytes.
const (
	maxField  = 512
	maxReason = 300
)

type fields map[string]Value

// ask calls f for each target at the same time and returns what they say.
func (l Limits) ask(ctx context.Context, targets []Target, f func(context.Context, Target) (fields, error)) []Result {
	out := make([]Result, len(targets))
	var all sync.WaitGroup
	for i, t := range targets {
		all.Go(func() { out[i] = l.one(ctx, t, f) })
	}
	all.Wait()
	return out
}

func (l Limits) one(ctx context.Context, t Target, f func(context.Context, Target) (fields, error)) Result {
	timeout := l.Timeout
	if timeout <= 0 {
		timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := time.Now()
	found, err := f(ctx, t)
	r := Result{Target: t.Name, Fields: make(map[string]Value, len(found)), Took: time.Since(began)}
	for name, v := range found {
		if v.IsText {
			v.Text = l.safe(v.Text, limitOf(name))
		}
		r.Fields[l.safe(name, 128)] = v
	}
	if err != nil {
		r.Err = &failure{text: l.safe(explain(err, timeout), maxReason), cause: err}
	}
	return r
}

// limitOf returns how long the text of a field may be.
func limitOf(name string) int {
	if name == fieldOutput {
		return safetext.MaxText
	}
	return maxField
}

// safe masks, cleans and cuts. It masks before it cuts, so that no half of a secret
// stays, and once more what cleaning has put together.
func (l Limits) safe(s string, most int) string {
	if l.Mask != nil {
		s = l.Mask(s)
	}
	if most > maxField {
		s = string(safetext.CleanMultiline(s))
	} else {
		s = string(safetext.Clean(s))
	}
	if l.Mask != nil {
		s = l.Mask(s)
	}
	return cut(s, most)
}

func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}

// failure is an error whose text is safe, whatever its cause says.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.cause }

// explain is the text of an error, with the end of its time in plain words.
func explain(err error, timeout time.Duration) string {
	return strings.ReplaceAll(err.Error(), context.DeadlineExceeded.Error(), fmt.Sprintf("no answer within %s", timeout))
}

// bare is an error of net/http without the address in it, which may hold
// credentials.
func bare(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// errTooLarge is returned for an answer over its limit.
var errTooLarge = errors.New("answer too large")

// readAll reads at most most bytes; more are [errTooLarge], with what fits.
func readAll(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		return b[:most], fmt.Errorf("%w: over %d bytes", errTooLarge, most)
	}
	return b, err
}

// sameHost follows a redirect that stays where it was sent, three times at most.
// Another host must not be asked in the name of a target, nor get its headers; the
// answer that points there is the answer.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// statement returns the lines of a source that are no comments, joined.
func statement(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if t := strings.TrimSpace(line); !strings.HasPrefix(t, "#") {
			out = append(out, line)
		}
	}
	for len(out) > 0 && strings.TrimSpace(out[0]) == "" {
		out = out[1:]
	}
	for len(out) > 0 && strings.TrimSpace(out[len(out)-1]) == "" {
		out = out[:len(out)-1]
	}
	return out
}

// printable reports whether s is text that shows what it is: no control and no
// reordering characters.
func printable(s string) bool { return string(safetext.Clean(s)) == s }
