package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/spark-ta/spark/core/wire"
	"github.com/spark-ta/spark/daemon"
	"github.com/spark-ta/spark/daemon/exchange/sim"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: noArgs, RunE: func(*cobra.Command, []string) error {
		v, revision := buildVersion()
		if revision != "" {
			v += " " + revision
		}
		_, err := fmt.Fprintf(p.stdout, "spark-daemon %s %s %s/%s\n", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	}}
}

func (p *program) configCommand(flags func() map[string]string) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show the configuration", Args: noArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	c.AddCommand(
		&cobra.Command{Use: "print", Short: "Print every setting, its value (secrets masked) and where it comes from", Args: noArgs,
			RunE: func(*cobra.Command, []string) error {
				o, values, err := p.options(flags())
				if err != nil {
					return err
				}
				return errors.Join(printConfig(p.stdout, values), printHypercare(p.stdout, o.Hypercare))
			}},
		&cobra.Command{Use: "docs", Short: "Print docs/configuration.md", Args: noArgs,
			RunE: func(*cobra.Command, []string) error {
				_, err := io.WriteString(p.stdout, configurationPage())
				return err
			}},
	)
	return c
}

// healthcheckCommand asks the first role of this configuration for its health, for
// a container's healthcheck.
func (p *program) healthcheckCommand(flags func() map[string]string) *cobra.Command {
	return &cobra.Command{Use: "healthcheck", Short: "Exit 0 when the process of this configuration is healthy, 1 when not", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, _, err := p.options(flags())
			if err != nil {
				return err
			}
			ports := map[string]int{wire.RoleExecutor: o.ExecutorPort, wire.RoleGateway: o.GatewayPort, wire.RoleObserver: o.ObserverPort}
			ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
			defer cancel()
			url := healthURL(o, ports[o.Roles[0]])
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			// The certificate is for the name that clients use, not for this address.
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // asks this machine alone
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %d: %s", url, resp.StatusCode, bytes.TrimSpace(body))
			}
			_, err = fmt.Fprintln(p.stdout, "ok")
			return err
		}}
}

// healthURL is where a process of this configuration answers on this machine.
func healthURL(o daemon.Options, port int) string {
	scheme, host := "http://", o.Bind
	if o.TLSCert != "" {
		scheme = "https://"
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "127.0.0.1"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(port)) + wire.PathHealth
}

func (p *program) simCommand() *cobra.Command {
	var port int
	var seed uint64
	var speed float64
	var demo bool
	var replay []string
	c := &cobra.Command{Use: "sim", Short: "Serve the exchange simulator: Binance's protocol, prices made from a seed", Args: noArgs,
		Long: `Serves Binance's spot protocol (REST and WebSocket) with prices that follow from
the seed alone, and /sink, a receiver for webhooks that lists what has arrived.
A candle file (CSV or gzip, columns t,o,h,l,c,v) can take the place of a symbol.

  spark-daemon sim --port 9443
  BINANCE_REST_URL=http://127.0.0.1:9443 BINANCE_WS_URL=ws://127.0.0.1:9443 spark-daemon`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if port < 0 || port > 65535 {
				return fmt.Errorf("%w: --port %d: 0 to 65535", errUsage, port)
			}
			if err := checkSpeed(speed); err != nil {
				return err
			}
			sources, closeFiles, err := replaySources(replay)
			if err != nil {
				return errors.Join(err, closeFiles())
			}
			log := slog.New(slog.NewTextHandler(p.stdout, nil))
			s, err := sim.New(sim.Options{
				Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Seed: seed, Speed: speed, Demo: demo, Replay: sources, Log: log,
			})
			err = errors.Join(err, closeFiles())
			var network *net.OpError
			switch {
			case errors.As(err, &network): // the port is taken, which is no misuse
				return err
			case err != nil:
				return fmt.Errorf("%w: %v", errUsage, err)
			}
			log.Info("listening", "rest", "http://"+s.Addr(), "streams", "ws://"+s.Addr())
			return s.Run(cmd.Context())
		}}
	c.Flags().IntVar(&port, "port", 9443, "port on loopback, 0 picks a free one")
	c.Flags().Uint64Var(&seed, "seed", 1, "prices follow from it")
	c.Flags().Float64Var(&speed, "speed", 1, "seconds of the market in a second, above 0 and up to 3600")
	c.Flags().BoolVar(&demo, "demo", false, "kick the prices, so that bands break soon")
	c.Flags().StringArrayVar(&replay, "replay", nil, "SYMBOL=FILE, may be given several times")
	return c
}

// checkSpeed refuses what the simulator would refuse, and 0, which it would take for
// its default.
func checkSpeed(speed float64) error {
	if !(speed > 0 && speed <= 3600) {
		return fmt.Errorf("%w: --speed %v: above 0, at most 3600", errUsage, speed)
	}
	return nil
}

// demoCommand runs everything in one process on the simulator, with alerts that
// fire soon.
func (p *program) demoCommand(flags func() map[string]string) *cobra.Command {
	var ready string
	var seed uint64
	var speed float64
	c := &cobra.Command{Use: "demo", Short: "Run all roles on the exchange simulator, with alerts that fire within a minute", Args: noArgs,
		Long: `Runs all roles on the embedded store and the built-in exchange simulator. The
first time it creates a few alerts, one of which fires within a minute; its
notification goes to the simulator's own receiver (/sink). A port that is taken
is replaced by a free one. A run of the hypercare plan begins by itself. This is
what "spark-tui demo" and "make run" start.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkSpeed(speed); err != nil {
				return err
			}
			given := flags()
			given["market-source"] = "sim"
			o, _, err := p.options(given)
			if err != nil {
				return err
			}
			if given["spark-data-dir"] == "" && p.getenv(wire.EnvDataDir) == "" {
				o.DataDir = filepath.Join(o.DataDir, "demo")
			}
			o.AnyPort = true
			o.Hypercare.Start = true
			o.Sim = daemon.SimOptions{Seed: seed, Speed: speed, Demo: true, FrameMS: 250, WebhookSink: true}
			return runDemo(cmd.Context(), o, ready)
		}}
	c.Flags().StringVar(&ready, "ready-file", "", "file to write the addresses to, as one line of JSON, once the daemon answers")
	c.Flags().Uint64Var(&seed, "seed", 1, "prices follow from it")
	c.Flags().Float64Var(&speed, "speed", 1, "seconds of the market in a second, above 0 and up to 3600")
	c.Flags().String("data-dir", "", "the same as --spark-data-dir")
	c.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if f := cmd.Flags().Lookup("data-dir"); f.Changed {
			return cmd.Flags().Set("spark-data-dir", f.Value.String())
		}
		return nil
	}
	return c
}

// runDemo runs the daemon, creates the demo's alerts through its API once it
// answers, and then writes the ready file.
func runDemo(ctx context.Context, o daemon.Options, ready string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	addresses := make(chan daemon.Addresses, 1) // one message, from the daemon
	o.Ready = func(a daemon.Addresses) { addresses <- a }
	ended := make(chan error, 1) // one message, from the goroutine below
	go func() { ended <- daemon.Run(ctx, o) }()
	select {
	case err := <-ended:
		return err
	case a := <-addresses:
		err := demoAlerts(ctx, a.Executor)
		if err == nil && ready != "" {
			err = writeReady(ready, a)
		}
		if err != nil && ctx.Err() == nil {
			stop()
			return errors.Join(err, <-ended)
		}
		return <-ended
	}
}

// demoAlerts creates alerts when there are none.
func demoAlerts(ctx context.Context, executor string) error {
	var list wire.AlertList
	if err := call(ctx, http.MethodGet, executor+wire.PathAlertsList, nil, &list); err != nil {
		return err
	}
	if len(list.Items) > 0 {
		return nil
	}
	cooldown := 60
	for _, symbol := range []string{"BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT"} {
		in := wire.CreateAlert{
			Symbol: symbol, Timeframe: "1m", Type: "bb_break", Params: map[string]any{"period": 20, "stdDev": 2, "side": "both"},
			CooldownSec: &cooldown, Note: "demo: price beyond its Bollinger band",
		}
		if err := call(ctx, http.MethodPost, executor+wire.PathAlertsCreate, in, nil); err != nil {
			return err
		}
	}
	return nil
}

// call makes one JSON call.
func call(ctx context.Context, method, url string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d: %.500s", url, resp.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// writeReady writes the addresses so that a reader sees all or nothing.
func writeReady(path string, a daemon.Addresses) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
