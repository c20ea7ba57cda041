// Package plan judges a deployment by a plan: checkpoints with checks, each of which
// ends in a verdict that can be believed.
//
// A plan is Markdown that people read ([Parse], [Lint]); it is carried out by a
// [Machine], a single-threaded discrete-event machine. Time is an input: Step(now,
// observations) and Do(now, act) return effects and the next time at which something
// is due. Inside there is no clock, no goroutine, no input and no output. The
// observer waits for that time; a rehearsal jumps to it. Both run the same machine.
//
// # Truth
//
// The machine changes its state only by records: each is first decided, then applied,
// and handed out as an [Append] effect for the journal. Applying the records of a
// journal to a new machine gives the same state ([Machine.Apply]), so that resuming,
// auditing, reporting and replaying are one mechanism. What is not recorded are
// streaks of samples and burn rates, which are felt anew after a restart; the restart
// itself is recorded as a gap, and the gap counts against coverage.
//
// # Verdicts
//
// Fail > unknown > pending > warn > waived > pass. Verdicts are counted, never
// averaged. No evidence is unknown, never a pass: an observation without series, with
// an error, with too little coverage or with too few events cannot pass.
//
// A point check holds for three consecutive samples inside its checkpoint's window; a
// pass on the third attempt says so and keeps the others. A window check is one
// number over the time since the previous checkpoint or over a stated window; it needs
// 95 % of the samples and its least number of events. An invariant is judged with
// every scrape from T0 to the end; a breach that has recovered stays a fail until it
// belongs to a closed incident or is waived. A trend is judged by core/stat and may
// only warn before T+24h.
//
// Machine verdicts are fixed at their own time, whoever is asleep: what people owe is
// escalated at the end of the grace, at twice and at four times the grace.
package plan

import (
	"time"

	"github.com/spark-ta/spark/core/stat"
)

// Verdict is what is known of a check.
type Verdict uint8

// The verdicts. The zero value is the honest one.
const (
	Pending Verdict = iota
	Pass
	Warn
	Fail
	NoData // written "unknown"
	Waived
	NotApplicable
)

var verdictWords = [...]string{"pending", "pass", "warn", "fail", "unknown", "waived", "not applicable"}

// String returns the verdict as a word.
func (v Verdict) String() string {
	if int(v) < len(verdictWords) {
		return verdictWords[v]
	}
	return "unknown"
}

// ParseVerdict is the inverse of String.
func ParseVerdict(s string) (Verdict, bool) {
	for i, w := range verdictWords {
		if w == s {
			return Verdict(i), true
		}
	}
	return NoData, false
}

// weight orders verdicts for aggregation.
func (v Verdict) weight() int {
	switch v {
	case Fail:
		return 6
	case NoData:
		return 5
	case Pending:
		return 4
	case Warn:
		return 3
	case Waived:
		return 2
	case Pass:
		return 1
	}
	return 0
}

// Worse returns the one that weighs more.
func (v Verdict) Worse(o Verdict) Verdict {
	if o.weight() > v.weight() {
		return o
	}
	return v
}

// Counts are numbers of checks by verdict, indexed by Verdict.
type Counts [len(verdictWords)]int

// Worst is the verdict of the whole: Pending when nothing was counted.
func (c Counts) Worst() Verdict {
	out, seen := NotApplicable, false
	for v, n := range c {
		if n > 0 {
			out, seen = out.Worse(Verdict(v)), true
		}
	}
	if !seen {
		return Pending
	}
	return out
}

// Kind says who can judge a check.
type Kind uint8

// The kinds of checks.
const (
	Manual  Kind = iota // a person ticks it
	Auto                // a source is asked
	Command             // shown to copy; asked when configuration names the command, else a person ticks it
)

// String returns the kind as a word.
func (k Kind) String() string { return [...]string{"manual", "auto", "command"}[k] }

// Mode says over which time a check is judged.
type Mode uint8

// The modes of checks.
const (
	Point     Mode = iota // now, three times in a row
	Window                // one number over a window
	Invariant             // with every scrape until the end
	Trend                 // a slope over a window
)

// String returns the mode as a word.
func (m Mode) String() string { return [...]string{"point", "window", "invariant", "trend"}[m] }

// The languages of fences, which are the kinds of sources.
const (
	SourcePromQL  = "promql"
	SourceSLO     = "slo"
	SourceTrend   = "trend"
	SourceHTTP    = "http"
	SourceRedis   = "redis"
	SourceLog     = "log"
	SourceGrafana = "grafana"
	SourceDocker  = "docker"
	SourceCanary  = "canary"
	SourceCommand = "command"
	SourceRun     = "run" // the run itself: incidents, user issues, waivers
)

// Sources lists the languages of fences.
func Sources() []string {
	return []string{
		SourcePromQL, SourceSLO, SourceTrend, SourceHTTP, SourceRedis, SourceLog, SourceGrafana, SourceDocker,
		SourceCanary, SourceCommand, SourceRun,
	}
}

// Profiles in which a system can be deployed.
func Profiles() []string { return []string{"all-in-one", "compose", "kubernetes"} }

// Plan is a parsed plan. It is not changed after parsing.
type Plan struct {
	Kind        string // hypercare-plan; go-live-plan ends in a go/no-go table
	ID          string
	Title       string
	Service     string
	Schema      int
	Digest      string // SHA-256 of the canonical parse, hex
	Text        string // the Markdown
	Params      map[string]Value
	SignOff     []string // roles that sign the exit, each with a key of its own
	Exit        Exit
	Checkpoints []*Checkpoint
}

// Exit holds the conditions under which a run may close.
type Exit struct {
	OpenWaivers int // at most
	UserIssues  int // fewer than
}

// Checkpoint is a time of the plan at which verdicts are due.
type Checkpoint struct {
	ID       string        // T+15m
	Title    string        // the heading's other words
	Offset   time.Duration // from T0
	Window   time.Duration // how long it stays open
	Grace    time.Duration // after it: the first call for people
	SignOff  []string      // roles whose word it needs
	Sections []*Section
	Line     int
}

// Checks lists the checks of all sections.
func (c *Checkpoint) Checks() []*Check {
	var out []*Check
	for _, s := range c.Sections {
		out = append(out, s.Checks...)
	}
	return out
}

// Section is a heading below a checkpoint.
type Section struct {
	Title    string
	Checks   []*Check
	Commands []string // shell blocks outside of items, to copy, as written
}

// Check is one item of a task list.
type Check struct {
	ID         string
	Text       string // the item's words without its codes
	Kind       Kind
	Mode       Mode
	Key        bool // fail and unknown block the exit
	Unwaivable bool
	Source     Source
	Digest     string        // SHA-256 of everything that can change its verdict, hex
	Runbook    string        // path of a linked runbook
	Role       string        // whose manual item it is
	Evidence   string        // "note": ticking needs one
	Due        time.Duration // of a manual item after the checkpoint opens; 0: the checkpoint's window
	Decide     *Proposal     // what to propose when the expectation is not met
	Incident   int           // level opened by a fail; a warn opens one level less, 0 none
	// NotIn gives for each profile in which the item cannot exist the reason.
	NotIn  map[string]string
	Line   int
	Column int
}

// Proposal is a tuning decision that a check proposes.
type Proposal struct {
	Parameter string // an environment variable, or a word
	From      string // the present value as far as the plan knows
	To        string
	Why       string
}

// Source is a fence: what is asked and what is expected.
type Source struct {
	Language     string
	Query        string // without the comment lines that are read below; parameters not yet replaced
	Expect       *Expect
	WarnIf       *Expect // expectation missed and this holds: only a warning
	FailIf       *Expect // expectation missed and this does not hold: only a warning
	FailAfter    []Patience
	UnknownAfter time.Duration // an invariant without data this long is unknown; 60 s by default
	Empty        Verdict       // of an answer without series; NoData unless the plan states "# empty: pass"
	Each         string        // http: targets.executors, targets.gateways, targets.observers, targets.all, or a URL's parameter
	Every        time.Duration // period of attempts and of an invariant; 15 s by default
	Window       time.Duration // 0: since the previous checkpoint
	Settle       int           // consecutive samples of a point check; 3 by default
	MinEvents    float64       // of a window or an SLO
	MinCoverage  float64       // 0 to 1; 0.95 by default
	Events       string        // PromQL that counts the events behind a window check; "" when they do not matter
	// Baseline counts, in the SpikeBase before the SpikeWindow, what the query counts in
	// a SpikeWindow: the check is about the worst spike in its window, with the fields
	// events, ratio and p.
	Baseline string
	Graph    string // PromQL that shows the check as a line; "" when the query itself does
	// Of an SLO.
	Good     string
	Total    string
	Show     string  // PromQL of the figure that people know, such as a P95
	ShowUnit string  // of that figure: s, %, …
	Target   float64 // 0 to 1
	Burn     bool    // watched by burn rates from T0
	// Of a command: the name under which configuration permits it; "" is for copying only.
	Run string
	// Of a trend.
	By      string // label that names a series
	Limit   float64
	Horizon time.Duration
}

// Patience says how long a breach may last before it counts.
type Patience struct {
	For time.Duration
	// When the clause applies: Op is "above", "below", "at" or empty for always.
	Op    string
	Value float64
}

// Value is a number with its unit, or a text.
type Value struct {
	Num    float64
	Text   string
	Unit   string // %, bytes, s, or empty
	IsText bool
}

// End is the offset of the last checkpoint.
func (p *Plan) End() time.Duration {
	if len(p.Checkpoints) == 0 {
		return 0
	}
	return p.Checkpoints[len(p.Checkpoints)-1].Offset
}

// Checks lists all checks in their order.
func (p *Plan) Checks() []*Check {
	var out []*Check
	for _, c := range p.Checkpoints {
		out = append(out, c.Checks()...)
	}
	return out
}

// Check returns the check with the id, or nil.
func (p *Plan) Check(id string) *Check {
	for _, c := range p.Checks() {
		if c.ID == id {
			return c
		}
	}
	return nil
}

// Observation is what a source answered for a check, before it is judged.
type Observation struct {
	Series   []Series // by name
	Coverage float64  // share of the samples that were expected, 0 to 1; below 0: does not apply
	Events   float64  // behind the answer; below 0: were not counted
	Err      string   // why there is no answer; everything else is then empty

	Good, Total float64  // of an SLO, over From to To
	Shown       *float64 // the figure that people know
	Tiers       []Tier   // of an SLO's burn rates

	Query  string // as asked, after substitution
	Engine string // who answered, with version
	From   time.Time
	To     time.Time
	Digest string // SHA-256 of the raw answer, hex
}

// Series is one line of an observation.
type Series struct {
	Name   string
	Fields map[string]Value
	Points []stat.Point // of a trend
	Starts []time.Time  // of a trend: restarts of the process in that time
}

// Tier is one pair of windows of a burn rate.
type Tier struct {
	Name                  string
	LongGood, LongTotal   float64
	ShortGood, ShortTotal float64
}

// The windows of a check with a baseline: what is compared, and with what.
const (
	SpikeWindow = 15 * time.Minute
	SpikeBase   = 6 * time.Hour
)

// FieldValue is the field of an answer that has but one number.
const FieldValue = "value"
