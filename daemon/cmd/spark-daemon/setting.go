package main

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/store/redis"
)

// setting is one thing that can be configured. Its name is that of the variable;
// the flag and the key in the configuration file follow from it.
type setting struct {
	name   string // environment variable
	def    string // default, as text
	usage  string // one sentence: meaning, unit, range
	secret bool   // by variable or file only, never shown
	later  bool   // checked, and said at the start to have no effect in this version
	set    func(o *daemon.Options, value string) error
}

// flag returns the name of the flag: REDIS_URL is --redis-url.
func (s setting) flag() string {
	return strings.ToLower(strings.ReplaceAll(s.name, "_", "-"))
}

// settings returns everything that can be configured, in the order of the contract.
// It is the one source of --help and of docs/configuration.md.
func settings() []setting {
	return []setting{
		{name: wire.EnvRoles, def: strings.Join(wire.Roles(), ","), usage: "roles of this process, separated by commas: executor, gateway, observer", set: setRoles},
		{name: wire.EnvExecutorPort, def: strconv.Itoa(wire.PortExecutor), usage: "port of the executor, 0 to 65535; 0 picks a free one and logs it", set: port(func(o *daemon.Options) *int { return &o.ExecutorPort })},
		{name: wire.EnvWebPort, def: strconv.Itoa(wire.PortGateway), usage: "port of the gateway, 0 to 65535; 0 picks a free one and logs it", set: port(func(o *daemon.Options) *int { return &o.GatewayPort })},
		{name: wire.EnvObserverPort, def: strconv.Itoa(wire.PortObserver), usage: "port of the observer, 0 to 65535; 0 picks a free one and logs it", set: port(func(o *daemon.Options) *int { return &o.ObserverPort })},
		{name: wire.EnvBind, def: "127.0.0.1", usage: "address to listen on", set: setBind},
		{name: wire.EnvConfig, usage: "YAML file with any of these names as keys, and the section hypercare; flags and variables win over it", set: func(*daemon.Options, string) error { return nil }},
		{name: wire.EnvDrainSec, def: "8", usage: "seconds given to open streams when stopping, 0 to 9", set: whole(0, 9, func(o *daemon.Options, n int) { o.DrainSec = n })},
		{name: wire.EnvDataDir, usage: "directory of the embedded store; empty means $XDG_STATE_HOME/spark or ~/.local/state/spark", set: text(func(o *daemon.Options) *string { return &o.DataDir })},
		{name: wire.EnvRedisURL, usage: redis.Forms + "; parameters after ?: " + redis.Parameters + "; empty means the embedded store", set: setRedis},
		{name: wire.EnvRedisNamespace, def: "spark:alerts", usage: "prefix of every key, letters, digits and :_-", set: matching(`^[A-Za-z0-9:_-]{1,64}$`, func(o *daemon.Options) *string { return &o.RedisNamespace })},
		{name: wire.EnvSchedulerEnabled, def: "true", usage: "true or false; false means never a candidate for leadership", set: setEnabled},
		{name: wire.EnvSchedulerID, usage: "holder id written into the lock; empty means <hostname>-<pid>-<4 random hex>", set: matching(`^$|^[A-Za-z0-9._@:/-]{1,128}$`, func(o *daemon.Options) *string { return &o.InstanceID })},
		{name: wire.EnvSchedulerInterval, def: "30", usage: "seconds between sweeps, 1 to 3600", set: whole(1, 3600, func(o *daemon.Options, n int) { o.IntervalSec = n })},
		{name: wire.EnvSchedulerLease, def: "35", usage: "seconds of the leader's lease, 2 to 3600", set: whole(2, 3600, func(o *daemon.Options, n int) { o.LeaseSec = n })},
		{name: wire.EnvCooldown, def: "300", usage: "seconds between two triggers of an alert that names none, 0 to 86400", set: whole(0, 86400, func(o *daemon.Options, n int) { o.CooldownSec = n })},
		{name: wire.EnvHistoryLimit, def: "100", usage: "events kept per alert, 1 to 10000", set: whole(1, 10000, func(o *daemon.Options, n int) { o.HistoryLimit = n })},
		{name: wire.EnvEvalConcurrency, def: strconv.Itoa(min(runtime.NumCPU(), 1024)), usage: "evaluation shards, 1 to 1024", later: true, set: whole(1, 1024, func(*daemon.Options, int) {})},
		{name: wire.EnvMarketSource, def: "binance", usage: "binance, or sim for the built-in exchange simulator", set: setMarket},
		{name: wire.EnvBinanceREST, usage: "base URL of the exchange's REST interface; empty means the public one", set: webURL([]string{"http", "https"}, func(o *daemon.Options) *string { return &o.BinanceREST })},
		{name: wire.EnvBinanceWS, usage: "base URL of the exchange's streams; empty means the public one", set: webURL([]string{"ws", "wss"}, func(o *daemon.Options) *string { return &o.BinanceWS })},
		{name: wire.EnvMarketDataURL, usage: "base URL of a gateway to read from", later: true, set: webURL([]string{"http", "https"}, func(*daemon.Options) *string { return new(string) })},
		{name: wire.EnvTelegramToken, usage: "Telegram bot", secret: true, later: true, set: anything},
		{name: wire.EnvTelegramChat, usage: "Telegram chat", later: true, set: anything},
		{name: wire.EnvTelegramAPI, usage: "Telegram API", later: true, set: anything},
		{name: wire.EnvWebhookURL, usage: "where notifications are posted; https and a public address unless allowed below", set: webURL([]string{"http", "https"}, func(o *daemon.Options) *string { return &o.WebhookURL })},
		{name: wire.EnvWebhookSecret, usage: "signs notifications (Standard Webhooks), whsec_… or any text", secret: true, set: text(func(o *daemon.Options) *string { return &o.WebhookSecret })},
		{name: wire.EnvNotifyURLs, usage: "further channels as service URLs", secret: true, later: true, set: anything},
		{name: wire.EnvNotifyAllowed, usage: "host[:port], separated by commas, that may be private or plain http; empty means public addresses only", set: list(func(o *daemon.Options) *[]string { return &o.AllowedHosts })},
		{name: wire.EnvNotifyRate, def: "20", usage: "attempts per minute and channel, 0 to 100000; 0 means no limit; over it notifications wait", set: whole(0, 100000, func(o *daemon.Options, n int) { o.NotifyRate = n })},
		{name: wire.EnvMaxSSE, def: "3", usage: "streams per client address, 1 to 10000", set: whole(1, 10000, func(o *daemon.Options, n int) { o.MaxStreams = n })},
		{name: wire.EnvMaxSSETotal, def: "20000", usage: "streams per gateway, 1 to 1000000", set: whole(1, 1000000, func(o *daemon.Options, n int) { o.MaxStreamsTotal = n })},
		{name: wire.EnvEscalation1, usage: "webhook that the observer itself calls at level 1 and above, with every executor dead, too; https and a public address unless allowed above", set: escalation(1)},
		{name: wire.EnvEscalation2, usage: "webhook that the observer itself calls at level 2 and above, with every executor dead, too; https and a public address unless allowed above", set: escalation(2)},
		{name: wire.EnvEscalation3, usage: "webhook that the observer itself calls at level 3 and above, with every executor dead, too; https and a public address unless allowed above", set: escalation(3)},
		{name: wire.EnvTLSCert, usage: "certificate file for TLS on every listener; needs the key", set: text(func(o *daemon.Options) *string { return &o.TLSCert })},
		{name: wire.EnvTLSKey, usage: "key file for TLS on every listener; needs the certificate", set: text(func(o *daemon.Options) *string { return &o.TLSKey })},
		{name: wire.EnvTrustedProxies, usage: "CIDRs, separated by commas, whose X-Forwarded-For is believed", set: setProxies},
		{name: wire.EnvOpsToken, usage: "bearer token for operators' calls; without one they are answered on loopback only", secret: true, set: text(func(o *daemon.Options) *string { return &o.OpsToken })},
		{name: wire.EnvAPIToken, usage: "bearer token required for every call that changes alerts", secret: true, set: text(func(o *daemon.Options) *string { return &o.APIToken })},
		{name: wire.EnvLogLevel, def: "info", usage: "debug, info, warn or error", set: oneOf([]string{"debug", "info", "warn", "error"}, func(o *daemon.Options) *string { return &o.LogLevel })},
		{name: wire.EnvLogFormat, def: "text", usage: "text or json", set: oneOf([]string{"text", "json"}, func(o *daemon.Options) *string { return &o.LogFormat })},
		{name: wire.EnvPrometheusURL, usage: "Prometheus server that the observer asks instead of its own samples; user:password@ may stand in it", set: webURL([]string{"http", "https"}, func(o *daemon.Options) *string { return &o.PrometheusURL })},
	}
}

// escalation sets the webhook of a level, 1 to 3.
func escalation(level int) func(*daemon.Options, string) error {
	return webURL([]string{"http", "https"}, func(o *daemon.Options) *string { return &o.Escalation[level-1] })
}

func anything(*daemon.Options, string) error { return nil }

func text(field func(*daemon.Options) *string) func(*daemon.Options, string) error {
	return func(o *daemon.Options, v string) error {
		*field(o) = v
		return nil
	}
}

func whole(low, high int, set func(*daemon.Options, int)) func(*daemon.Options, string) error {
	return func(o *daemon.Options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < low || n > high {
			return fmt.Errorf("want a whole number from %d to %d", low, high)
		}
		set(o, n)
		return nil
	}
}

func port(field func(*daemon.Options) *int) func(*daemon.Options, string) error {
	return whole(0, 65535, func(o *daemon.Options, n int) { *field(o) = n })
}

func oneOf(allowed []string, field func(*daemon.Options) *string) func(*daemon.Options, string) error {
	return func(o *daemon.Options, v string) error {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("want one of %s", strings.Join(allowed, ", "))
		}
		*field(o) = v
		return nil
	}
}

func matching(pattern string, field func(*daemon.Options) *string) func(*daemon.Options, string) error {
	re := regexp.MustCompile(pattern)
	return func(o *daemon.Options, v string) error {
		if !re.MatchString(v) {
			return fmt.Errorf("want text that matches %s", pattern)
		}
		*field(o) = v
		return nil
	}
}

func list(field func(*daemon.Options) *[]string) func(*daemon.Options, string) error {
	return func(o *daemon.Options, v string) error {
		*field(o) = fieldsOf(v)
		return nil
	}
}

// fieldsOf splits at commas and drops what is empty.
func fieldsOf(v string) []string {
	var out []string
	for _, f := range strings.Split(v, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}

func webURL(schemes []string, field func(*daemon.Options) *string) func(*daemon.Options, string) error {
	return func(o *daemon.Options, v string) error {
		if v != "" {
			u, err := url.Parse(v)
			if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
				return fmt.Errorf("want a URL that begins with %s://", strings.Join(schemes, ":// or "))
			}
			if err := checkPort(u); err != nil {
				return err
			}
		}
		*field(o) = v
		return nil
	}
}

// checkPort refuses what url.Parse lets through: it wants digits, however many.
func checkPort(u *url.URL) error {
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n > 65535 {
			return fmt.Errorf("want a port from 0 to 65535")
		}
	}
	return nil
}

func setRoles(o *daemon.Options, v string) error {
	roles := fieldsOf(v)
	for i, r := range roles {
		if !slices.Contains(wire.Roles(), r) || slices.Contains(roles[:i], r) {
			return fmt.Errorf("want some of %s, each once, separated by commas", strings.Join(wire.Roles(), ", "))
		}
	}
	if len(roles) == 0 {
		return fmt.Errorf("want at least one of %s", strings.Join(wire.Roles(), ", "))
	}
	o.Roles = roles
	return nil
}

func setBind(o *daemon.Options, v string) error {
	if v != "localhost" {
		if _, err := netip.ParseAddr(v); err != nil {
			return fmt.Errorf("want an IP address such as 127.0.0.1 or 0.0.0.0")
		}
	}
	o.Bind = v
	return nil
}

func setRedis(o *daemon.Options, v string) error {
	if v != "" {
		if err := redis.CheckURL(v); err != nil {
			return err
		}
	}
	o.RedisURL = v
	return nil
}

func setEnabled(o *daemon.Options, v string) error {
	switch v {
	case "true":
		o.SchedulerDisabled = false
	case "false":
		o.SchedulerDisabled = true
	default:
		return fmt.Errorf("want true or false")
	}
	return nil
}

func setMarket(o *daemon.Options, v string) error {
	if v == "gateway" {
		return fmt.Errorf("reading from a gateway is not in this version: want binance or sim")
	}
	return oneOf([]string{"binance", "sim"}, func(o *daemon.Options) *string { return &o.MarketSource })(o, v)
}

func setProxies(o *daemon.Options, v string) error {
	var out []netip.Prefix
	for _, f := range fieldsOf(v) {
		p, err := netip.ParsePrefix(f)
		if err != nil {
			return fmt.Errorf("%.64q is not a CIDR such as 10.0.0.0/8", f)
		}
		out = append(out, p)
	}
	o.TrustedProxies = out
	return nil
}
