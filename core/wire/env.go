package wire

// Environment variables of the daemon. Flags mirror them: REDIS_URL is
// --redis-url.
const (
	EnvRoles             = "SPARK_ROLES"
	EnvExecutorPort      = "EXECUTOR_PORT"
	EnvWebPort           = "WEB_PORT"
	EnvObserverPort      = "OBSERVER_PORT"
	EnvBind              = "SPARK_BIND"
	EnvConfig            = "SPARK_CONFIG"
	EnvDrainSec          = "SPARK_DRAIN_SEC"
	EnvDataDir           = "SPARK_DATA_DIR"
	EnvRedisURL          = "REDIS_URL"
	EnvRedisNamespace    = "REDIS_NAMESPACE"
	EnvSchedulerEnabled  = "SCHEDULER_ENABLED"
	EnvSchedulerID       = "SCHEDULER_ID"
	EnvSchedulerInterval = "SCHEDULER_INTERVAL_SEC"
	EnvSchedulerLease    = "SCHEDULER_LEASE_SEC"
	EnvCooldown          = "ALERT_COOLDOWN_SEC"
	EnvHistoryLimit      = "ALERT_HISTORY_LIMIT"
	EnvEvalConcurrency   = "ALERT_EVAL_CONCURRENCY"
	EnvMarketSource      = "MARKET_SOURCE"
	EnvBinanceREST       = "BINANCE_REST_URL"
	EnvBinanceWS         = "BINANCE_WS_URL"
	EnvMarketDataURL     = "MARKETDATA_URL"
	EnvTelegramToken     = "TELEGRAM_BOT_TOKEN"
	EnvTelegramChat      = "TELEGRAM_CHAT_ID"
	EnvTelegramAPI       = "TELEGRAM_API_URL"
	EnvWebhookURL        = "NOTIFY_WEBHOOK_URL"
	EnvWebhookSecret     = "NOTIFY_WEBHOOK_SECRET"
	EnvNotifyURLs        = "NOTIFY_URLS"
	EnvNotifyAllowed     = "NOTIFY_ALLOWED_HOSTS"
	EnvNotifyRate        = "NOTIFY_RATE_LIMIT"
	EnvMaxSSE            = "MAX_SSE_CONNECTIONS"
	EnvMaxSSETotal       = "MAX_SSE_TOTAL"
	EnvEscalation1       = "ESCALATION_L1"
	EnvEscalation2       = "ESCALATION_L2"
	EnvEscalation3       = "ESCALATION_L3"
	EnvTLSCert           = "SPARK_TLS_CERT"
	EnvTLSKey            = "SPARK_TLS_KEY"
	EnvTrustedProxies    = "TRUSTED_PROXIES"
	EnvOpsToken          = "SPARK_OPS_TOKEN"
	EnvAPIToken          = "SPARK_API_TOKEN"
	EnvLogLevel          = "LOG_LEVEL"
	EnvLogFormat         = "LOG_FORMAT"
	EnvPrometheusURL     = "PROMETHEUS_URL"
)

// Environment variables of the console.
const (
	EnvConsoleURL = "SPARK_URL"
	EnvNoColor    = "NO_COLOR"
)

// Environment variables of the compose file, in daemon/deploy. The daemon knows none
// of them.
const (
	EnvImage            = "SPARK_IMAGE"
	EnvRedisImage       = "REDIS_IMAGE"
	EnvPublishAddr      = "PUBLISH_ADDR"
	EnvPublishExecutor1 = "PUBLISH_EXECUTOR_1"
	EnvPublishExecutor2 = "PUBLISH_EXECUTOR_2"
	EnvPublishWebNext1  = "PUBLISH_WEB_NEXT_1"
	EnvPublishObserver  = "PUBLISH_SPARK_OBSERVER"
	EnvComposeProject   = "COMPOSE_PROJECT_NAME"
)
