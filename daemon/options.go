package daemon

import (
	"io"
	"net/netip"
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

	LogLevel  string // debug, info, warn, error
	LogFormat string // text, json
	Secrets   []string
	LogTo     io.Writer

	// Ready is told where the roles listen, once all of them do and the store has
	// answered; may be nil.
	Ready func(Addresses)
}

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
