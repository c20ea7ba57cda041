package tui

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"

	"github.com/spark-ta/spark/tui/live"
	"github.com/spark-ta/spark/tui/ui"
)

// listener notes what the console asks of the world.
type listener struct {
	asked []live.Request
	saved []string
	err   string // the answer to every request, if not empty
	full  bool   // every file exists
}

func (l *listener) world() world {
	return world{
		do: func(r live.Request) live.Result {
			l.asked = append(l.asked, r)
			if l.err != "" {
				return live.Result{Gen: r.Gen, Label: r.Label, Err: ui.Say("%s", l.err)}
			}
			return answer(r)
		},
		show: func(bool) {}, graph: func(live.GraphOf) {},
		save: func(name string, _ []byte) error {
			if l.full {
				return &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
			}
			l.saved = append(l.saved, name)
			return nil
		},
	}
}

func (l *listener) changes() (labels []string) {
	for _, r := range l.asked {
		if r.Changes() {
			labels = append(labels, string(r.Label))
		}
	}
	return labels
}

// heard is a console whose wishes are noted.
func heard(t testing.TB, o Options, p *live.Picture) (*model, *listener) {
	t.Helper()
	o.NoColor = true
	m, l := console(t, 120, 40, o, nil), &listener{}
	w := l.world()
	m.hypercare.Do, m.hypercare.Save, m.hypercare.Show, m.hypercare.Graph = w.do, w.save, w.show, w.graph
	m.Update(p)
	return m, l
}

// letters are a text as keys.
func letters(s string) []string { return strings.Split(s, "") }

func TestDeeds(t *testing.T) {
	reason := letters("the receiver is in maintenance")
	tests := []struct {
		name     string
		picture  *live.Picture
		keys     []string
		question string // that is asked; empty: none
		change   string // that is made after it was answered
	}{
		{"tick", caring(), []string{"2", "G", "k", "t"}, "", "tick alert.create"},
		{"tick with evidence", caring(), slices.Concat([]string{"2", "left", "t"}, letters("all were there"), []string{"enter", "enter"}), "", "tick ops.briefed"},
		{"untick", caring(), slices.Concat([]string{"2", "left", "up", "U"}, letters("empty again"), []string{"enter"}), "Take back the tick of grafana.data", "untick grafana.data"},
		{"waive", caring(), slices.Concat([]string{"2", "down", "W"}, reason, []string{"enter", "l", "e", "a", "d", "enter", "4", "h", "enter"}), "Waive sse.slo, which is UNKN, until 07:04, in 4h00", "waive sse.slo"},
		{"note", caring(), []string{"2", "n", "x", "enter"}, "", "note log.fatal"},
		{"recheck on the page", caring(), []string{"2", "enter", "r", "x", "enter"}, "", "recheck log.fatal"},
		{"decide", caring(), []string{"2", "tab", "tab", "tab", "d", "enter", "enter", "enter", "enter", "enter"}, "", "decide ALERT_COOLDOWN_SEC"},
		{"user issue", caring(), slices.Concat([]string{"2", "u"}, letters("no volume"), []string{"enter", "enter"}), "", "record the user's issue"},
		{"open an incident", caring(), slices.Concat([]string{"2", "i"}, letters("disk full"), []string{"enter", "enter", "enter"}), "", "open an incident"},
		{"own", caring(), []string{"2", "tab", "tab", "o", "k", "enter"}, "", "own incident i1"},
		{"link", caring(), []string{"2", "tab", "tab", "l", "enter"}, "", "link incident i1"},
		{"close", caring(), slices.Concat([]string{"2", "tab", "tab", "C"}, letters("disk was emptied"), []string{"enter"}), "Close incident i1 of level 2 (node-c does not answer)?", "close incident i1"},
		{"sign a checkpoint", caring(), []string{"2", "O", "enter", "enter", "enter"}, "Sign T+15m as operations-lead: close", "sign off T+15m"},
		{"start", planned(), []string{"2", "S", "enter", "enter"}, "Start plan spark-48h (digest sha256:5f0e…) for version v1.4.0", "start the run of v1.4.0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, l := heard(t, Options{}, tt.picture)
			press(m, tt.keys...)
			if tt.question != "" {
				if got := text(m.View().Content); !strings.Contains(got, tt.question) || len(l.asked) > 0 {
					t.Fatalf("not asked %q before %v:\n%s", tt.question, l.changes(), got)
				}
				press(m, "enter") // the default is no
				if len(l.asked) > 0 {
					t.Fatalf("no was taken for yes: %v", l.changes())
				}
				press(m, "enter", "Y")
			}
			if got := l.changes(); len(got) != 1 || got[0] != tt.change {
				t.Errorf("asked for %q, want %q:\n%s", got, tt.change, text(m.View().Content))
			}
			if got := text(m.View().Content); !strings.Contains(got, "done: "+tt.change) {
				t.Errorf("the console does not say that it was done:\n%s", got)
			}
		})
	}
}

func TestWhatIsNotPossibleSaysWhy(t *testing.T) {
	tests := []struct {
		keys []string
		want string
	}{
		{[]string{"2", "W"}, "log.fatal cannot be waived"}, {[]string{"2", "t"}, "log.fatal is judged by the machine"}, {[]string{"2", "U"}, "log.fatal is not ticked"},
		{[]string{"2", "S"}, "a run is under way"}, {[]string{"2", "left", "O"}, "T+0 waits for nobody's word"}, {[]string{"2", "tab", "tab", "down", "C"}, "incident i0 is closed"},
		{[]string{"2", "down", "W", "x", "enter"}, "at least 20"}, {[]string{"2", "down", "W", "tab", "tab", "x", "enter"}, "reason is required"},
		{slices.Concat([]string{"2", "down", "W"}, slices.Repeat([]string{"x"}, 20), []string{"enter", "y", "enter", "-", "4", "h", "enter"}), "lies in the past"},
		{[]string{"2", "i", "tab", "tab", "x", "enter"}, "title is required"}, {[]string{"2", "right", "enter", "y"}, "there is no command to copy here"},
	}
	for _, tt := range tests {
		m, l := heard(t, Options{}, caring())
		press(m, tt.keys...)
		if got := text(m.View().Content); !strings.Contains(got, tt.want) || len(l.asked) > 0 {
			t.Errorf("%q does not say %q, asks for %v:\n%s", tt.keys, tt.want, l.changes(), got)
		}
	}
}

func TestARefusalCostsNoTyping(t *testing.T) {
	m, l := heard(t, Options{}, caring())
	l.err = "HTTP 409: another waiver is open"
	press(m, slices.Concat([]string{"2", "n"}, letters("a long remark"), []string{"enter"})...)
	if got := text(m.View().Content); !strings.Contains(got, "a long remark") || !strings.Contains(got, l.err) || m.context() != ui.InForm {
		t.Errorf("the form is gone, or does not say why:\n%s", got)
	}
	l.err = ""
	press(m, "enter")
	if got := l.changes(); len(got) != 2 || m.context() != ui.InChecks {
		t.Errorf("asked for %q, then in %s", got, m.context())
	}
}

func TestTheReportIsSavedOnce(t *testing.T) {
	m, l := heard(t, Options{}, caring())
	press(m, "2", "shift+tab", "s")
	l.full = true
	press(m, "enter")
	if got := text(m.View().Content); !strings.Contains(got, "it exists: choose another name") {
		t.Errorf("a file that exists:\n%s", got)
	}
	l.full = false
	press(m, "2", "enter")
	if want := []string{"hypercare-report.md2"}; !slices.Equal(l.saved, want) {
		t.Errorf("saved %q, want %q", l.saved, want)
	}
}

func TestOnlyTheOperatorCopies(t *testing.T) {
	m, _ := heard(t, Options{}, caring())
	press(m, "2", "enter")
	for key, want := range map[string]string{"y": `docker logs executor-1 | grep "fatal"`, "c": `sum(increase(log_records_total{level="error"}[15m]))`} {
		_, cmd := m.Update(keyPress(key))
		if cmd == nil {
			t.Fatalf("%q copies nothing", key)
		}
		if got := fmt.Sprint(cmd()); got != want {
			t.Errorf("%q copies %q, want %q", key, got, want)
		}
		if got := text(m.View().Content); !strings.Contains(got, "copied: "+want) {
			t.Errorf("%q does not say what it copied:\n%s", key, got)
		}
	}
}

// everyKey is every key of the table, every letter, and what forms want.
func everyKey() []string {
	keys := append(letters("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ123456789:/?!"), "enter", "Y", "tab", "esc", "Y", "enter")
	for _, b := range ui.Bindings() {
		keys = append(keys, b.Keys()...)
	}
	return slices.DeleteFunc(keys, func(k string) bool { return k == "q" || k == "ctrl+c" })
}

// TestReadOnlyReachesNoDeed walks at random through a read-only console, by every key,
// the palette and the wheel: nothing is changed. The same walk through another console
// changes things, so the walk leads where it could.
func TestReadOnlyReachesNoDeed(t *testing.T) {
	t.Parallel()
	keys := everyKey()
	for _, readOnly := range []bool{true, false} {
		changed, saved, told := 0, 0, 0
		for seed := range uint64(6) {
			r := rand.New(rand.NewPCG(seed, 9))
			picture := caring()
			if seed%3 == 2 {
				picture = planned()
			}
			m, l := heard(t, Options{ReadOnly: readOnly}, picture)
			for range 1500 {
				switch r.IntN(12) {
				case 0:
					press(m, "2")
				case 1:
					entries := m.entries()
					m.Update(entries[r.IntN(len(entries))].msg)
				case 2:
					m.Update(tea.MouseWheelMsg{Button: tea.MouseWheelDown})
				case 3:
					press(m, "enter")
				default:
					press(m, keys[r.IntN(len(keys))])
				}
				if in := m.context(); in == ui.InForm || in == ui.InQuestion {
					told++
				}
			}
			changed, saved = changed+len(l.changes()), saved+len(l.saved)
		}
		if got := changed+saved+told > 0; got == readOnly {
			t.Errorf("read-only %v: %d changes, %d files, %d times in a form", readOnly, changed, saved, told)
		}
		if !readOnly && changed == 0 {
			t.Error("the walk never gets through a form")
		}
	}
}

func TestReadOnlyNamesNoDeed(t *testing.T) {
	for _, s := range scenes() {
		if !strings.HasPrefix(s.name, "hypercare") {
			continue
		}
		for _, size := range sizes {
			got := text(frame(t, s, size[0], size[1], Options{NoColor: true, ReadOnly: true}))
			for _, deed := range []string{"S starts", "o takes", "l links", "d opens", "s saves", "t tick", "W waive", "O shows", "C close"} {
				if strings.Contains(got, deed) {
					t.Errorf("%s at %v names %q:\n%s", s.name, size, deed, got)
				}
			}
		}
	}
}

// TestTheChoiceFollowsTheRunUntilAKey: what is chosen by itself is what needs somebody;
// what the operator chose stays.
func TestTheChoiceFollowsTheRunUntilAKey(t *testing.T) {
	m, _ := heard(t, Options{}, caring())
	press(m, "2")
	next := caring()
	next.Care.Rev = 2
	run := *next.Care.Run
	run.Checkpoints = slices.Clone(run.Checkpoints)
	run.Checkpoints[1].State = "closed"
	next.Care.Run = &run
	chosen := func() string {
		for _, l := range strings.Split(text(m.View().Content), "\n") {
			if strings.HasPrefix(l, "▸") {
				return l[len("▸ "):][:5]
			}
		}
		return "none"
	}
	before := chosen()
	m.Update(next)
	if after := chosen(); before != "T+15m" || after != "T+0  " {
		t.Errorf("chosen by itself: %q, then %q", before, after)
	}
	press(m, "right")
	m.Update(caring())
	if got := chosen(); got != "T+15m" {
		t.Errorf("the operator chose T+15m, shown is %q", got)
	}
}
