package wire

// Verdicts of checks, checkpoints and runs, as words. The order of weight is
// fail > unknown > pending > warn > waived > pass; "not applicable" weighs nothing.
const (
	VerdictPending       = "pending"
	VerdictPass          = "pass"
	VerdictWarn          = "warn"
	VerdictFail          = "fail"
	VerdictUnknown       = "unknown"
	VerdictWaived        = "waived"
	VerdictNotApplicable = "not applicable"
)

// States of a hypercare run and of its checkpoints.
const (
	RunRunning    = "running"
	RunExitReview = "exit-review"
	RunClosed     = "closed"

	CheckpointFuture       = "future"
	CheckpointOpen         = "open"
	CheckpointNeedsPeople  = "needs-people"
	CheckpointNeedsSignOff = "needs-signoff"
	CheckpointBlocked      = "blocked" // a key check fails or is unknown
	CheckpointClosed       = "closed"
)

// Verbs of [PathCheck] and [PathIncident].
const (
	VerbTick    = "tick"
	VerbUntick  = "untick"
	VerbWaive   = "waive"
	VerbRecheck = "recheck"
	VerbNote    = "note"

	VerbOwn   = "own"
	VerbLink  = "link"
	VerbClose = "close"
)

// Hypercare answers [PathHypercare]. Times are ms since 1970 by the run's clock,
// which a rehearsal moves faster than the wall's.
type Hypercare struct {
	OK       bool          `json:"ok"`
	Now      int64         `json:"now"`
	Plan     PlanInfo      `json:"plan"` // that would be started now
	Run      *HypercareRun `json:"run"`  // null before the first start
	Observer ObserverState `json:"observer"`
}

// PlanInfo says which plan an observer has.
type PlanInfo struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Digest      string `json:"digest"`
	Checkpoints int    `json:"checkpoints"`
	Checks      int    `json:"checks"`
	Error       string `json:"error,omitempty"` // why the file could not be used
}

// ObserverState says how well the observer itself sees.
type ObserverState struct {
	Source       string        `json:"source"`  // local, or the server asked instead
	Targets      []TargetState `json:"targets"` // by address
	Rounds       int64         `json:"rounds"`
	LastRoundAt  int64         `json:"lastRoundAt"`
	RoundMS      float64       `json:"roundMs"`
	Series       int           `json:"series"`
	Samples      int64         `json:"samples"`
	Bytes        int64         `json:"bytes"` // of samples on disk
	JournalSeq   int64         `json:"journalSeq"`
	JournalError string        `json:"journalError,omitempty"`
	Error        string        `json:"error,omitempty"` // the newest trouble of its own
}

// TargetState is one address that the observer scrapes.
type TargetState struct {
	URL      string `json:"url"`
	Instance string `json:"instance"`
	Up       bool   `json:"up"`
	AgeMS    int64  `json:"ageMs"` // since the newest good scrape; -1 when there was none
	Error    string `json:"error,omitempty"`
}

// HypercareRun is a plan under way, derived from the journal up to Seq.
type HypercareRun struct {
	ID          string       `json:"id"`
	PlanID      string       `json:"planId"`
	Title       string       `json:"title"`
	PlanDigest  string       `json:"planDigest"`
	Version     string       `json:"version"` // of the service that is judged
	Profile     string       `json:"profile"`
	Rehearsal   bool         `json:"rehearsal,omitempty"`
	Scenario    string       `json:"scenario,omitempty"` // of a rehearsal
	State       string       `json:"state"`
	T0          int64        `json:"t0"`
	At          int64        `json:"at"` // of this picture
	EndsAt      int64        `json:"endsAt"`
	Seq         int64        `json:"seq"` // of the newest journal record
	Head        string       `json:"head"`
	Verdict     string       `json:"verdict"`
	Counts      Counts       `json:"counts"`
	Checkpoints []Checkpoint `json:"checkpoints"`
	SLOs        []SLO        `json:"slos"`
	Incidents   []Incident   `json:"incidents"`
	Decisions   []Decision   `json:"decisions"`
	Escalations []Escalation `json:"escalations"`
	Gaps        []Gap        `json:"gaps"`
	Amendments  []Amendment  `json:"amendments"`
	UserIssues  []UserIssue  `json:"userIssues"`
	SignOffs    []SignOff    `json:"signOffs"`
	Exit        []Criterion  `json:"exit"`
	ClosedAt    int64        `json:"closedAt,omitempty"`
}

// Counts are numbers of checks by verdict.
type Counts struct {
	Pass          int `json:"pass"`
	Warn          int `json:"warn"`
	Fail          int `json:"fail"`
	Unknown       int `json:"unknown"`
	Pending       int `json:"pending"`
	Waived        int `json:"waived"`
	NotApplicable int `json:"notApplicable"`
}

// Checkpoint is a point of the plan, such as T+15m.
type Checkpoint struct {
	ID       string    `json:"id"`    // T+15m
	Title    string    `json:"title"` // First quarter hour
	OpensAt  int64     `json:"opensAt"`
	DueAt    int64     `json:"dueAt"`   // end of its window
	GraceAt  int64     `json:"graceAt"` // end of the grace; overdue from here
	State    string    `json:"state"`
	Late     bool      `json:"late,omitempty"`    // was or is past its due time with work left
	Overdue  int       `json:"overdue,omitempty"` // escalation level reached, 0 to 3
	ClosedAt int64     `json:"closedAt,omitempty"`
	Verdict  string    `json:"verdict"`
	Counts   Counts    `json:"counts"`
	SignOff  []string  `json:"signOff,omitempty"` // roles whose sign-off it needs
	Signed   []string  `json:"signed,omitempty"`
	Sections []Section `json:"sections"`
}

// Section is a heading of a checkpoint with its checks and the commands to copy.
type Section struct {
	Title    string   `json:"title"`
	Checks   []Check  `json:"checks"`
	Commands []string `json:"commands,omitempty"`
}

// Check is one item with its verdict and the evidence for it.
type Check struct {
	ID            string   `json:"id"`
	Text          string   `json:"text"` // as the plan words it
	Kind          string   `json:"kind"` // auto, manual, command
	Mode          string   `json:"mode"` // point, window, invariant, trend
	Source        string   `json:"source,omitempty"`
	Key           bool     `json:"key,omitempty"`
	Unwaivable    bool     `json:"unwaivable,omitempty"`
	NotApplicable string   `json:"notApplicable,omitempty"` // why it cannot exist in this profile
	Verdict       string   `json:"verdict"`
	Original      string   `json:"original,omitempty"`  // verdict behind a waiver
	Recovered     bool     `json:"recovered,omitempty"` // failed before, good now
	Thin          bool     `json:"thin,omitempty"`      // too few events to be sure
	Fixed         bool     `json:"fixed,omitempty"`     // judged for good, short of a re-check
	Sentence      string   `json:"sentence"`
	Value         string   `json:"value,omitempty"`
	Threshold     string   `json:"threshold,omitempty"`
	N             *float64 `json:"n,omitempty"`        // events or samples behind the value
	Low           *float64 `json:"low,omitempty"`      // interval of the value
	High          *float64 `json:"high,omitempty"`     //
	Coverage      *float64 `json:"coverage,omitempty"` // 0 to 1
	From          int64    `json:"from,omitempty"`     // window of the evidence
	To            int64    `json:"to,omitempty"`
	Query         string   `json:"query,omitempty"` // after substitution; copyable
	Graph         string   `json:"graph,omitempty"` // PromQL of a line that shows it
	Engine        string   `json:"engine,omitempty"`
	Digest        string   `json:"digest,omitempty"` // of the raw data
	Command       string   `json:"command,omitempty"`
	Role          string   `json:"role,omitempty"`     // whose manual item it is
	Evidence      string   `json:"evidence,omitempty"` // what ticking needs: note
	Runbook       string   `json:"runbook,omitempty"`
	DueAt         int64    `json:"dueAt,omitempty"`

	JudgedAt int64     `json:"judgedAt,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"` // oldest first
	Rechecks int       `json:"rechecks,omitempty"`
	Flag     string    `json:"flag,omitempty"` // "retrying until green"
	Episodes []Episode `json:"episodes,omitempty"`
	Notes    []Note    `json:"notes,omitempty"`
	Waiver   *Waiver   `json:"waiver,omitempty"`
	Tick     *Note     `json:"tick,omitempty"`
}

// Attempt is one evaluation that led to a verdict.
type Attempt struct {
	N        int    `json:"n"`
	At       int64  `json:"at"`
	Verdict  string `json:"verdict"`
	Sentence string `json:"sentence"`
	Reason   string `json:"reason,omitempty"` // of a re-check
}

// Episode is a breach of an invariant; To is 0 while it lasts.
type Episode struct {
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	Verdict  string `json:"verdict"`
	Sentence string `json:"sentence"`
	Incident string `json:"incident,omitempty"`
}

// Note is a remark of a person.
type Note struct {
	At   int64  `json:"at"`
	Who  string `json:"who"`
	Role string `json:"role,omitempty"`
	Text string `json:"text"`
}

// Waiver excuses a check until it expires.
type Waiver struct {
	At       int64  `json:"at"`
	Who      string `json:"who"`
	Role     string `json:"role"`
	Reason   string `json:"reason"`
	Expires  int64  `json:"expires"`
	Original string `json:"original"`
}

// SLO is an objective with its error budget for the whole run.
type SLO struct {
	ID        string   `json:"id"` // of its check
	Title     string   `json:"title"`
	Target    float64  `json:"target"` // share of good events, 0 to 1
	Value     *float64 `json:"value"`  // since T0; null when nothing was measured
	Events    float64  `json:"events"`
	Used      *float64 `json:"used"`     // share of the budget
	Forecast  *float64 `json:"forecast"` // share of the budget at the end of the run
	Coverage  *float64 `json:"coverage,omitempty"`
	AllowedTo *float64 `json:"allowedTo,omitempty"` // burn that keeps the rest inside the budget
	At        int64    `json:"at"`
	Burns     []Burn   `json:"burns"`
	Verdict   string   `json:"verdict"`
	Show      string   `json:"show,omitempty"` // the figure people know, such as "P95 0.4 s"
}

// Burn is one tier of a burn-rate alert.
type Burn struct {
	Tier   string   `json:"tier"`
	LongMS int64    `json:"longMs"`
	Rate   *float64 `json:"rate"` // over the long window; null when nothing happened in it
	Limit  float64  `json:"limit"`
	Firing bool     `json:"firing,omitempty"`
}

// Incident is of level 1 (warning) to 3 (emergency).
type Incident struct {
	ID       string   `json:"id"`
	Level    int      `json:"level"`
	Title    string   `json:"title"`
	OpenedAt int64    `json:"openedAt"`
	OpenedBy string   `json:"openedBy"`
	Owner    string   `json:"owner,omitempty"`
	Checks   []string `json:"checks,omitempty"`
	Notes    []Note   `json:"notes,omitempty"`
	ClosedAt int64    `json:"closedAt,omitempty"`
	ClosedBy string   `json:"closedBy,omitempty"`
	Result   string   `json:"result,omitempty"`
}

// Decision is a tuning decision: proposed by a check, or taken by a person.
type Decision struct {
	ID        string `json:"id"`
	Check     string `json:"check,omitempty"`
	State     string `json:"state"` // proposed, decided, reviewed
	At        int64  `json:"at"`
	Who       string `json:"who,omitempty"`
	Parameter string `json:"parameter"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
	Why       string `json:"why"`
	Figures   string `json:"figures,omitempty"` // what was measured when it was proposed
	ReviewAt  int64  `json:"reviewAt,omitempty"`
	Effect    string `json:"effect,omitempty"` // what was measured afterwards
	EffectAt  int64  `json:"effectAt,omitempty"`
}

// Escalation is a call for people who are late.
type Escalation struct {
	At         int64  `json:"at"`
	Level      int    `json:"level"`
	Checkpoint string `json:"checkpoint"`
	Text       string `json:"text"`
}

// Gap is a time in which the observer did not look.
type Gap struct {
	From int64  `json:"from"`
	To   int64  `json:"to"`
	What string `json:"what"`
}

// Amendment is a change of the plan during the run.
type Amendment struct {
	At      int64    `json:"at"`
	Digest  string   `json:"digest"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	Changed []string `json:"changed,omitempty"`
	Diff    string   `json:"diff,omitempty"`
}

// UserIssue is an issue that a user reported.
type UserIssue struct {
	At    int64  `json:"at"`
	Who   string `json:"who"`
	Text  string `json:"text"`
	Minor bool   `json:"minor"`
}

// SignOff is a signature under the closing statement, or a role's word under a
// checkpoint.
type SignOff struct {
	At         int64  `json:"at"`
	Checkpoint string `json:"checkpoint,omitempty"` // empty: the exit
	Role       string `json:"role"`
	Who        string `json:"who"`
	Key        string `json:"key,omitempty"`
	Decision   string `json:"decision"` // close, no-go
	Comment    string `json:"comment,omitempty"`
	Signature  string `json:"signature,omitempty"` // the signed note
	Stale      bool   `json:"stale,omitempty"`     // something happened after it
}

// Criterion is one condition of the exit.
type Criterion struct {
	Title string `json:"title"`
	Met   bool   `json:"met"`
	Text  string `json:"text"`
}

// Start is the body of [PathPlanStart].
type Start struct {
	Version   string `json:"version"`             // of the service that is judged
	StartedAt int64  `json:"startedAt,omitempty"` // T0, ms; 0 is now
	Plan      string `json:"plan,omitempty"`      // id of a shipped plan; the configured one by default
	Profile   string `json:"profile,omitempty"`   // all-in-one, compose, kubernetes; found out by default
}

// CheckAct is the body of [PathCheck].
type CheckAct struct {
	Reason   string `json:"reason,omitempty"`
	Role     string `json:"role,omitempty"`
	Expires  int64  `json:"expires,omitempty"` // ms
	Evidence string `json:"evidence,omitempty"`
}

// IncidentAct is the body of [PathIncidents] (Level, Title, Checks) and [PathIncident].
type IncidentAct struct {
	Level  int      `json:"level,omitempty"`
	Title  string   `json:"title,omitempty"`
	Checks []string `json:"checks,omitempty"`
	Check  string   `json:"check,omitempty"`
	Owner  string   `json:"owner,omitempty"`
	Result string   `json:"result,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// DecisionAct is the body of [PathDecisions].
type DecisionAct struct {
	ID        string `json:"id,omitempty"` // of a proposed one
	Parameter string `json:"parameter"`
	From      string `json:"from"`
	To        string `json:"to"`
	Why       string `json:"why"`
	ReviewAt  int64  `json:"reviewAt,omitempty"`
}

// IssueAct is the body of [PathUserIssues].
type IssueAct struct {
	Text  string `json:"text"`
	Minor bool   `json:"minor"`
}

// SignAct is the body of [PathSignOff].
type SignAct struct {
	Role       string `json:"role"`
	Decision   string `json:"decision"`
	Comment    string `json:"comment,omitempty"`
	Signature  string `json:"signature,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// Closing answers [PathClosing]: the bytes to sign, and what stands under them.
type Closing struct {
	OK        bool        `json:"ok"`
	Statement string      `json:"statement"`
	Note      string      `json:"note,omitempty"` // with the signatures so far
	Seq       int64       `json:"seq"`
	Head      string      `json:"head"`
	Ready     bool        `json:"ready"` // nothing but signatures is missing
	Exit      []Criterion `json:"exit"`
}

// HypercareAnswer answers every changing call: the run afterwards.
type HypercareAnswer struct {
	OK  bool          `json:"ok"`
	ID  string        `json:"id,omitempty"` // of what was made
	Run *HypercareRun `json:"run"`
}

// Coverage answers [PathCoverage]: which scenario has shown each check failing and
// unknown.
type Coverage struct {
	OK     bool            `json:"ok"`
	Checks []CheckCoverage `json:"checks"`
}

// CheckCoverage lists scenarios by their ids.
type CheckCoverage struct {
	ID      string   `json:"id"`
	Key     bool     `json:"key,omitempty"`
	Kind    string   `json:"kind"`
	Pass    []string `json:"pass,omitempty"`
	Fail    []string `json:"fail,omitempty"` // or warn, of checks that can do no worse
	Unknown []string `json:"unknown,omitempty"`
}

// WhatIf is the body of [PathWhatIf].
type WhatIf struct {
	Plan string `json:"plan"` // Markdown
}

// WhatIfAnswer lists the verdicts that a changed plan would give.
type WhatIfAnswer struct {
	OK      bool            `json:"ok"`
	Checks  int             `json:"checks"`
	Changes []VerdictChange `json:"changes"`
}

// VerdictChange is one verdict that differs; Was or Would is empty for a check that
// only the other plan has.
type VerdictChange struct {
	Check    string `json:"check"`
	Was      string `json:"was"`
	Would    string `json:"would"`
	Sentence string `json:"sentence"`
}

// VerdictEvent is the data of [EventVerdict].
type VerdictEvent struct {
	Time     int64  `json:"time"`
	Check    string `json:"check"`
	Text     string `json:"text"`
	Verdict  string `json:"verdict"`
	Was      string `json:"was"`
	Sentence string `json:"sentence"`
}

// IncidentEvent is the data of [EventIncident].
type IncidentEvent struct {
	Time  int64  `json:"time"`
	ID    string `json:"id"`
	Level int    `json:"level"`
	Title string `json:"title"`
	State string `json:"state"` // opened, owned, linked, closed, escalated
}

// JournalRecord is one record of [PathAudit], as it stands in the chain.
type JournalRecord struct {
	Seq  int64  `json:"seq"`
	At   int64  `json:"at"`
	Who  string `json:"who"`
	Role string `json:"role"`
	Kind string `json:"kind"`
	Body any    `json:"body"`
	Hash string `json:"hash"`
}

// Audit answers [PathAudit].
type Audit struct {
	OK      bool            `json:"ok"`
	Records []JournalRecord `json:"records"` // oldest first
	Next    int64           `json:"next,omitempty"`
}

// AuditVerify answers [PathAuditVerify].
type AuditVerify struct {
	OK    bool   `json:"ok"`
	Seq   int64  `json:"seq"`
	Head  string `json:"head"`
	Error string `json:"error,omitempty"` // names the first bad record
}

// OperatorKey is a person's public key with the roles it may act in.
type OperatorKey struct {
	Name  string   `json:"name"`
	Key   string   `json:"key"` // verifier, as in golang.org/x/mod/sumdb/note
	Roles []string `json:"roles"`
}

// Keys answers [PathKeys].
type Keys struct {
	OK   bool          `json:"ok"`
	Keys []OperatorKey `json:"keys"`
}

// Series that the observer itself records beside those of the instances.
const (
	SeriesUp            = "up"
	SeriesScrapeTime    = "scrape_duration_seconds"
	SeriesScrapeSamples = "scrape_samples_scraped"
	SeriesTick          = "spark_observer_tick"    // 1 for each round of scrapes
	SeriesTargets       = "spark_observer_targets" // addresses in that round
	SeriesRound         = "spark_observer_round_seconds"
	SeriesCanary        = "spark_canary_stream"                     // by gateway: 1 while its stream had a frame or heartbeat in the last 20 s
	SeriesProbe         = "spark_probe"                             // of a rehearsal: by check, target and field what a source answers
	SeriesLateRounds    = "spark_observer_late_rounds_total"        // rounds that began over half an interval late
	SeriesUndiscovered  = "spark_observer_discovery_failures_total" // rounds that used an old list of targets
)

// Recorded lists those series.
func Recorded() []string {
	return []string{
		SeriesUp, SeriesScrapeTime, SeriesScrapeSamples, SeriesTick, SeriesTargets, SeriesRound, SeriesCanary, SeriesProbe,
		SeriesLateRounds, SeriesUndiscovered,
	}
}

// HeaderCanary marks the observer's own stream, which is counted nowhere.
const HeaderCanary = "Spark-Canary"
