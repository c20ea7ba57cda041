package scrape

import (
	"cmp"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/labels"
)

// target is what is remembered of a target from round to round. A fetch uses parser,
// series, hashes and pages; no two run for one target at a time.
type target struct {
	Target
	identity string
	base     labels.Labels
	parser   expfmt.TextParser
	vanished int64  // when it was first not listed, ms; 0 while it is
	heir     string // who has the address of a vanished target now, "" for nobody

	alive, duration, size *series

	series map[string]*series // by how they stand on the page
	hashes map[uint64]*series // by labels: one series may be spelt in several ways
	pages  uint64             // pages read

	rounds  int
	up      bool // the last page was taken
	reason  string
	took    time.Duration
	samples int
}

// series is a series of a target.
type series struct {
	labels  labels.Labels
	hash    uint64
	id      uint64 // in the sink, once known
	known   bool
	counter bool
	own     bool   // written by the scraper itself
	page    uint64 // the last page that had it
	live    bool   // its newest sample is no stale marker
	staleAt int64  // time of its last stale marker, ms
}

func newSeries(ls labels.Labels, counter bool) *series {
	return &series{labels: ls, hash: ls.Hash(), counter: counter}
}

func (t *target) rows() []*series { return []*series{t.alive, t.duration, t.size} }

func (t *target) name() string { return cmp.Or(t.Labels["instance"], shown(t.URL)) }

// take writes a page, or that there is none. previous is the time of the round
// before, ms.
func (t *target) take(w *writer, p page, previous int64) {
	t.rounds++
	wasUp := t.up
	t.up, t.reason, t.took, t.samples = p.err == nil, "", p.took, len(p.points)
	up := 1.0
	if p.err != nil {
		up, t.reason = 0, p.err.Error()
	}
	w.put(t.alive, up)
	w.put(t.duration, p.took.Seconds())
	w.put(t.size, float64(len(p.points)))
	if !t.up {
		t.silence(w)
		return
	}
	for _, pt := range p.points {
		s := pt.series
		if !s.live && s.counter && wasUp {
			t.birth(w, s, previous)
		}
		s.live = true
		w.put(s, pt.value)
	}
	t.sweep(w)
}

// birth writes the zero with which a counter began: at the previous round, which is
// known to have been without it.
func (t *target) birth(w *writer, s *series, previous int64) {
	at := previous
	if s.staleAt == previous {
		at++ // behind the marker of its former life
	}
	if at < w.at {
		w.putAt(s, at, 0)
	}
}

// sweep marks the series that were not on the page. They are forgotten a round
// later, because until then a birth has to stand behind the marker.
func (t *target) sweep(w *writer) {
	for key, s := range t.series {
		switch {
		case s.page == t.pages:
		case s.live:
			s.stop(w)
		case s.staleAt < w.at:
			delete(t.series, key)
			delete(t.hashes, s.hash)
		}
	}
}

// silence marks all series of a target that failed. They are not forgotten, because
// most will be back; what only a page that was not taken had is, because a target
// that sends other garbage every time would fill the memory with it.
func (t *target) silence(w *writer) {
	for key, s := range t.series {
		switch {
		case s.live:
			s.stop(w)
		case s.staleAt == 0:
			delete(t.series, key)
			if !s.own {
				delete(t.hashes, s.hash)
			}
		}
	}
}

// leave marks everything of a target that is dropped.
func (t *target) leave(w *writer) {
	t.silence(w)
	for _, s := range t.rows() {
		if s.known {
			s.stop(w)
		}
	}
}

// stop writes a stale marker.
func (s *series) stop(w *writer) {
	w.put(s, stale())
	s.live, s.staleAt = false, w.at
}
