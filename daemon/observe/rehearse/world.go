package rehearse

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon/observe/sample"
)

// Sink keeps the samples of a world: [*sample.Store].
type Sink interface {
	Series(ls labels.Labels) uint64
	Add(series uint64, t int64, v float64) error
	Commit() error
}

// world makes the samples that a fleet would have given, one tick after the other.
type world struct {
	scenario *Scenario
	begin    time.Time // of the first tick, before T0
	tick     int
	lines    []*line
	byName   map[string][]*line
	names    map[string]int             // of instances: how often one came back under another name
	asleep   map[string][]labels.Labels // by metric
	sink     Sink
	rng      *rand.Rand

	leader string // holder of the simulated lock
	epoch  float64
	seized bool // somebody reset the lock: leader and epoch are the world's own
}

// line is one series.
type line struct {
	labels   labels.Labels
	name     string
	instance string // "" for series of the observer itself
	counter  bool
	base     cursor
	extra    []*overlay
	saw      float64 // amplitude of a saw tooth
	period   int     // of it, ticks
	noise    float64 // standard deviation
	from     float64 // value at the restart, of counters
	born     float64 // start of the process, once it was restarted

	ref     uint64
	known   bool // has a sample that is not a marker
	current float64
}

// overlay replaces a line's values, or adds to them, from a tick on.
type overlay struct {
	from   int
	values cursor
	add    bool
}

func newWorld(s *Scenario, t0 time.Time, sink Sink) (*world, error) {
	w := &world{
		scenario: s, begin: t0.Add(-s.Lead), byName: map[string][]*line{}, names: map[string]int{}, asleep: map[string][]labels.Labels{}, sink: sink,
		rng: rand.New(rand.NewPCG(s.Seed, 48)),
	}
	w.contract()
	for _, x := range s.series {
		if err := w.put(x); err != nil {
			return nil, err
		}
	}
	for _, l := range w.lines {
		l.ref = sink.Series(l.labels)
	}
	return w, nil
}

// contract adds the series that an instance has at zero from its first scrape on. Of
// the channels and the alert types only one each is in use, as in a deployment that
// has configured one webhook: the others would be 48 hours of zeros, which tell
// nothing and make each question four times as dear. They sleep until a scenario
// names them.
func (w *world) contract() {
	for _, in := range w.scenario.Instances {
		base := []string{"job", "spark", "instance", in.Name, "role", in.Role}
		w.add(labels.FromStrings(append([]string{sample.NameLabel, wire.SeriesUp}, base...)...), "1")
		for _, m := range wire.Metrics() {
			for _, ls := range combinations(m.Labels) {
				family(m, append(slices.Clone(base), ls...), func(ls labels.Labels) {
					if used(ls) {
						w.add(ls, "0")
					} else {
						w.asleep[m.Name] = append(w.asleep[m.Name], ls)
					}
				})
			}
		}
	}
	w.add(labels.FromStrings(sample.NameLabel, wire.SeriesTick, "job", "spark-observer"), "1")
}

// inUse are the values in use of labels that have many.
var inUse = map[string]string{"channel": "webhook", "type": "price"}

func used(ls labels.Labels) bool {
	for name, value := range inUse {
		if v := ls.Get(name); v != "" && v != value {
			return false
		}
	}
	return true
}

// wake adds the sleeping series that a scenario names by their channel or type.
func (w *world) wake(x seriesText) {
	if !slices.ContainsFunc(x.matchers, func(m *labels.Matcher) bool { return inUse[m.Name] != "" }) {
		return
	}
	name := x.name
	for _, end := range []string{"_bucket", "_count", "_sum"} {
		if short := strings.TrimSuffix(name, end); w.asleep[short] != nil {
			name = short
		}
	}
	w.asleep[name] = slices.DeleteFunc(w.asleep[name], func(ls labels.Labels) bool {
		if !matches(x.matchers, ls) {
			return false
		}
		w.add(ls, "0")
		return true
	})
}

// combinations lists the label sets of a metric; none for open labels.
func combinations(ls []wire.Label) [][]string {
	out := [][]string{nil}
	for _, l := range ls {
		var next [][]string
		for _, rest := range out {
			for _, v := range l.Values {
				next = append(next, append(slices.Clone(rest), l.Name, v))
			}
		}
		out = next
	}
	return out
}

// family yields the series of a metric: one, or those of a histogram.
func family(m wire.Metric, ls []string, yield func(labels.Labels)) {
	one := func(name string, more ...string) {
		yield(labels.FromStrings(append(append([]string{sample.NameLabel, name}, more...), ls...)...))
	}
	if m.Kind != wire.Histogram {
		one(m.Name)
		return
	}
	for _, b := range m.Buckets {
		one(m.Name+"_bucket", "le", strconv.FormatFloat(b, 'g', -1, 64))
	}
	one(m.Name+"_bucket", "le", "+Inf")
	one(m.Name + "_sum")
	one(m.Name + "_count")
}

func (w *world) add(ls labels.Labels, sequence string) *line {
	segments, err := parseSequence(sequence)
	if err != nil {
		panic("rehearse: " + err.Error()) // a constant of this package
	}
	l := &line{labels: ls, name: ls.Get(sample.NameLabel), base: cursor{segments: segments}}
	if ls.Get("job") == "spark" {
		l.instance = ls.Get("instance")
	}
	for _, end := range []string{"_total", "_bucket", "_count", "_sum"} {
		l.counter = l.counter || strings.HasSuffix(l.name, end)
	}
	w.lines = append(w.lines, l)
	w.byName[l.name] = append(w.byName[l.name], l)
	return l
}

// put lays a scenario's series over those that it matches; one that matches nothing
// and names all its labels is new.
func (w *world) put(x seriesText) error {
	w.wake(x)
	var hit []*line
	among := w.byName[x.name]
	if x.name == "" { // {__name__=~"…"}
		among = w.lines
	}
	for _, l := range among {
		if matches(x.matchers, l.labels) {
			hit = append(hit, l)
		}
	}
	if len(hit) == 0 {
		ls, err := x.labels()
		if err != nil {
			return err
		}
		hit = append(hit, w.add(ls, "0"))
		if x.timed { // before its time it does not exist
			hit[0].base = cursor{segments: []segment{{kind: missing, n: 1}}}
		}
	}
	for _, l := range hit {
		c := cursor{segments: x.values}
		switch {
		case !x.timed && !x.add:
			l.base = c
		default:
			l.extra = append(l.extra, &overlay{from: w.tickOf(x), values: c, add: x.add})
		}
		if x.saw != 0 {
			l.saw, l.period = x.saw, max(1, int(x.period/Every))
		}
		if x.noise != 0 {
			l.noise = x.noise
		}
	}
	return nil
}

func matches(ms []*labels.Matcher, ls labels.Labels) bool {
	for _, m := range ms {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// tickOf is the tick from which a series counts.
func (w *world) tickOf(x seriesText) int {
	if !x.timed {
		return 0
	}
	return max(0, int((x.at+w.scenario.Lead)/Every))
}

func (w *world) now() time.Time { return w.begin.Add(time.Duration(w.tick) * Every) }

// fate is what happens to an instance in a tick.
type fate struct {
	down, anew bool
	name       string // another one than before; "" otherwise
}

func (w *world) fates(since time.Duration) map[string]fate {
	out := make(map[string]fate, len(w.scenario.Instances))
	for _, in := range w.scenario.Instances {
		anew, renamed := w.scenario.restarted(in.Name, since)
		f := fate{down: w.scenario.down(in.Name, since), anew: anew}
		if renamed {
			w.names[in.Name]++
			f.name = in.Name + "." + strconv.Itoa(w.names[in.Name])
		}
		out[in.Name] = f
	}
	return out
}

// step writes the samples of the next tick. A tick that the observer misses is lived
// through all the same.
func (w *world) step(watched bool) (time.Time, error) {
	now := w.now()
	t := now.UnixMilli()
	fates := w.fates(now.Sub(w.begin) - w.scenario.Lead)
	for _, l := range w.lines {
		v, kind := l.value(w)
		if l.instance != "" {
			f := fates[l.instance]
			if f.anew {
				if err := l.anew(w.sink, f.name, now); err != nil {
					return now, err
				}
			}
			v, kind = w.onInstance(l, f, v, kind)
		}
		if !watched {
			continue
		}
		if err := l.write(w.sink, t, v, kind); err != nil {
			return now, err
		}
	}
	w.tick++
	if !watched {
		return now, nil
	}
	return now, w.sink.Commit()
}

// onInstance is what an instance's line shows of a value.
func (w *world) onInstance(l *line, f fate, v float64, kind segmentKind) (float64, segmentKind) {
	if l.counter {
		l.current = v
		v = max(0, v-l.from)
	}
	if l.name == startTime && l.born != 0 {
		v = l.born
	}
	v = w.seizure(l, v)
	switch {
	case f.down && l.name == wire.SeriesUp:
		v = 0
	case f.down:
		kind = stale
	}
	return v, kind
}

const startTime = "process_start_time_seconds"

// anew begins a line anew with its process, under another name if there is one.
func (l *line) anew(sink Sink, name string, now time.Time) error {
	if l.counter {
		l.from = l.current
	}
	l.born = float64(now.Unix())
	if name == "" {
		return nil
	}
	if err := l.write(sink, now.UnixMilli(), 0, stale); err != nil {
		return err
	}
	b := labels.NewBuilder(l.labels)
	l.labels = b.Set("instance", name).Labels()
	l.ref = sink.Series(l.labels)
	return nil
}

// write adds a sample, or one marker at the end of a run of samples.
func (l *line) write(sink Sink, t int64, v float64, kind segmentKind) error {
	if kind == values {
		l.known = true
		return sink.Add(l.ref, t, v)
	}
	if !l.known {
		return nil
	}
	l.known = false
	return sink.Add(l.ref, t, math.Float64frombits(value.StaleNaN))
}

func (l *line) value(w *world) (float64, segmentKind) {
	v, kind := l.base.next(true)
	for _, o := range l.extra {
		if w.tick < o.from {
			continue
		}
		x, k := o.values.next(false)
		switch {
		case o.add && kind == values && k == values:
			v += x
		case !o.add && !o.values.over:
			v, kind = x, k
		}
	}
	if kind == values && l.saw != 0 {
		v += l.saw * float64(w.tick%l.period) / float64(l.period)
	}
	if kind == values && l.noise != 0 {
		v += l.noise * w.rng.NormFloat64()
	}
	return v, kind
}

// seizure lets the instance that took the lock after a reset lead.
func (w *world) seizure(l *line, v float64) float64 {
	if !w.seized {
		if l.name == wire.MetricIsLeader && v == 1 {
			w.leader = l.instance
		}
		if l.name == wire.MetricLeaderEpoch {
			w.epoch = max(w.epoch, v)
		}
		return v
	}
	switch l.name {
	case wire.MetricIsLeader:
		if l.instance == w.leader {
			return 1
		}
		return 0
	case wire.MetricLeaderEpoch:
		return w.epoch
	}
	return v
}

// resetLock deletes the simulated lock if it is as it was seen, and lets the next
// executor take it: what the real action does by compare-and-set.
func (w *world) resetLock(holder string, epoch float64) error {
	if holder != w.leader || epoch != w.epoch {
		return fmt.Errorf("refused: the lock is held by %s in epoch %v, not by %s in epoch %v; nothing was deleted", w.leader, w.epoch, holder, epoch)
	}
	for _, in := range w.scenario.Instances {
		since := w.now().Sub(w.begin) - w.scenario.Lead
		if strings.Contains(in.Role, wire.RoleExecutor) && in.Name != holder && !w.scenario.down(in.Name, since) {
			w.leader, w.epoch, w.seized = in.Name, w.epoch+1, true
			return nil
		}
	}
	w.epoch++
	w.seized = true
	return nil
}
