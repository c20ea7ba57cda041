package daemon

import (
	"io"
	"net/netip"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// Options say what a process is and does. The zero value is not useful: the command
// fills every field from flags, variables, file and defaults (see its settings).
type Options struct {
	Version  string
	Revision string

	Roles        []string // of wire.Roles
	Bind         string   // address to listen on
	ExecutorPort int      // 0 picks a free port
	GatewayPort  int
	ObserverPort int
	AnyPort      bool   // a port that is taken is replaced by a free one
	TLSCert      string // files; both or neither
	TLSKey       string
	DrainSec     int

	DataDir        string
	RedisURL       string // empty: the embedded store in DataDir
	RedisNamespace string

	InstanceID        string // holder id; unique to the process
	SchedulerDisabled bool
	IntervalSec       int
	LeaseSec          int

	CooldownSec  int
	HistoryLimit int

	MarketSource string // binance or sim
	BinanceREST  string // empty: the public endpoints
	BinanceWS    string
	Sim          SimOptions // of MarketSource sim

	WebhookURL    string
	WebhookSecret string
	AllowedHosts  []string // host[:port] that may be private or plain
	NotifyRate    int      // attempts a minute and channel, 0 for no limit

	MaxStreams      int // per client address
	MaxStreamsTotal int
	TrustedProxies  []netip.Prefix

	OpsToken string
	APIToken string

	PrometheusURL string    // asked instead of the observer's own samples
	Escalation    [3]string // webhook URLs that the observer calls at levels 1 to 3
	Hypercare     HypercareOptions

	LogLevel  string // debug, info, warn, error
	LogFormat string // text, json
	Secrets   []string
	LogTo     io.Writer

	// Ready is told where the roles listen, once all of them do and the store has
	// answered; may be nil.
	Ready func(Addresses)
}

// HypercareOptions are the section hypercare of the configuration file.
type HypercareOptions struct {
	Plan      string // path of a plan; empty: the shipped one
	Profile   string // of wire.Start; empty: found out
	Operators []wire.OperatorKey
	Targets   []ScrapeTarget
	Commands  map[string]NamedCommand
	Grafana   *GrafanaOptions
	Docker    *DockerOptions
	Start     bool // begin a run of the plan once this process is ready, unless there was one
}

// ScrapeTarget is a metrics page that no registry knows.
type ScrapeTarget struct {
	URL    string
	Labels map[string]string
}

// NamedCommand is what a plan may have run, by its name.
type NamedCommand struct {
	Run     []string
	Timeout time.Duration
}

// GrafanaOptions say where a Grafana is.
type GrafanaOptions struct {
	URL   string
	Token string // of its file; may be empty
}

// DockerOptions say where a container engine is.
type DockerOptions struct{ Host string }

// SimOptions are of the built-in exchange simulator.
type SimOptions struct {
	Port        int // 0 picks a free one
	Seed        uint64
	Speed       float64 // 0 means 1
	Demo        bool    // prices that break bands soon
	FrameMS     int     // between updates of an open candle; 0 means 2,000
	WebhookSink bool    // notifications go to the simulator's /sink
}

// Addresses are the base URLs of the roles that this process has.
type Addresses struct {
	Executor  string `json:"executor,omitempty"`
	Gateway   string `json:"gateway,omitempty"`
	Observer  string `json:"observer,omitempty"`
	Simulator string `json:"simulator,omitempty"`
	PID       int    `json:"pid"`
}
