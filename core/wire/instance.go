package wire

// Health answers [PathHealth].
type Health struct {
	OK       bool         `json:"ok"`
	Uptime   float64      `json:"uptime"` // seconds
	Version  string       `json:"version"`
	Roles    []string     `json:"roles"`
	Instance string       `json:"instance"`
	Leader   LeaderHealth `json:"leader"`
	Redis    RedisHealth  `json:"redis"`
	Market   MarketHealth `json:"market"`
	// Scheduler is what is configured here and what the fleet agreed on.
	Scheduler SchedulerHealth `json:"scheduler"`

	Degraded bool     `json:"degraded,omitempty"`
	Draining bool     `json:"draining,omitempty"`
	Reasons  []string `json:"reasons,omitempty"`
}

// SchedulerHealth says whether alerts are evaluated.
type SchedulerHealth struct {
	Enabled bool  `json:"enabled"` // this instance may lead
	Paused  bool  `json:"paused"`  // nobody evaluates, fleet-wide
	Version int64 `json:"version"` // of the fleet's switches
}

// LeaderHealth says who leads, as far as the instance knows.
type LeaderHealth struct {
	IsLeader         bool   `json:"isLeader"`
	Holder           string `json:"holder"`
	Epoch            int64  `json:"epoch"`
	LeaseRemainingMS int64  `json:"leaseRemainingMs"`
}

// RedisHealth says how the store answers.
type RedisHealth struct {
	OK        bool    `json:"ok"`
	LatencyMS float64 `json:"latencyMs"`
	Embedded  bool    `json:"embedded,omitempty"`
}

// MarketHealth says how old the newest market data is; AgeMS is null while the
// instance follows no market.
type MarketHealth struct {
	OK    bool   `json:"ok"`
	AgeMS *int64 `json:"ageMs"`
}

// Ready answers [PathReady] and [PathLive].
type Ready struct {
	OK      bool     `json:"ok"`
	Reasons []string `json:"reasons,omitempty"`
}

// Fleet answers [PathFleet].
type Fleet struct {
	OK        bool       `json:"ok"`
	Now       int64      `json:"now"` // ms, by the observer's clock
	Instances []Instance `json:"instances"`
}

// Instance is one process of the fleet.
type Instance struct {
	ID             string            `json:"id"`
	Roles          []string          `json:"roles"`
	Version        string            `json:"version"`
	Up             bool              `json:"up"`
	Phase          string            `json:"phase"` // follower, leader, suspect, paused, disabled, draining, none
	Leader         bool              `json:"leader"`
	Epoch          int64             `json:"epoch"`
	StartedAt      int64             `json:"startedAt"` // ms
	AgeMS          int64             `json:"ageMs"`     // since it was last seen
	CPU            float64           `json:"cpu"`       // cores in use, mean since the last look
	RSSBytes       int64             `json:"rssBytes"`
	RedisLatencyMS float64           `json:"redisLatencyMs"`
	URLs           map[string]string `json:"urls"` // by role
	MetricsURL     string            `json:"metricsUrl"`
}

// Names of the events of [PathEvents].
const (
	EventFleet    = "fleet"
	EventLeader   = "leader"
	EventVerdict  = "verdict"
	EventIncident = "incident"
	EventAction   = "action"
	EventLog      = "log"
	EventAlert    = "alert"  // a trigger, with [AlertEvent]
	EventNotify   = "notify" // a delivery changed its state, with [NotifyEvent]
)

// LeaderEvent is the data of [EventLeader].
type LeaderEvent struct {
	Time   int64  `json:"time"`
	State  string `json:"state"` // became, lost, resigned
	Holder string `json:"holder"`
	Epoch  int64  `json:"epoch"`
	Reason string `json:"reason,omitempty"`
}

// NotifyEvent is the data of [EventNotify].
type NotifyEvent struct {
	Time    int64  `json:"time"`
	EventID string `json:"eventId"`
	AlertID string `json:"alertId"`
	Symbol  string `json:"symbol"`
	Channel string `json:"channel"`
	State   string `json:"state"`
	Attempt int    `json:"attempt"`
	Error   string `json:"error,omitempty"`
}

// LogRecord is one record of [PathLogs] and the data of [EventLog].
type LogRecord struct {
	Seq      int64             `json:"seq"`
	Time     int64             `json:"time"` // ms
	Level    string            `json:"level"`
	Message  string            `json:"msg"`
	Attrs    map[string]string `json:"attrs,omitempty"`
	Instance string            `json:"instance"`
}

// Logs answers [PathLogs].
type Logs struct {
	OK      bool        `json:"ok"`
	Records []LogRecord `json:"records"` // oldest first
}

// Messages of the log lines that operators search for.
const (
	LogBecameLeader      = "became leader"
	LogLostLeadership    = "lost leadership"
	LogResigned          = "resigned leadership"
	LogHeartbeat         = "heartbeat"
	LogPollOnce          = "pollOnce"
	LogTriggered         = "triggered"
	LogNotify            = "notify"
	LogEvaluateOne       = "evaluateOne"
	LogSchedulerDisabled = "scheduler disabled"
	LogSchedulerPaused   = "scheduler paused"
	LogSchedulerResumed  = "scheduler resumed"
)
