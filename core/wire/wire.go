// Package wire names whatever crosses a process boundary: HTTP paths and
// headers, JSON bodies, stream messages, event names, metric names and
// environment variables. Both programs, the dashboards, the plans and the
// runbooks refer to these names; repotest checks that documents use none that is
// missing here.
//
// Domain types carry no tags: the functions From… convert. A field that the
// contract shows as "ms or null" is a *int64 here.
//
// Everything the outside contract fixes is listed, also what no code serves yet;
// an endpoint that is not served answers 404.
package wire

// Ports on which the roles listen unless configured otherwise.
const (
	PortExecutor = 4001
	PortGateway  = 3000
	PortObserver = 4010
)

// Role names.
const (
	RoleExecutor = "executor"
	RoleGateway  = "gateway"
	RoleObserver = "observer"
)

// Roles returns the roles in the order of the contract.
func Roles() []string { return []string{RoleExecutor, RoleGateway, RoleObserver} }

// Paths that every role serves.
const (
	PathHealth  = "/health"
	PathLive    = "/livez"
	PathReady   = "/readyz"
	PathMetrics = "/metrics"
	PathLogs    = "/logs"
)

// Paths of the executor.
const (
	PathAlertsCreate      = "/alerts/create"
	PathAlertsList        = "/alerts/list"
	PathAlertsGet         = "/alerts/get"
	PathAlertsUpdate      = "/alerts/update"
	PathAlertsEnable      = "/alerts/enable"
	PathAlertsDisable     = "/alerts/disable"
	PathAlertsDelete      = "/alerts/delete"
	PathAlertsBulkEnable  = "/alerts/bulk-enable"
	PathAlertsBulkDisable = "/alerts/bulk-disable"
	PathAlertsBulkDelete  = "/alerts/bulk-delete"
	PathAlertsClone       = "/alerts/clone"
	PathAlertsExport      = "/alerts/export"
	PathAlertsImport      = "/alerts/import"
	PathAlertsTest        = "/alerts/test"
	PathAlertsBacktest    = "/alerts/backtest"
	PathAlertsHistory     = "/alerts/history"
	PathAlertsAck         = "/alerts/ack"
	PathAlertsExplain     = "/alerts/explain"

	PathToolsFibonacci  = "/tools/fibonacci_levels"
	PathToolsBollinger  = "/tools/bollinger_bands"
	PathToolsMACD       = "/tools/macd"
	PathToolsStochastic = "/tools/stochastic"
	PathToolsRSI        = "/tools/rsi"
	PathToolsStatus     = "/tools/get_status"
	PathToolsMetrics    = "/tools/get_metrics"

	PathNotifyTest   = "/notify/test"
	PathNotifyOutbox = "/notify/outbox"
	PathNotifyDead   = "/notify/dead"
	PathNotifyReplay = "/notify/replay"

	PathScheduler       = "/scheduler"
	PathSchedulerPause  = "/scheduler/pause"
	PathSchedulerResume = "/scheduler/resume"
	PathSchedulerResign = "/scheduler/resign"
)

// Paths of the gateway. PathProxyAlerts is followed by the rest of an executor's
// path.
const (
	PathCandles       = "/api/marketdata/candles"
	PathStream        = "/api/marketdata/stream"
	PathPageAlerts    = "/alerts"
	PathPageTechnical = "/technical-analysis"
	PathProxyAlerts   = "/api/alerts/"
)

// Paths of the observer. Names in braces are patterns of net/http.
const (
	PathQuery       = "/api/v1/query"
	PathQueryRange  = "/api/v1/query_range"
	PathSeries      = "/api/v1/series"
	PathLabels      = "/api/v1/labels"
	PathLabelValues = "/api/v1/label/{name}/values"
	PathFleet       = "/api/fleet"
	PathHypercare   = "/api/hypercare"
	PathCoverage    = "/api/hypercare/coverage"
	PathPlanStart   = "/api/hypercare/start"
	PathWhatIf      = "/api/hypercare/whatif"
	PathCheck       = "/api/hypercare/checks/{id}/{verb}"
	PathDecisions   = "/api/hypercare/decisions"
	PathUserIssues  = "/api/hypercare/userissues"
	PathClosing     = "/api/hypercare/closing"
	PathSignOff     = "/api/hypercare/signoff"
	PathReport      = "/api/hypercare/report"
	PathIncidents   = "/api/incidents"
	PathIncident    = "/api/incidents/{id}/{verb}"
	PathLock        = "/api/lock"
	PathLockReset   = "/api/lock/reset"
	PathActions     = "/api/actions"
	PathActionVerb  = "/api/actions/{name}/preview"
	PathActionRun   = "/api/actionruns/{id}/{verb}"
	PathRunbooks    = "/api/runbooks"
	PathRunbookRuns = "/api/runbooks/{id}/runs"
	PathRunStep     = "/api/runs/{id}/steps/{n}"
	PathKeys        = "/api/keys"
	PathAudit       = "/api/audit"
	PathAuditVerify = "/api/audit/verify"
	PathEvents      = "/api/events"
)

// Headers of the contract. The X-Streams names are spelled exactly so.
const (
	HeaderCache            = "X-Cache"
	HeaderStreamsConnected = "X-Streams-Connected"
	HeaderStreamsMessages  = "X-Streams-Messages"
	HeaderStreamsErrors    = "X-Streams-Errors"
	HeaderLastEventID      = "Last-Event-ID"
	HeaderSignature        = "Spark-Signature"
	HeaderRequestID        = "X-Request-Id"
)

// Values of the X-Cache header.
const (
	CacheHit   = "HIT"
	CacheMiss  = "MISS"
	CacheStale = "STALE"
)

// Code is the closed set of error codes.
type Code string

// Error codes with their HTTP status in [Code.Status].
const (
	CodeInvalidInput Code = "INVALID_INPUT"
	CodeInvalidSym   Code = "INVALID_SYM"
	CodeNotFound     Code = "NOT_FOUND"
	CodeConflict     Code = "CONFLICT"
	CodeRateLimit    Code = "RATE_LIMIT"
	CodeUnauthorized Code = "UNAUTHORIZED"
	CodeForbidden    Code = "FORBIDDEN"
	CodeUnavailable  Code = "UNAVAILABLE"
	CodeInternal     Code = "INTERNAL_ERROR"
)

// Status returns the HTTP status that goes with the code.
func (c Code) Status() int {
	switch c {
	case CodeInvalidInput, CodeInvalidSym:
		return 400
	case CodeNotFound:
		return 404
	case CodeConflict:
		return 409
	case CodeRateLimit:
		return 429
	case CodeUnauthorized:
		return 401
	case CodeForbidden:
		return 403
	case CodeUnavailable:
		return 503
	default:
		return 500
	}
}

// Error is the body of every refusal.
type Error struct {
	Error      string `json:"error"`
	Code       Code   `json:"code"`
	Field      string `json:"field,omitempty"`
	RetryAfter int    `json:"retryAfter,omitempty"` // seconds
}
