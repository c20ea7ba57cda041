package scrape_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/spark-ta/spark/daemon/observe/scrape"
)

// sink keeps samples as text, and refuses what a store refuses.
type sink struct {
	names   []string
	numbers map[string]uint64
	samples map[uint64][]sample
	pending int
	commits int
	fail    error
}

type sample struct {
	t int64
	v float64
}

func newSink() *sink {
	return &sink{numbers: map[string]uint64{}, samples: map[uint64][]sample{}}
}

func (s *sink) Series(ls labels.Labels) uint64 {
	name := ls.String()
	if n, ok := s.numbers[name]; ok {
		return n
	}
	n := uint64(len(s.names))
	s.names = append(s.names, name)
	s.numbers[name] = n
	return n
}

func (s *sink) Add(series uint64, t int64, v float64) error {
	old := s.samples[series]
	if len(old) > 0 && t <= old[len(old)-1].t {
		return fmt.Errorf("%s: %d is not after %d", s.names[series], t, old[len(old)-1].t)
	}
	s.samples[series] = append(old, sample{t, v})
	s.pending++
	return nil
}

func (s *sink) Commit() error {
	s.pending = 0
	s.commits++
	return s.fail
}

// row is the history of one series: seconds and values, S for a stale marker.
func (s *sink) row(name string) string {
	n, ok := s.numbers[name]
	if !ok {
		return "none"
	}
	var b strings.Builder
	for i, p := range s.samples[n] {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.FormatFloat(float64(p.t)/1000, 'f', -1, 64))
		if value.IsStaleNaN(p.v) {
			b.WriteString(":S")
		} else {
			fmt.Fprintf(&b, ":%v", p.v)
		}
	}
	return b.String()
}

// instance serves a page that the test changes.
type instance struct {
	*httptest.Server
	page atomic.Pointer[string]
}

func newInstance(t testing.TB, page string) *instance {
	i := &instance{}
	i.set(page)
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if text := *i.page.Load(); text != "" {
			_, _ = io.WriteString(w, text)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	t.Cleanup(i.Close)
	return i
}

// set changes the page; an empty one fails.
func (i *instance) set(page string) { i.page.Store(&page) }

func (i *instance) target(id string) scrape.Target {
	return scrape.Target{URL: i.URL + "/metrics", Labels: map[string]string{"job": "spark", "instance": id}}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newScraper(s scrape.Sink, targets ...scrape.Target) *scrape.Scraper {
	return &scrape.Scraper{
		Discover: func(context.Context) ([]scrape.Target, error) { return targets, nil },
		Sink:     s, Client: &http.Client{}, Log: quiet(),
		Self: map[string]string{"job": "observer", "instance": "o"},
	}
}

// rounds makes rounds at 15 s, 30 s, … beginning with number from.
func rounds(t *testing.T, s *scrape.Scraper, from int, steps ...func()) {
	t.Helper()
	for i, step := range steps {
		if step != nil {
			step()
		}
		if err := s.Round(t.Context(), time.Unix(int64(from+i)*15, 0)); err != nil {
			t.Fatalf("round %d: %v", from+i, err)
		}
	}
}

func check(t *testing.T, s *sink, want map[string]string) {
	t.Helper()
	for name, history := range want {
		if got := s.row(name); got != history {
			t.Errorf("%s\n got %s\nwant %s", name, got, history)
		}
	}
}

func TestARoundHasOneTime(t *testing.T) {
	s := newSink()
	a := newInstance(t, "# TYPE g gauge\ng 1 99\n")
	b := newInstance(t, "# TYPE g gauge\ng{x=\"1\"} 2\n")
	sc := newScraper(s, a.target("a"), b.target("b"))
	rounds(t, sc, 1, nil, nil)
	check(t, s, map[string]string{
		`{__name__="g", instance="a", job="spark"}`:                      "15:1 30:1",
		`{__name__="g", instance="b", job="spark", x="1"}`:               "15:2 30:2",
		`{__name__="up", instance="a", job="spark"}`:                     "15:1 30:1",
		`{__name__="scrape_samples_scraped", instance="b", job="spark"}`: "15:1 30:1",
		`{__name__="spark_observer_tick", instance="o", job="observer"}`: "15:1 30:1",
	})
	if s.pending != 0 || s.commits != 2 {
		t.Errorf("%d commits with %d samples left, want 2 and 0", s.commits, s.pending)
	}
	if err := sc.Round(t.Context(), time.Unix(30, 0)); !errors.Is(err, scrape.ErrNotLater) {
		t.Errorf("a second round at the same time = %v, want ErrNotLater", err)
	}
}

func TestACounterIsBornAtZero(t *testing.T) {
	s := newSink()
	const before = "# TYPE g gauge\ng 1\n"
	const after = before + `# TYPE e_total counter
e_total{reason="x"} 5
# TYPE h histogram
h_bucket{le="2"} 3
h_bucket{le="+Inf"} 4
h_sum 7
h_count 4
# TYPE s summary
s{quantile="0.5"} 9
s_sum 11
s_count 2
# TYPE new gauge
new 6
plain 8
`
	a := newInstance(t, before)
	rounds(t, newScraper(s, a.target("a")), 1, nil, func() { a.set(after) }, nil)
	row := func(name, more string) string {
		return fmt.Sprintf(`{__name__=%q, instance="a", job="spark"%s}`, name, more)
	}
	check(t, s, map[string]string{
		row("e_total", `, reason="x"`): "15:0 30:5 45:5",
		row("h_bucket", `, le="2"`):    "15:0 30:3 45:3",
		row("h_bucket", `, le="+Inf"`): "15:0 30:4 45:4",
		row("h_sum", ""):               "15:0 30:7 45:7",
		row("h_count", ""):             "15:0 30:4 45:4",
		row("s", `, quantile="0.5"`):   "30:9 45:9",
		row("s_sum", ""):               "15:0 30:11 45:11",
		row("s_count", ""):             "15:0 30:2 45:2",
		row("new", ""):                 "30:6 45:6",
		row("plain", ""):               "30:8 45:8",
	})
}

func TestNoBirthIsMadeUp(t *testing.T) {
	s := newSink()
	const empty, full = "g 1\n", "g 1\n# TYPE e_total counter\ne_total 5\n"
	first, failed := newInstance(t, full), newInstance(t, empty)
	sc := newScraper(s, first.target("first"), failed.target("failed"))
	rounds(t, sc, 1,
		nil,
		func() { failed.set("") },
		func() { failed.set(full) },
	)
	check(t, s, map[string]string{
		`{__name__="e_total", instance="first", job="spark"}`:  "15:5 30:5 45:5",
		`{__name__="e_total", instance="failed", job="spark"}`: "45:5",
		`{__name__="up", instance="failed", job="spark"}`:      "15:1 30:0 45:1",
		`{__name__="g", instance="failed", job="spark"}`:       "15:1 30:S 45:1",
	})
}

func TestASeriesThatGoesIsMarkedAndMayComeBack(t *testing.T) {
	s := newSink()
	const with, without = "g 1\n# TYPE e_total counter\ne_total 5\n", "g 1\n"
	soon, late := newInstance(t, with), newInstance(t, with)
	rounds(t, newScraper(s, soon.target("soon"), late.target("late")), 1,
		nil,
		func() { soon.set(without); late.set(without) },
		func() { soon.set(with) },
		nil,
		func() { late.set(with) },
	)
	check(t, s, map[string]string{
		`{__name__="e_total", instance="soon", job="spark"}`: "15:5 30:S 30.001:0 45:5 60:5 75:5",
		`{__name__="e_total", instance="late", job="spark"}`: "15:5 30:S 60:0 75:5",
		`{__name__="g", instance="late", job="spark"}`:       "15:1 30:1 45:1 60:1 75:1",
	})
}

func TestLabelsOfThePageGiveWay(t *testing.T) {
	s := newSink()
	a := newInstance(t, `m{instance="i",job="j"} 1`+"\n"+`n{instance="i",exported_instance="e"} 2`+"\n"+`o{x=""} 3`+"\n")
	rounds(t, newScraper(s, a.target("a")), 1, nil)
	check(t, s, map[string]string{
		`{__name__="m", exported_instance="i", exported_job="j", instance="a", job="spark"}`:               "15:1",
		`{__name__="n", exported_exported_instance="i", exported_instance="e", instance="a", job="spark"}`: "15:2",
		`{__name__="o", instance="a", job="spark"}`:                                                        "15:3",
	})
}

func TestAPageIsTakenWholeOrNotAtAll(t *testing.T) {
	many := strings.Repeat("x", 5000)
	for name, c := range map[string]struct{ page, reason string }{
		"no exposition":   {"<html>\x1b[31m</html>\n", "line 1"},
		"bad last line":   {"ok 1\nbad{ 1\n", "line 2"},
		"cut":             {"ok 1\nbad", "unexpected end"},
		"series twice":    {"ok 1\nok 2\n", "ok stands twice"},
		"spelt twice":     {"ok{a=\"1\",b=\"2\"} 1\nok{b=\"2\",a=\"1\"} 1\n", "ok stands twice"},
		"one of ours":     {"ok 1\nup 1\n", "up stands twice"},
		"label twice":     {"ok{a=\"1\",a=\"2\"} 1\n", "duplicate label"},
		"too many":        {"ok 1\nb 2\nc 3\nd 4\n", "more than 3 samples"},
		"too large":       {"ok{a=\"" + many + "\"} 1\n", "4096 bytes"},
		"too long a page": {"ok 1\n# " + many + many + "\n", "more than 8000 bytes"},
		"server error":    {"", "status 500"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink()
			a := newInstance(t, "ok 1\n")
			sc := newScraper(s, a.target("a"))
			sc.MaxSamples, sc.MaxBody = 3, 8000
			rounds(t, sc, 1, nil, func() { a.set(c.page) }, nil)
			got := sc.State().Targets[0]
			if got.Up || !strings.Contains(got.Error, c.reason) || strings.ContainsAny(got.Error, "\x1b\n") {
				t.Errorf("state = %+v, want a reason with %q", got, c.reason)
			}
			rounds(t, sc, 4, func() { a.set("ok 2\n") })
			check(t, s, map[string]string{
				`{__name__="ok", instance="a", job="spark"}`: "15:1 30:S 60:2",
				`{__name__="up", instance="a", job="spark"}`: "15:1 30:0 45:0 60:1",
			})
		})
	}
}

func TestGzipAndItsBombs(t *testing.T) {
	s := newSink()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "# TYPE g gauge\ng 4\n")
		if r.URL.Path == "/bomb" {
			_, _ = io.WriteString(z, "# "+strings.Repeat("x", 1<<20)+"\n")
		}
		_ = z.Close()
	}))
	t.Cleanup(srv.Close)
	sc := newScraper(s,
		scrape.Target{URL: srv.URL + "/metrics", Labels: map[string]string{"instance": "good"}},
		scrape.Target{URL: srv.URL + "/bomb", Labels: map[string]string{"instance": "bomb"}})
	sc.MaxBody = 100_000
	rounds(t, sc, 1, nil)
	if got := sc.State().Targets[1].Error; got != "page of more than 100000 bytes" {
		t.Errorf("the bomb: %q, want that it is too large", got)
	}
	check(t, s, map[string]string{
		`{__name__="g", instance="good"}`:  "15:4",
		`{__name__="up", instance="bomb"}`: "15:0",
	})
}

func TestSlowAndRedirectedTargets(t *testing.T) {
	s := newSink()
	var followed atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		default:
			followed.Store(true)
		}
	}))
	t.Cleanup(srv.Close)
	gone := newInstance(t, "")
	gone.Close()
	slow := strings.Replace(srv.URL, "http://", "http://user:hush@", 1) + "/slow?token=hush"
	sc := newScraper(s,
		scrape.Target{URL: slow, Labels: map[string]string{"instance": "slow"}},
		scrape.Target{URL: srv.URL + "/moved", Labels: map[string]string{"instance": "moved"}},
		gone.target("refused"))
	sc.Timeout = time.Second
	rounds(t, sc, 1, nil)
	for i, want := range []string{"no answer within 1s", "status 302", "refused"} {
		got := sc.State().Targets[i]
		if got.Up || !strings.Contains(got.Error, want) || strings.Contains(fmt.Sprint(got), "hush") {
			t.Errorf("target %d = %+v, want %q and no secret", i, got, want)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestAnInterruptedRoundWritesNothing(t *testing.T) {
	s := newSink()
	entered := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	t.Cleanup(srv.Close)
	sc := newScraper(s, scrape.Target{URL: srv.URL, Labels: map[string]string{"instance": "a"}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if err := sc.Round(ctx, time.Unix(15, 0)); !errors.Is(err, context.Canceled) {
		t.Errorf("round = %v, want context.Canceled", err)
	}
	if len(s.samples) != 0 || s.commits != 0 {
		t.Errorf("%d series and %d commits, want none", len(s.samples), s.commits)
	}
}

func TestTheSinksErrorIsTheRounds(t *testing.T) {
	s := newSink()
	s.fail = errors.New("disk full")
	sc := newScraper(s)
	if err := sc.Round(t.Context(), time.Unix(15, 0)); !errors.Is(err, s.fail) {
		t.Errorf("round = %v, want %v", err, s.fail)
	}
	// A series that the store knows to be newer is refused, the others are kept.
	s.fail = nil
	tick := `{__name__="spark_observer_tick", instance="o", job="observer"}`
	s.samples[s.numbers[tick]] = append(s.samples[s.numbers[tick]], sample{99_000, 1})
	if err := sc.Round(t.Context(), time.Unix(30, 0)); err == nil || sc.State().Refused != 1 {
		t.Errorf("round = %v, state %+v; want one sample refused", err, sc.State())
	}
	check(t, s, map[string]string{`{__name__="spark_observer_targets", instance="o", job="observer"}`: "15:0 30:0"})
}

// tripper answers without a network, for bubbles.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(text string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}
}

func TestRunKeepsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSink()
		sc := newScraper(s, scrape.Target{URL: "http://a/", Labels: map[string]string{"instance": "a"}})
		var slow atomic.Bool
		sc.Client = &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if slow.Load() {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return answer("g 1\n"), nil
		})}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		begin := time.Now().Unix()
		go func() { done <- sc.Run(ctx) }()
		time.Sleep(31 * time.Second)
		slow.Store(true)
		time.Sleep(30 * time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		// The fifth round is cut off by the end while it waits for its target.
		want := fmt.Sprintf("%d:1 %d:1 %d:1 %d:0", begin, begin+15, begin+30, begin+45)
		if got := s.row(`{__name__="up", instance="a"}`); got != want {
			t.Errorf("up = %s, want %s", got, want)
		}
		if st := sc.State(); st.Targets[0].Took != 5*time.Second || st.Late != 0 {
			t.Errorf("state = %+v, want a target cut off after 5 s and no late round", st)
		}
	})
}

func TestLateRoundsAreCounted(t *testing.T) {
	s := newSink()
	sc := newScraper(s)
	for _, at := range []int64{15, 30, 52, 75, 300} {
		if err := sc.Round(t.Context(), time.Unix(at, 0)); err != nil {
			t.Fatal(err)
		}
	}
	check(t, s, map[string]string{
		`{__name__="spark_observer_late_rounds_total", instance="o", job="observer"}`: "15:0 30:0 52:0 75:1 300:2",
	})
}
