package scrape

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/spark-ta/spark/core/safetext"
	"github.com/spark-ta/spark/core/wire"
)

// Limits of a target's labels.
const (
	maxTargetLabels = 16
	maxTargetValue  = 256 // bytes
)

// list brings the targets up to what discovery said, or leaves them when it failed.
func (s *Scraper) list(listed []Target, err error, at int64) {
	if err != nil {
		s.counts.undiscovered++
		if s.counts.discovery == "" {
			s.Log.Warn("targets not discovered, using the last list", "error", err)
		}
		s.counts.discovery = reason(err, discoverTimeout)
		return
	}
	if s.counts.discovery != "" {
		s.Log.Info("targets discovered again")
	}
	s.counts.discovery = ""
	accepted, ignored := accept(listed, or(s.MaxTargets, 256))
	if len(ignored) > 0 && !slices.Equal(ignored, s.counts.ignored) {
		s.Log.Warn("targets ignored", "count", len(ignored), "first", ignored[0])
	}
	s.counts.ignored = ignored

	owner := make(map[string]string, len(accepted)) // of an address
	current := make(map[string]*Target, len(accepted))
	for i := range accepted {
		t := &accepted[i]
		current[identity(t.Labels)] = t
		owner[t.URL] = cmp.Or(t.Labels["instance"], shown(t.URL))
	}
	s.targets = slices.DeleteFunc(s.targets, func(t *target) bool {
		if now, ok := current[t.identity]; ok {
			t.Target, t.vanished, t.heir = *now, 0, ""
			delete(current, t.identity)
			return false
		}
		if t.vanished == 0 {
			t.vanished = at
		}
		t.heir = owner[t.URL]
		if !t.Leaving && time.Duration(at-t.vanished)*time.Millisecond < or(s.Keep, 5*time.Minute) {
			return false
		}
		s.Log.Info("target dropped", "instance", t.name(), "leaving", t.Leaving)
		s.gone = append(s.gone, t)
		return true
	})
	for _, t := range accepted {
		if _, added := current[identity(t.Labels)]; added {
			s.targets = append(s.targets, newTarget(t))
		}
	}
}

// accept returns the targets that can be scraped, with clean labels, and says why
// the others cannot.
func accept(listed []Target, most int) (accepted []Target, ignored []string) {
	seen, addresses := map[string]bool{}, map[string]bool{}
	for _, t := range listed {
		t.Labels = cleanLabels(t.Labels)
		id := identity(t.Labels)
		why := ""
		switch err := acceptable(t); {
		case err != nil:
			why = err.Error()
		case seen[id]:
			why = "another target has the same labels"
		case addresses[t.URL]:
			why = "another target has the same address"
		case len(accepted) == most:
			why = fmt.Sprintf("there are more than %d targets", most)
		}
		if why != "" {
			if len(ignored) < 32 { // enough to understand what is wrong
				ignored = append(ignored, fmt.Sprintf("%s: %s", shown(t.URL), why))
			}
			continue
		}
		seen[id], addresses[t.URL] = true, true
		accepted = append(accepted, t)
	}
	return accepted, ignored
}

// cleanLabels returns the labels that have a value, safe to show and of a bearable
// length: instance ids come out of the registry.
func cleanLabels(in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for name, v := range in {
		if v = short(v, maxTargetValue); v != "" {
			out[name] = v
		}
	}
	return out
}

func acceptable(t Target) error {
	u, err := url.Parse(t.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("not an http or https address")
	}
	if len(t.Labels) == 0 || len(t.Labels) > maxTargetLabels {
		return fmt.Errorf("%d labels, 1 to %d are allowed", len(t.Labels), maxTargetLabels)
	}
	for name := range t.Labels {
		if !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, "__") || name == model.BucketLabel || name == model.QuantileLabel {
			return fmt.Errorf("label name %.40q is not allowed", name)
		}
	}
	return nil
}

// identity writes labels in one way.
func identity(ls map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(ls)) {
		fmt.Fprintf(&b, "%q=%q,", name, ls[name])
	}
	return b.String()
}

// shown is a URL without what may be secret in it.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "invalid address"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return short(u.String(), maxTargetValue)
}

// short is s, safe to show, of at most n bytes.
func short(s string, n int) string {
	s = string(safetext.Clean(s))
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}

func newTarget(t Target) *target {
	b := base(t.Labels)
	out := &target{
		Target: t, identity: identity(t.Labels), base: b,
		parser: expfmt.NewTextParser(model.LegacyValidation),
		alive:  named(b, wire.SeriesUp), duration: named(b, wire.SeriesScrapeTime), size: named(b, wire.SeriesScrapeSamples),
		series: map[string]*series{}, hashes: map[uint64]*series{},
	}
	for _, s := range out.rows() {
		out.hashes[s.hash] = s
	}
	return out
}

// base are labels without a name.
func base(ls map[string]string) labels.Labels { return labels.FromMap(ls) }

// named is one of the scraper's own series under the labels ls.
func named(ls labels.Labels, name string) *series {
	s := newSeries(labels.NewBuilder(ls).Set(model.MetricNameLabel, name).Labels(), false)
	s.own = true
	return s
}
