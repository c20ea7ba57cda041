package scrape_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spark-ta/spark/daemon/observe/scrape"
)

func TestATargetThatLeftIsDroppedAtOnce(t *testing.T) {
	s := newSink()
	a, b := newInstance(t, "g 1\n"), newInstance(t, "g 1\n")
	leaving, staying := a.target("a"), b.target("b")
	sc := newScraper(s)
	listed := []scrape.Target{leaving, staying}
	sc.Discover = func(context.Context) ([]scrape.Target, error) { return listed, nil }
	rounds(t, sc, 1,
		nil,
		func() { leaving.Leaving = true; listed = []scrape.Target{leaving, staying} },
		func() { listed = []scrape.Target{staying} },
		nil,
	)
	check(t, s, map[string]string{
		`{__name__="g", instance="a", job="spark"}`:                         "15:1 30:1 45:S",
		`{__name__="up", instance="a", job="spark"}`:                        "15:1 30:1 45:S",
		`{__name__="scrape_samples_scraped", instance="a", job="spark"}`:    "15:1 30:1 45:S",
		`{__name__="up", instance="b", job="spark"}`:                        "15:1 30:1 45:1 60:1",
		`{__name__="spark_observer_targets", instance="o", job="observer"}`: "15:2 30:2 45:1 60:1",
	})
}

func TestATargetThatVanishedStaysDown(t *testing.T) {
	s := newSink()
	a := newInstance(t, "g 1\n")
	sc := newScraper(s)
	sc.Keep = 30 * time.Second
	listed := []scrape.Target{a.target("a")}
	sc.Discover = func(context.Context) ([]scrape.Target, error) { return listed, nil }
	rounds(t, sc, 1,
		nil,
		func() { listed = nil; a.set("") },
		func() {
			if got := sc.State().Targets[0]; !got.Vanished || got.Up {
				t.Errorf("state = %+v, want vanished and down", got)
			}
		},
		nil, nil,
	)
	check(t, s, map[string]string{
		`{__name__="g", instance="a", job="spark"}`:  "15:1 30:S",
		`{__name__="up", instance="a", job="spark"}`: "15:1 30:0 45:0 60:S",
	})
}

// A process that crashed and came back at its old address under a new name must not
// lend its metrics to the dead one: that would be two leaders.
func TestTheHeirOfAnAddressIsNotTheDeadInstance(t *testing.T) {
	s := newSink()
	a := newInstance(t, "leader_is_leader 1\n")
	listed := []scrape.Target{a.target("old")}
	sc := newScraper(s)
	sc.Discover = func(context.Context) ([]scrape.Target, error) { return listed, nil }
	rounds(t, sc, 1, nil, func() { listed = []scrape.Target{a.target("new")} }, nil)
	check(t, s, map[string]string{
		`{__name__="leader_is_leader", instance="old", job="spark"}`: "15:1 30:S",
		`{__name__="up", instance="old", job="spark"}`:               "15:1 30:0 45:0",
		`{__name__="leader_is_leader", instance="new", job="spark"}`: "30:1 45:1",
	})
	if got := sc.State().Targets[0].Error; !strings.Contains(got, "new") {
		t.Errorf("reason = %q, want the heir's name", got)
	}
}

func TestTheLastListServesWhileDiscoveryFails(t *testing.T) {
	s := newSink()
	a := newInstance(t, "g 1\n")
	fail := false
	sc := newScraper(s)
	sc.Discover = func(context.Context) ([]scrape.Target, error) {
		if fail {
			return nil, errors.New("store away\x1b[0m")
		}
		return []scrape.Target{a.target("a")}, nil
	}
	rounds(t, sc, 1, nil, func() { fail = true }, nil)
	if st := sc.State(); st.NotFound != 2 || st.Discovery != "store away" || len(st.Targets) != 1 {
		t.Errorf("state = %+v, want two failures and one target", st)
	}
	rounds(t, sc, 4, func() { fail = false })
	if st := sc.State(); st.NotFound != 2 || st.Discovery != "" {
		t.Errorf("state = %+v, want it found again", st)
	}
	check(t, s, map[string]string{
		`{__name__="up", instance="a", job="spark"}`:                                         "15:1 30:1 45:1 60:1",
		`{__name__="spark_observer_discovery_failures_total", instance="o", job="observer"}`: "15:0 30:1 45:2 60:2",
	})
}

func TestWhatIsListedWrongly(t *testing.T) {
	s := newSink()
	a := newInstance(t, "g 1\n")
	ok := a.target("a")
	same := scrape.Target{URL: "http://127.0.0.1:1/", Labels: ok.Labels}
	twice := scrape.Target{URL: ok.URL, Labels: map[string]string{"instance": "b"}}
	sc := newScraper(s, ok, same, twice,
		scrape.Target{URL: "ftp://x/", Labels: map[string]string{"instance": "c"}},
		scrape.Target{URL: "http://u:hush@x/?k=hush"},
		scrape.Target{URL: "http://y/", Labels: map[string]string{"le": "1"}})
	rounds(t, sc, 1, nil)
	st := sc.State()
	want := []string{
		"http://127.0.0.1:1/: another target has the same labels",
		ok.URL + ": another target has the same address",
		"ftp://x/: not an http or https address",
		"http://x/: 0 labels, 1 to 16 are allowed",
		`http://y/: label name "le" is not allowed`,
	}
	if diff := cmp.Diff(want, st.Ignored); diff != "" || len(st.Targets) != 1 {
		t.Errorf("%d targets, ignored (-want +got):\n%s", len(st.Targets), diff)
	}
	sc.MaxTargets = 1
	sc.Discover = func(context.Context) ([]scrape.Target, error) {
		return []scrape.Target{ok, {URL: "http://z/", Labels: map[string]string{"instance": "z"}}}, nil
	}
	rounds(t, sc, 2, nil)
	if st := sc.State(); len(st.Ignored) != 1 || !strings.Contains(st.Ignored[0], "more than 1") {
		t.Errorf("ignored = %q, want the one over the limit", st.Ignored)
	}
}
