package wire

// Kind is the kind of a metric.
type Kind uint8

// The kinds of metrics.
const (
	Counter Kind = iota + 1
	Gauge
	Histogram
)

// Metric names.
const (
	MetricAlertsActive          = "alerts_active"
	MetricAlertsCreated         = "alerts_created_total"
	MetricAlertsTriggered       = "alerts_triggered_total"
	MetricTriggeredBySeries     = "alerts_triggered_by_series_total"
	MetricAlertsSuppressed      = "alerts_suppressed_total"
	MetricAlertsErrors          = "alerts_errors_total"
	MetricEvalDuration          = "alert_eval_duration_seconds"
	MetricSweepDuration         = "scheduler_sweep_duration_seconds"
	MetricLastSuccess           = "scheduler_last_success_timestamp_seconds"
	MetricLeaderElected         = "leader_elected_total"
	MetricLeaderHeld            = "leader_held_seconds"
	MetricLeaderHeldTotal       = "leader_held_seconds_total"
	MetricIsLeader              = "leader_is_leader"
	MetricLeaderEpoch           = "leader_epoch"
	MetricNotificationsSent     = "notifications_sent_total"
	MetricNotificationsFailed   = "notifications_failed_total"
	MetricNotificationsSupp     = "notifications_suppressed_total"
	MetricNotificationsRetried  = "notifications_retried_total"
	MetricNotificationsDead     = "notifications_dead_total"
	MetricNotificationLatency   = "notification_latency_seconds"
	MetricNotificationsRepeated = "notifications_repeated_total"
	MetricOutboxDepth           = "outbox_depth"
	MetricOutboxOldest          = "outbox_oldest_seconds"
	MetricStreamsConnected      = "streams_connected"
	MetricStreamsOpened         = "streams_opened_total"
	MetricStreamsMessages       = "streams_messages_total"
	MetricStreamsErrors         = "streams_errors_total"
	MetricStreamDelivery        = "stream_delivery_seconds"
	MetricStreamsDropped        = "streams_dropped_clients_total"
	MetricUpstreamConnected     = "market_upstream_connected"
	MetricCandleAge             = "market_candle_age_seconds"
	MetricLogRecords            = "log_records_total"
	MetricReconnects            = "market_reconnects_total"
	MetricGapsFilled            = "market_gaps_filled_total"
	MetricRedisUp               = "redis_up"
	MetricRedisDuration         = "redis_command_duration_seconds"
	MetricCopilotAction         = "copilot_action_total"
	MetricBuildInfo             = "spark_build_info"
)

// Label is a label of a metric with the closed set of its values. A label without
// values is open: its metric has no line until something happened.
type Label struct {
	Name   string
	Values []string
}

// Metric describes one metric of the contract.
type Metric struct {
	Name    string
	Kind    Kind
	Help    string
	Labels  []Label
	Buckets []float64 // of a histogram, seconds
}

// AlertTypes are the values of the label "type": every alert type of the
// contract, whether or not one can be created yet.
func AlertTypes() []string {
	return []string{"bb_break", "fib_touch", "macd_cross", "stoch_cross", "price", "change", "rsi", "ma_cross", "volume_spike", "expr"}
}

// ChannelKinds are the values of the label "channel", configured or not.
func ChannelKinds() []string {
	return []string{"telegram", "webhook", "slack", "discord", "ntfy", "pushover", "gotify", "teams", "email"}
}

// Reasons why a match was suppressed.
const (
	SuppressCooldown  = "cooldown"
	SuppressPaused    = "paused"
	SuppressMuted     = "muted"
	SuppressDuplicate = "duplicate"
)

// Reasons why a notification failed.
const (
	FailTimeout     = "timeout"
	FailHTTP4xx     = "http_4xx"
	FailHTTP5xx     = "http_5xx"
	FailRateLimited = "rate_limited"
	FailAuth        = "auth"
	FailBlockedHost = "blocked_host"
	FailNetwork     = "network"
	FailOther       = "other"
)

// Reasons why a stream ended badly or was refused.
const (
	StreamSlow     = "slow_client"
	StreamLimit    = "limit"
	StreamUpstream = "upstream"
	StreamWrite    = "write"
	StreamBadInput = "bad_input"
)

// Metrics returns every metric of the contract. Each has a sample at zero from
// the first scrape, except those with an open label.
func Metrics() []Metric {
	types := Label{"type", AlertTypes()}
	channel := Label{"channel", ChannelKinds()}
	suppress := Label{"reason", []string{SuppressCooldown, SuppressPaused, SuppressMuted, SuppressDuplicate}}
	fail := Label{"reason", []string{FailTimeout, FailHTTP4xx, FailHTTP5xx, FailRateLimited, FailAuth, FailBlockedHost, FailNetwork, FailOther}}
	series := []Label{{"symbol", nil}, {"timeframe", nil}}
	seconds := []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30}
	return []Metric{
		{MetricAlertsActive, Gauge, "Alerts that are enabled, in the whole system.", nil, nil},
		{MetricAlertsCreated, Counter, "Alerts created through this instance.", []Label{types}, nil},
		{MetricAlertsTriggered, Counter, "Triggers decided by this instance.", []Label{types}, nil},
		{MetricTriggeredBySeries, Counter, "Triggers decided by this instance, by series.", series, nil},
		{MetricAlertsSuppressed, Counter, "Matches that did not become a trigger, at most one per alert and candle.", []Label{types, suppress}, nil},
		{MetricAlertsErrors, Counter, "Evaluations that could not be made.", []Label{types}, nil},
		{MetricEvalDuration, Histogram, "Time from a candle's arrival to the decision.", nil, seconds},
		{MetricSweepDuration, Histogram, "Duration of the periodic sweep.", nil, seconds},
		{MetricLastSuccess, Gauge, "Unix time of the last sweep that succeeded, 0 before the first.", nil, nil},
		{MetricLeaderElected, Counter, "Terms that this instance began.", nil, nil},
		{MetricLeaderHeld, Gauge, "Length of the present term, 0 for a follower.", nil, nil},
		{MetricLeaderHeldTotal, Counter, "Time that this instance has led, all terms together.", nil, nil},
		{MetricIsLeader, Gauge, "1 while this instance leads.", nil, nil},
		{MetricLeaderEpoch, Gauge, "Newest term that this instance knows of.", nil, nil},
		{MetricNotificationsSent, Counter, "Deliveries that the receiver accepted.", []Label{channel}, nil},
		{MetricNotificationsFailed, Counter, "Attempts that failed.", []Label{channel, fail}, nil},
		{MetricNotificationsSupp, Counter, "Notifications withheld on purpose.", []Label{channel, suppress}, nil},
		{MetricNotificationsRetried, Counter, "Attempts after the first.", []Label{channel}, nil},
		{MetricNotificationsDead, Counter, "Deliveries given up.", []Label{channel}, nil},
		{MetricNotificationLatency, Histogram, "Time from the trigger to the receiver's acceptance.", []Label{channel}, seconds},
		{MetricNotificationsRepeated, Counter, "Deliveries that the receiver may have got twice.", []Label{channel}, nil},
		{MetricOutboxDepth, Gauge, "Deliveries waiting or under way.", nil, nil},
		{MetricOutboxOldest, Gauge, "Age of the oldest delivery that waits.", nil, nil},
		{MetricStreamsConnected, Gauge, "Open streams without the observer's own.", nil, nil},
		{MetricStreamsOpened, Counter, "Streams opened.", nil, nil},
		{MetricStreamsMessages, Counter, "Candles written to streams.", []Label{{"kind", []string{"open", "closed"}}}, nil},
		{MetricStreamsErrors, Counter, "Streams refused or ended badly.", []Label{{"reason", []string{StreamSlow, StreamLimit, StreamUpstream, StreamWrite, StreamBadInput}}}, nil},
		{MetricStreamDelivery, Histogram, "Time from the exchange's frame to the write.", nil, seconds},
		{MetricStreamsDropped, Counter, "Clients cut off because they could not be written to.", nil, nil},
		{MetricUpstreamConnected, Gauge, "1 while connected to the exchange.", []Label{{"exchange", []string{"binance", "sim", "gateway"}}}, nil},
		{MetricCandleAge, Gauge, "Age of the newest update of a series.", series, nil},
		{MetricLogRecords, Counter, "Log records written.", []Label{{"level", []string{"debug", "info", "warn", "error"}}}, nil},
		{MetricReconnects, Counter, "Times that a connection to the exchange was made anew.", nil, nil},
		{MetricGapsFilled, Counter, "Holes in a series that were filled by REST.", nil, nil},
		{MetricRedisUp, Gauge, "1 while the store answers.", nil, nil},
		{MetricRedisDuration, Histogram, "Duration of a call to the store.", nil, seconds},
		{MetricCopilotAction, Counter, "Calls of the tools.", []Label{
			{"route", []string{"fibonacci_levels", "bollinger_bands", "macd", "stochastic", "rsi", "get_status", "get_metrics"}},
			{"result", []string{"ok", "error"}}}, nil},
		{MetricBuildInfo, Gauge, "1, with the build in the labels.", []Label{{"version", nil}, {"revision", nil}, {"goversion", nil}}, nil},
	}
}
