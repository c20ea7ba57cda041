package main

import (
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spark-ta/spark/core/wire"
)

// TestChecklistCommandsAnswerAsTheContractSays runs the commands of the operations
// plan that concern health, metrics, candles and the stream's headers.
func TestChecklistCommandsAnswerAsTheContractSays(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	for _, base := range []string{p.at.Executor, p.at.Gateway, p.at.Observer} {
		var health wire.Health
		wait(t, 20*time.Second, "health", func() bool { return get(t, base+wire.PathHealth, &health) == http.StatusOK }, p.dump)
		if !health.OK || len(health.Roles) != 3 || !health.Redis.OK || !health.Redis.Embedded || health.Instance == "" {
			t.Errorf("%s/health = %+v", base, health)
		}
		for _, path := range []string{wire.PathLive, wire.PathReady} {
			if status := get(t, base+path, nil); status != http.StatusOK {
				t.Errorf("%s%s = %d", base, path, status)
			}
		}
	}
	wait(t, 20*time.Second, "leader", func() bool { return sample(t, p.at.Executor, "leader_elected_total") == 1 }, p.dump)
	if n := len(p.matching(wire.LogBecameLeader)); n != 1 {
		t.Errorf("%d lines %q, want one", n, wire.LogBecameLeader)
	}

	var candles []map[string]float64
	if status := get(t, p.at.Gateway+wire.PathCandles+"?symbol=BTCUSDT&timeframe=1h&limit=1", &candles); status != 200 || len(candles) != 1 {
		t.Errorf("candles = %d %v", status, candles)
	}
	candles = nil
	if status := get(t, p.at.Gateway+wire.PathCandles+"?symbol=BTCUSDT", &candles); status != 200 || len(candles) != 200 {
		t.Errorf("candles with the symbol alone = %d, %d of them", status, len(candles))
	}
	resp, err := http.Head(p.at.Gateway + wire.PathStream)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for _, name := range []string{"X-Streams-Connected", "X-Streams-Messages", "X-Streams-Errors"} {
		if resp.StatusCode != 200 || resp.Header[name] == nil {
			t.Errorf("HEAD of the stream = %d, %s %q", resp.StatusCode, name, resp.Header[name])
		}
	}
	if got := resp.Header.Get("X-Streams-Connected"); got != "0" {
		t.Errorf("X-Streams-Connected = %s, want 0", got)
	}
	var fleet wire.Fleet
	if get(t, p.at.Observer+wire.PathFleet, &fleet); len(fleet.Instances) != 1 || fleet.Instances[0].URLs[wire.RoleGateway] != p.at.Gateway {
		t.Errorf("fleet = %+v", fleet)
	}
}

// TestRegression11EveryMetricIsThereFromTheFirstScrape also asks promtool when it is
// installed.
func TestRegression11EveryMetricIsThereFromTheFirstScrape(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	var text string
	get(t, p.at.Executor+wire.PathMetrics, &text)
	var again string
	get(t, p.at.Gateway+wire.PathMetrics, &again)
	for _, m := range wire.Metrics() {
		open := false
		for _, l := range m.Labels {
			open = open || len(l.Values) == 0
		}
		if open && m.Name != wire.MetricBuildInfo {
			continue
		}
		for name, page := range map[string]string{"executor": text, "gateway": again} {
			if !strings.Contains(page, "\n"+m.Name) {
				t.Errorf("%s has no line on the %s's port", m.Name, name)
			}
		}
	}
	for _, line := range []string{`notifications_failed_total{channel="email",reason="auth"} 0`, `alerts_suppressed_total{reason="cooldown",type="rsi"} 0`, "streams_connected 0"} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: its opinion was not asked")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// TestAnAlertTravelsTheWholeWay follows one alert from the exchange's frame to the
// receiver, through the simulator's own price shock.
func TestAnAlertTravelsTheWholeWay(t *testing.T) {
	p := start(t, t.TempDir(), nil, "--speed", "20")
	wait(t, time.Minute, "Bollinger break", func() bool { return len(p.matching(wire.LogTriggered)) > 0 }, p.dump)
	record := p.matching(wire.LogTriggered)[0]
	if field(record, "type") != "bb_break" || !strings.HasPrefix(field(record, "reason"), "close") {
		t.Errorf("first trigger %q, want a Bollinger break", record)
	}
	var arrived string
	wait(t, 20*time.Second, "arrival at the sink", func() bool {
		get(t, p.at.Simulator+"/sink", &arrived)
		return strings.Contains(arrived, field(record, "event"))
	}, p.dump)
	var h wire.AlertHistory
	get(t, p.at.Executor+wire.PathAlertsHistory+"?id="+field(record, "alert"), &h)
	wait(t, 20*time.Second, "history that says sent", func() bool {
		get(t, p.at.Executor+wire.PathAlertsHistory+"?id="+field(record, "alert"), &h)
		for _, e := range h.Events {
			if e.ID == field(record, "event") && len(e.Delivery) == 1 && e.Delivery[0].State == "sent" {
				return e.Value["upper"] > 0 && (e.Price > e.Value["upper"] || e.Price < e.Value["lower"])
			}
		}
		return false
	}, p.dump)
	if got := sample(t, p.at.Executor, `notifications_sent_total{channel="webhook"}`); got < 1 {
		t.Errorf("notifications_sent_total = %v", got)
	}
}

func TestTerminatedItEndsWithinTenSeconds(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	resp, err := http.Get(p.at.Gateway + wire.PathStream + "?symbol=BTCUSDT&timeframe=1m")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	wait(t, 20*time.Second, "leader", func() bool { return len(p.matching(wire.LogBecameLeader)) == 1 }, p.dump)
	began := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("the stream ended with %v, want a clean end", err)
	}
	if !strings.Contains(string(body), `"type":"close"`) {
		t.Errorf("the stream did not say that it closes: %.300s", body)
	}
	<-p.done
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.dump())
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if n := len(p.matching(wire.LogResigned)); n != 1 {
		t.Errorf("%d lines %q, want one\n%s", n, wire.LogResigned, p.dump())
	}
}

func TestASecondProcessOnTheSameDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, nil)
	exe := p.cmd.Path
	cmd := exec.Command(exe, "run", "--spark-data-dir", dir, "--executor-port", "0", "--web-port", "0", "--observer-port", "0", "--market-source", "sim")
	cmd.Env = append(cmd.Environ(), asDaemon+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "in use") {
		t.Errorf("second process: %v %s, want a refusal", err, out)
	}
}

func TestCommandsAnswerAgainstALivingDaemon(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	port := p.at.Executor[strings.LastIndex(p.at.Executor, ":")+1:]
	cmd := exec.Command(p.cmd.Path, "healthcheck", "--executor-port", port)
	cmd.Env = append(cmd.Environ(), asDaemon+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "ok" {
		t.Errorf("healthcheck = %s, %v", out, err)
	}
	var logs wire.Logs
	if status := get(t, p.at.Observer+wire.PathLogs+"?level=info", &logs); status != 200 || len(logs.Records) == 0 {
		t.Errorf("logs = %d with %d records", status, len(logs.Records))
	}
	var list wire.AlertList
	get(t, p.at.Executor+wire.PathAlertsList, &list)
	if len(list.Items) != 4 {
		t.Errorf("demo has %d alerts", len(list.Items))
	}
}

func TestADemoTakesAnotherPortThanOneInUse(t *testing.T) {
	first := start(t, t.TempDir(), nil)
	port := first.at.Executor[strings.LastIndex(first.at.Executor, ":")+1:]
	second := start(t, t.TempDir(), nil, "--executor-port", port)
	if second.at.Executor == first.at.Executor {
		t.Errorf("both at %s", first.at.Executor)
	}
	var h wire.Health
	if status := get(t, second.at.Executor+wire.PathHealth, &h); status != 200 || h.Instance == "" {
		t.Errorf("the second's health = %d %+v", status, h)
	}
}

func TestAReceiverThatWillBeBlockedIsToldAtTheStart(t *testing.T) {
	p := start(t, t.TempDir(), map[string]string{wire.EnvWebhookURL: "http://hooks.example.com/s3cret"})
	wait(t, 10*time.Second, "the warning", func() bool {
		text := strings.Join(p.log(), "\n")
		return strings.Contains(text, "no notification will be delivered") && strings.Contains(text, wire.EnvNotifyAllowed)
	}, p.dump)
	if strings.Contains(p.dump(), "s3cret") {
		t.Error("the log tells the secret")
	}
}
